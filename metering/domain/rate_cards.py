"""What one call pays per unit: the prices that bear on it, put together and ready to multiply.

A standard price and the partial prices of the call's tier are laid over one another, unit by unit,
and each unit keeps the row that its price comes from. The same card serves every call of one model
and tier until a price changes, so it is worked out once, a level for every long-context threshold.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from typing import Final, NamedTuple

from metering.domain.money import RATING_QUANTUM
from metering.domain.prices import Price, UnitPrice
from metering.domain.units import UNIT_ORDER


class Applied(NamedTuple):
    """The price of one unit at one level. `unit_price` is for a single unit and exact, unless
    `terminates` is false (a third of a cent): then it is shown rounded to `RATING_QUANTUM` and
    amounts are worked out from `price` and `per`. `steps` are the parts of a marginal price, each
    with the quantity above which it holds; `minimum` is the least quantity to pay for."""

    unit_price: Decimal
    price: Decimal
    per: int
    terminates: bool
    price_id: int
    steps: tuple[tuple[int, Applied], ...] = ()
    minimum: Decimal | None = None


class PlainRates(NamedTuple):
    """The five prices that a text call can need, each with its row; classes without a price of
    their own stand at their ancestor's. `output` is `None` where output has no price."""

    input: Decimal
    input_id: int
    cache_read: Decimal
    cache_read_id: int
    cache_write: Decimal
    cache_write_id: int
    cache_write_1h: Decimal
    cache_write_1h_id: int
    output: Decimal | None
    output_id: int


class Level(NamedTuple):
    """The prices of requests between two thresholds, and the names of the units that have one.

    `plain` is `None` where a text call needs more than the five plain prices: one by request, one
    for reasoning apart, one that does not terminate, is marginal or has a minimum."""

    units: Mapping[str, Applied]
    priced: frozenset[str]
    plain: PlainRates | None


@dataclass(frozen=True, slots=True)
class RateCard:
    """The prices of one call. A request of `n` input tokens in all is at the level whose number
    is how many of `thresholds` are below `n`. `reason` names what could not be had (a tier that
    has no price), `nothing_listed` that the list names the model and charges nothing,
    `by_region` that it has a price for where the call went."""

    currency: str
    thresholds: tuple[int, ...]
    levels: tuple[Level, ...]
    reason: str | None = None
    nothing_listed: bool = False
    by_region: bool = False

    def level(self, total_input: int) -> Level:
        return self.levels[bisect_left(self.thresholds, total_input)]


_OF_PLACES: Final = frozenset({"region", "endpoint"})
_NEEDS_MORE_THAN_PLAIN: Final = ("requests", "output_reasoning_tokens")
_PLAIN_ANCESTRY: Final = {
    "cache_read_tokens": ("cache_read_tokens", "input_tokens"),
    "cache_write_tokens": ("cache_write_tokens", "input_tokens"),
    "cache_write_1h_tokens": ("cache_write_1h_tokens", "cache_write_tokens", "input_tokens"),
}


def card_of(standard: Price, partials: Iterable[Price], reason: str | None = None) -> RateCard:
    """The standard price with the partial ones (the first to name a unit wins) laid over it."""
    partials = tuple(partials)
    prices: dict[str, tuple[UnitPrice, int]] = {}
    for row in (*partials, standard):
        for unit, unit_price in row.unit_prices.items():
            prices.setdefault(unit, (unit_price, row.id))
    thresholds = sorted(
        {
            tier.above
            for unit_price, _ in prices.values()
            if not unit_price.marginal
            for tier in unit_price.tiers
        }
    )
    floors = (0, *(start + 1 for start in thresholds))
    return RateCard(
        standard.currency,
        tuple(thresholds),
        tuple(_level(prices, floor) for floor in floors),
        reason,
        nothing_listed=not prices,
        by_region=any(_OF_PLACES & row.conditions.when.keys() for row in partials),
    )


def _level(prices: Mapping[str, tuple[UnitPrice, int]], total_input: int) -> Level:
    units = {
        unit: _applied(unit_price, total_input, price_id)
        for unit, (unit_price, price_id) in sorted(
            prices.items(), key=lambda item: UNIT_ORDER[item[0]]
        )
    }
    return Level(units, frozenset(units), _plain(units))


def _applied(unit_price: UnitPrice, total_input: int, price_id: int) -> Applied:
    first = _at(unit_price.at(total_input), unit_price.per, price_id)
    steps = tuple(
        (step.above, _at(step.price, unit_price.per, price_id)) for step in unit_price.slices()
    )
    return first._replace(steps=steps, minimum=unit_price.minimum)


def _at(price: Decimal, per: int, price_id: int) -> Applied:
    context = Context(prec=60)
    unit_price = context.divide(price, Decimal(per))
    terminates = not context.flags[Inexact]
    if not terminates:
        unit_price = context.quantize(unit_price, RATING_QUANTUM)
    return Applied(unit_price, price, per, terminates, price_id)


def _plain(units: Mapping[str, Applied]) -> PlainRates | None:
    if "input_tokens" not in units or any(unit in units for unit in _NEEDS_MORE_THAN_PLAIN):
        return None
    first = {
        unit: next(units[name] for name in ancestry if name in units)
        for unit, ancestry in _PLAIN_ANCESTRY.items()
    }
    text, output = units["input_tokens"], units.get("output_tokens")
    read, write = first["cache_read_tokens"], first["cache_write_tokens"]
    write_1h = first["cache_write_1h_tokens"]
    used = (text, read, write, write_1h, *((output,) if output else ()))
    if not all(a.terminates and not a.steps and a.minimum is None for a in used):
        return None
    return PlainRates(
        text.unit_price,
        text.price_id,
        read.unit_price,
        read.price_id,
        write.unit_price,
        write.price_id,
        write_1h.unit_price,
        write_1h.price_id,
        output.unit_price if output else None,
        output.price_id if output else 0,
    )
