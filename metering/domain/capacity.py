"""Reserved capacity (provisioned throughput): paid by the hour, whatever runs on it.

The cost is flat, so it is nobody's by the request: requests on reserved capacity are free by the
piece (`price_book.CAPACITY_TIERS`), and the hours are a pool that allocation divides.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from metering.domain.commitments import Commitment
from metering.domain.money import EXACT, RATING_QUANTUM
from metering.domain.periods import Period

UNIT: Final = "provisioned_hours"
"""The class of one unit of capacity for an hour: of a bill's lines, never of an event."""

_HOUR_US: Final = Decimal(3_600_000_000)


class CapacityCost(NamedTuple):
    """What reserved capacity costs on a UTC day. `unit_hours` is units times hours; both it and
    `amount` are rounded once, to `RATING_QUANTUM`."""

    day: date
    unit_hours: Decimal
    amount: Decimal


def capacity_costs(reserved: Commitment, period: Period) -> tuple[CapacityCost, ...]:
    """The flat cost of the period by UTC day, in order, of the days on which capacity is held."""
    held_from = max(reserved.valid_from, period.start)
    held_to = period.end if reserved.valid_to is None else min(reserved.valid_to, period.end)
    if held_from >= held_to:
        return ()
    midnights = [datetime.combine(day, time(0), UTC) for day in Period(held_from, held_to).days()]
    edges = [at for at in midnights if held_from < at < held_to]
    return tuple(
        _cost(reserved, start, end)
        for start, end in zip((held_from, *edges), (*edges, held_to), strict=True)
    )


def _cost(reserved: Commitment, start: datetime, end: datetime) -> CapacityCost:
    microseconds = reserved.units * ((end - start) // timedelta(microseconds=1))
    return CapacityCost(
        start.astimezone(UTC).date(),
        _hours(Decimal(microseconds)),
        _hours(EXACT.multiply(reserved.price, microseconds)),
    )


def _hours(dividend: Decimal) -> Decimal:
    return EXACT.quantize(EXACT.divide(dividend, _HOUR_US), RATING_QUANTUM).normalize(EXACT)
