"""A month's usage at a glance, from the rollups: how many calls, what has no price, cost by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

from metering.domain.periods import Month
from metering.models import Seal
from metering.rollups import CELL, USAGE, on_buckets

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


def month_usage(month: Month) -> MonthUsage:
    """The month's calls, counted from the usage rollup."""
    period = month.period
    columns = ["bucket_at", "events", "pricing"]
    ((events, unpriced),) = _rows(
        "SELECT coalesce(sum(events), 0),"
        " coalesce(sum(events) FILTER (WHERE pricing = 'unpriced'), 0)"
        f" FROM {USAGE.relation(columns)} cells WHERE bucket_at >= %s AND bucket_at < %s",
        [*on_buckets(period)],
    )
    ((too_old,),) = _rows(
        "SELECT count(*) FROM late_event WHERE occurred_at >= %s AND occurred_at < %s",
        [period.start, period.end],
    )
    sealed = Seal.objects.filter(book="usage", month=str(month)).order_by("-sequence").first()
    return MonthUsage(
        events=int(events),
        unpriced=int(unpriced),
        late=None if sealed is None else max(0, int(events) - sealed.events),
        too_old=int(too_old),
    )


def month_costs(month: Month) -> list[DayCost]:
    """The month's metered cost from the cell rollup, sorted. Days whose usage is all free or
    unpriced are there with a cost of zero."""
    columns = ["day", "provider", "model", "cost_centre", "currency", "cost"]
    found = _rows(
        "SELECT day, provider, model, cost_centre, currency, sum(cost)"
        f" FROM {CELL.relation(columns)} cells WHERE day >= %s AND day < %s"
        " GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5",
        [month.first_day(), month.next().first_day()],
    )
    return [DayCost(*row) for row in found]


def today(now: datetime) -> date:
    """The UTC day of an (aware) instant."""
    return now.astimezone(UTC).date()


def _rows(query: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())
