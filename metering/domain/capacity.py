"""Reserved capacity (provisioned throughput): paid by the hour, whatever runs on it.

The cost is flat, so it is nobody's by the request: requests on reserved capacity are free by the
piece (`price_book.CAPACITY_TIERS`), and the hours are a pool that allocation divides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from metering.domain.money import EXACT, RATING_QUANTUM
from metering.domain.periods import Period
from metering.domain.prices import Price

UNIT: Final = "provisioned_hours"
"""The unit of a price that buys one unit of capacity for an hour."""

_HOUR_US: Final = Decimal(3_600_000_000)


class InvalidReservation(ValueError):
    """The reservation cannot be right: the message names it and what is wrong."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """`units` of capacity for one model, held from `start` to before `end` (aware; `None`: until
    further notice), used or not."""

    provider: str
    model_id: str
    units: int
    start: datetime
    end: datetime | None = None

    def __post_init__(self) -> None:
        place = f"capacity for {self.provider}/{self.model_id}"
        if self.units < 1:
            raise InvalidReservation(f"{place}: {self.units} units reserve nothing")
        if self.start.tzinfo is None or (self.end is not None and self.end.tzinfo is None):
            raise InvalidReservation(f"{place}: it needs instants with a time zone")
        if self.end is not None and self.start >= self.end:
            raise InvalidReservation(f"{place}: from {self.start} to {self.end} it is never held")


class CapacityCost(NamedTuple):
    """What a reservation costs on a UTC day at one price. `unit_hours` is units times hours;
    `amount` is rounded once, to `RATING_QUANTUM`, and `None` (unpriced, not free) where no price
    by the hour holds."""

    day: date
    unit_hours: Decimal
    amount: Decimal | None
    currency: str | None
    price_id: int | None


def capacity_costs(
    reservation: Reservation, prices: Iterable[Price], period: Period
) -> tuple[CapacityCost, ...]:
    """The flat cost of the period by UTC day, in order; a day on which the price changes is in
    parts. `prices` are rows of any model; only unconditional ones with the unit
    `provisioned_hours` of the reservation's model bear, the one of the highest rank first."""
    bearing = sorted(
        (
            price
            for price in prices
            if (price.provider, price.model_id) == (reservation.provider, reservation.model_id)
            and UNIT in price.unit_prices
            and not price.conditions.when
            and price.conditions.window is None
        ),
        key=lambda price: -price.rank,
    )
    held_from = max(reservation.start, period.start)
    held_to = period.end if reservation.end is None else min(reservation.end, period.end)
    if held_from >= held_to:
        return ()
    midnights = [datetime.combine(day, time(0), UTC) for day in Period(held_from, held_to).days()]
    changes = [at for price in bearing for at in (price.valid_from, price.valid_to) if at]
    edges = sorted({at for at in (*midnights, *changes) if held_from < at < held_to})
    return tuple(
        _cost(reservation, bearing, start, end)
        for start, end in zip((held_from, *edges), (*edges, held_to), strict=True)
    )


def _cost(
    reservation: Reservation, bearing: Iterable[Price], start: datetime, end: datetime
) -> CapacityCost:
    day = start.astimezone(UTC).date()
    microseconds = reservation.units * ((end - start) // timedelta(microseconds=1))
    hours = _rounded(Decimal(microseconds), _HOUR_US)
    price = next((price for price in bearing if price.holds_at(start)), None)
    if price is None:
        return CapacityCost(day, hours, None, None, None)
    terms = price.unit_prices[UNIT]
    amount = _rounded(EXACT.multiply(terms.base, microseconds), EXACT.multiply(_HOUR_US, terms.per))
    return CapacityCost(day, hours, amount, price.currency, price.id)


def _rounded(dividend: Decimal, divisor: Decimal) -> Decimal:
    return EXACT.quantize(EXACT.divide(dividend, divisor), RATING_QUANTUM).normalize(EXACT)
