"""A month's days are those of its raw events, however ingesting and folding take turns."""

from __future__ import annotations

from collections.abc import Iterable
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
from metering.month_usage import DayCost, NamedCost, month_usage
from metering.rollups import DAY
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


def by_day() -> dict[tuple[Any, ...], tuple[int, Decimal]]:
    key = ", ".join(DAY.key)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {key}, sum(events), sum(cost) FROM {DAY.relation()} cells"
            " WHERE day >= %s AND day < %s"
            f" GROUP BY {key} HAVING sum(events) <> 0 OR sum(cost) <> 0",
            [OCTOBER.first_day(), OCTOBER.next().first_day()],
        )
        return {tuple(key): (int(n), cost) for *key, n, cost in cursor}


def costs_of(
    raw: dict[tuple[Any, ...], tuple[int, Decimal]], *columns: str
) -> dict[tuple[Any, ...], Decimal]:
    totals: dict[tuple[Any, ...], Decimal] = {}
    for key, (_, cost) in raw.items():
        part = tuple(key[DAY.key.index(name)] for name in (*columns, "currency"))
        totals[part] = totals.get(part, Decimal(0)) + cost
    return {key: cost for key, cost in totals.items() if cost}


def nonzero(costs: Iterable[DayCost | NamedCost]) -> dict[tuple[Any, ...], Decimal]:
    return {tuple(each[:-1]): each.cost for each in costs if each.cost}


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
        assert by_day() == raw
        found = month_usage(OCTOBER)
        assert found.events == sum(n for n, _ in raw.values())
        assert found.unpriced == sum(n for key, (n, _) in raw.items() if "unpriced" in key)
        assert nonzero(found.days) == costs_of(raw, "day", "model_executed")
        assert nonzero(found.providers) == costs_of(raw, "provider")
        assert nonzero(found.cost_centres) == costs_of(raw, "cost_centre")
        first = date(2026, 10, 1)
        assert events_of(first) == sum(n for key, (n, _) in raw.items() if key[0] == first)


def _event(at: datetime, kind: dict[str, Any], centre: str | None) -> UsageEvent:
    return call(f"m{next(_serial)}", occurred_at=at, cost_center=centre, **kind)


def test_what_has_no_price_is_there_with_a_cost_of_zero() -> None:
    ingest([call("u", model="nobody-prices-this"), call("p")], now=NOW)
    found = month_usage(OCTOBER)
    assert (found.events, found.unpriced, found.late, found.too_old) == (2, 1, None, 0)
    day, cost = date(2026, 10, 3), Decimal("0.0002475")
    assert found.days == (
        DayCost(day, "gpt-4o-mini", "USD", cost),
        DayCost(day, "nobody-prices-this", "USD", Decimal(0)),
    )
    assert found.providers == (NamedCost("openai", "USD", cost),)
    assert found.cost_centres == (NamedCost("unallocated", "USD", cost),)
    assert month_usage(OCTOBER.next()).events == 0
