"""A month's usage at a glance, by UTC day: how many calls, what has no price, what it should cost.

Read from the rollup by day, so that it takes no longer for more events.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from django.db import connection

from metering.domain.periods import Month
from metering.models import Seal
from metering.rollups import DAY

_DAYS: Final = """
    SELECT DISTINCT to_char(right(relname, 8)::date, 'YYYY-MM') FROM pg_inherits
    JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'usage_event'::regclass AND right(relname, 8)::date <= %s
    ORDER BY 1
"""


_MONTH: Final = f"""
    SELECT day, model_executed, provider, cost_centre, pricing, currency,
           sum(events)::bigint, sum(cost)
    FROM (
        SELECT {", ".join(DAY.key)}, sum(events) AS events, sum(cost) AS cost
        FROM {DAY.relation()} cells WHERE day >= %s AND day < %s GROUP BY {", ".join(DAY.key)}
    ) days
    GROUP BY GROUPING SETS
        ((day, model_executed, currency), (provider, currency), (cost_centre, currency), (pricing))
"""
"""What a row is not grouped by is NULL in it. Grouped finely first: of the tail's many rows few are
left to be grouped four times."""


class DayCost(NamedTuple):
    """What a UTC day's priced usage of an executed model should cost in one currency."""

    day: date
    model: str
    currency: str
    cost: Decimal


class NamedCost(NamedTuple):
    """What the month's priced usage of a provider or cost centre should cost in one currency."""

    name: str
    currency: str
    cost: Decimal


@dataclass(frozen=True, slots=True)
class MonthUsage:
    """Events that count. `unpriced` of them have no price; `late` came in after the month was
    sealed (`None`: it has not been), `too_old` wait in the late queue, before the horizon.

    The costs are sorted. What was all free or unpriced is there with a cost of zero.
    """

    events: int
    unpriced: int
    late: int | None
    too_old: int
    days: tuple[DayCost, ...]
    providers: tuple[NamedCost, ...]
    cost_centres: tuple[NamedCost, ...]


def months_with_usage(today: date) -> list[Month]:
    """The months that have a day's partition, up to today's; some may hold no event yet."""
    return [Month.parse(name) for (name,) in _rows(_DAYS, [today])]


def month_usage(month: Month) -> MonthUsage:
    """The month's calls and metered cost, in one snapshot of the rollup."""
    days, providers, centres = [], [], []
    counts: dict[str, int] = {}
    for day, model, provider, centre, pricing, currency, events, cost in _rows(
        _MONTH, [month.first_day(), month.next().first_day()]
    ):
        if pricing is not None:
            counts[pricing] = events
        elif day is not None:
            days.append(DayCost(day, model, currency, cost))
        elif provider is not None:
            providers.append(NamedCost(provider, currency, cost))
        else:
            centres.append(NamedCost(centre, currency, cost))
    ((too_old,),) = _rows(
        "SELECT count(*) FROM late_event WHERE occurred_at >= %s AND occurred_at < %s",
        [month.period.start, month.period.end],
    )
    sealed = Seal.objects.filter(book="usage", month=str(month)).order_by("-sequence").first()
    total = sum(counts.values())
    return MonthUsage(
        events=total,
        unpriced=counts.get("unpriced", 0),
        late=None if sealed is None else max(0, total - sealed.events),
        too_old=int(too_old),
        days=tuple(sorted(days)),
        providers=tuple(sorted(providers)),
        cost_centres=tuple(sorted(centres)),
    )


def today(now: datetime) -> date:
    """The UTC day of an (aware) instant."""
    return now.astimezone(UTC).date()


def _rows(query: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())
