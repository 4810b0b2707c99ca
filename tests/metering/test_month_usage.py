"""A month's days are those of its raw events, however ingesting and folding take turns."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering import rollups
from metering.admin.event_days import events_of
from metering.dispositions import TryOuts, uncount
from metering.domain.periods import Month
from metering.domain.usage import Share, UsageEvent
from metering.events import current
from metering.ingestion import ingest
from metering.models import CostCentre
from metering.month_usage import DayCost, DayUsage, month_costs, month_days, month_usage
from tests.metering.events import NOW, call

OCTOBER = Month.parse("2026-10")
MIDNIGHT = datetime(2026, 10, 1, tzinfo=UTC)
EDGES = (
    MIDNIGHT - timedelta(microseconds=1),
    MIDNIGHT,
    MIDNIGHT + timedelta(days=1, microseconds=-1),
    MIDNIGHT + timedelta(days=1),
    MIDNIGHT + timedelta(days=31, microseconds=-1),
    MIDNIGHT + timedelta(days=31),
)
KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"model": "nobody-prices-this"},
    {"model": "gpt-4o", "model_executed": "gpt-4o-mini"},
    {"served_from": "caller_cache"},
    {"shares": (Share(tenant_id="globex", input_tokens=600, output_tokens=100),)},
    {"data_mode": "test"},
)

call_specs = st.tuples(
    st.sampled_from(EDGES), st.sampled_from(KINDS), st.sampled_from(["growth", "research", None])
)
steps = st.one_of(
    st.lists(call_specs, min_size=1, max_size=6),
    st.sampled_from([1, 2, 5, None]),
    st.just("uncount"),
)

pytestmark = pytest.mark.django_db
_serial = count()


def of_raw_events() -> dict[tuple[Any, ...], tuple[int, Decimal]]:
    events, parameters = current(OCTOBER.period)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (occurred_at AT TIME ZONE 'UTC')::date, provider,"
            " coalesce(model_executed, model), part.cost_centre, pricing, currency,"
            " sum(part.events), coalesce(sum(part.cost), 0)"
            f" FROM {events} e, LATERAL ("
            "  SELECT e.cost_centre, 1 AS events, e.cost WHERE e.shares IS NULL UNION ALL"
            "  SELECT o.cost_centre, (o.position = json_array_length(e.shares))::int, o.cost"
            "  FROM event_share o WHERE o.event_key = e.event_key AND o.revision = e.revision"
            " ) part GROUP BY 1, 2, 3, 4, 5, 6",
            parameters,
        )
        return {tuple(key): (int(n), cost) for *key, n, cost in cursor}


def read() -> dict[tuple[Any, ...], tuple[int, Decimal]]:
    days = month_days(OCTOBER)
    assert days == sorted(days)
    found = {day[:-2]: (day.events, day.cost) for day in days}
    assert len(found) == len(days)
    return {key: sums for key, sums in found.items() if any(sums)}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(steps, max_size=8))
def test_days_equal_the_raw_events_at_any_point(turns: list[Any]) -> None:
    for code in ("growth", "research"):
        CostCentre.objects.get_or_create(code=code, defaults={"name": code, "responsible": "cto"})
    for turn in turns:
        if turn == "uncount":
            uncount(TryOuts("test", "test"), reason="tried out", author="", now=NOW)
        elif isinstance(turn, list):
            ingest([_event(*spec) for spec in turn], now=NOW)
        else:
            rollups.fold(turn)
        raw = {key: sums for key, sums in of_raw_events().items() if any(sums)}
        assert read() == raw
        assert month_usage(OCTOBER, month_days(OCTOBER)).events == sum(n for n, _ in raw.values())
        first = date(2026, 10, 1)
        assert events_of(first) == sum(n for key, (n, _) in raw.items() if key[0] == first)


def _event(at: datetime, kind: dict[str, Any], centre: str | None) -> UsageEvent:
    return call(f"m{next(_serial)}", occurred_at=at, cost_center=centre, **kind)


def test_a_day_is_counted_by_pricing_and_costed_without_it() -> None:
    days = [
        DayUsage(date(2026, 10, 2), "openai", "a", "growth", pricing, currency, n, Decimal(cost))
        for pricing, currency, n, cost in (
            ("free", "USD", 3, 0),
            ("priced", "EUR", 5, 7),
            ("priced", "USD", 2, 4),
            ("unpriced", "USD", 9, 0),
        )
    ]
    usage = month_usage(OCTOBER, days)
    assert (usage.events, usage.unpriced, usage.late, usage.too_old) == (19, 9, None, 0)
    assert month_costs(days) == [
        DayCost(date(2026, 10, 2), "openai", "a", "growth", "EUR", Decimal(7)),
        DayCost(date(2026, 10, 2), "openai", "a", "growth", "USD", Decimal(4)),
    ]
