"""A month's usage at a glance, by UTC day: how many calls, what has no price, what it should cost.

Read from the rollup by day, so that it takes no longer for more events.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

from metering.domain.money import EXACT
from metering.domain.periods import Month
from metering.models import Seal
from metering.rollups import DAY

_DAYS: str = """
    SELECT DISTINCT to_char(right(relname, 8)::date, 'YYYY-MM') FROM pg_inherits
    JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'usage_event'::regclass AND right(relname, 8)::date <= %s
    ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class MonthUsage:
    """Events that count. `unpriced` of them have no price; `late` came in after the month was
    sealed (`None`: it has not been), `too_old` wait in the late queue, before the horizon."""

    events: int
    unpriced: int
    late: int | None
    too_old: int


class DayUsage(NamedTuple):
    """A UTC day's calls of one provider, executed model, cost centre and pricing: how many, and
    what the priced ones should cost. A shared call is counted for its own owner only."""

    day: date
    provider: str
    model: str
    cost_centre: str
    pricing: str
    currency: str
    events: int
    cost: Decimal


class DayCost(NamedTuple):
    """What a UTC day's priced usage should cost, by provider, executed model and cost centre."""

    day: date
    provider: str
    model: str
    cost_centre: str
    currency: str
    cost: Decimal


def months_with_usage(today: date) -> list[Month]:
    """The months that have a day's partition, up to today's; some may hold no event yet."""
    return [Month.parse(name) for (name,) in _rows(_DAYS, [today])]


def month_days(month: Month) -> list[DayUsage]:
    """The month's usage by UTC day, sorted: what the two readings below are made of."""
    key = "day, provider, model_executed, cost_centre, pricing, currency"
    found = _rows(
        f"SELECT {key}, sum(events)::bigint, sum(cost) FROM {DAY.relation()} cells"
        f" WHERE day >= %s AND day < %s GROUP BY {key} ORDER BY {key}",
        [month.first_day(), month.next().first_day()],
    )
    return [DayUsage(*row) for row in found]


def month_usage(month: Month, days: Iterable[DayUsage]) -> MonthUsage:
    """The month's calls, counted from its days."""
    events = unpriced = 0
    for each in days:
        events += each.events
        unpriced += each.events if each.pricing == "unpriced" else 0
    ((too_old,),) = _rows(
        "SELECT count(*) FROM late_event WHERE occurred_at >= %s AND occurred_at < %s",
        [month.period.start, month.period.end],
    )
    sealed = Seal.objects.filter(book="usage", month=str(month)).order_by("-sequence").first()
    return MonthUsage(
        events=events,
        unpriced=unpriced,
        late=None if sealed is None else max(0, events - sealed.events),
        too_old=int(too_old),
    )


def month_costs(days: Iterable[DayUsage]) -> list[DayCost]:
    """The metered cost of days, sorted. Days whose usage is all free or unpriced are there with a
    cost of zero."""
    costs: dict[tuple[date, str, str, str, str], Decimal] = {}
    for each in days:
        key = (each.day, each.provider, each.model, each.cost_centre, each.currency)
        costs[key] = EXACT.add(costs.get(key, Decimal(0)), each.cost)
    return [DayCost(*key, costs[key]) for key in sorted(costs)]


def today(now: datetime) -> date:
    """The UTC day of an (aware) instant."""
    return now.astimezone(UTC).date()


def _rows(query: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())
