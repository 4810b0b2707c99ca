"""The prices of its own that a contract states for a model: its rows as prices of units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation
from typing import Final

from metering.domain.prices import Conditions, DailyWindow, InvalidPrice, Tier, UnitPrice
from metering.domain.spelling import meant
from metering.domain.unit_prices import Allowance, Volume
from metering.domain.units import NAMES, UNITS, unit_named
from metering.pricelists.contract_fields import Line, conditions, number, whole
from metering.pricelists.parsed import UnreadablePriceList

_On = tuple[tuple[tuple[str, str], ...], DailyWindow | None]
OwnPrices = tuple[tuple[Conditions, Mapping[str, UnitPrice]], ...]

THRESHOLDS: Final = (
    "above_input_tokens",
    "from_input_tokens",
    "above_units",
    "above_month_units",
)
"""Columns that say from where on a row's price holds: one of them at most in a row."""
_EXACT: Final = Context(prec=60, traps=[DivisionByZero, Inexact, InvalidOperation])


@dataclass(slots=True)
class _Read:
    """What the rows of one unit say, while they are being read."""

    base: Decimal | None = None
    tiers: list[Tier] = field(default_factory=list)
    steps: list[Tier] = field(default_factory=list)
    volumes: list[Volume] = field(default_factory=list)
    minimum: Decimal | None = None
    allowance: Allowance | None = None


def own_prices(lines: Iterable[Line]) -> OwnPrices:
    """The prices that the rows of one term state, by the calls that they are for. Raises
    `UnreadablePriceList` and `InvalidPrice`."""
    found: dict[_On, dict[str, _Read]] = {}
    for line in lines:
        unit = unit_named(line.said("unit"))
        if unit is None:
            raise UnreadablePriceList(
                f"{line.place}: unit {line.said('unit')!r} is not known"
                f"{meant(line.said('unit'), NAMES)}"
            )
        on = conditions(line)
        units = found.setdefault((tuple(on.when.items()), on.window), {})
        read = units.setdefault(unit.name, _Read())
        try:
            _read_line(read, line, unit.name, _price(line, unit.name, unit.per))
        except InvalidPrice as error:
            raise UnreadablePriceList(f"{line.place}: {error}") from error
    return tuple(
        (Conditions(dict(when), window), {u: _unit_price(u, read) for u, read in units.items()})
        for (when, window), units in found.items()
    )


def _price(line: Line, unit: str, per_unit: int) -> Decimal:
    """What `per_unit` of the unit cost, exactly."""
    per = whole(line.said("per") or "0", "per", line.place, digits=12)
    if not per:
        raise UnreadablePriceList(
            f"{line.place}: per {line.said('per')!r}: say how many {unit} the price buys, like "
            "1000000"
        )
    price = number(line.said("price"), "price", line.place)
    try:
        return _EXACT.divide(_EXACT.multiply(price, per_unit), Decimal(per))
    except Inexact as error:
        raise UnreadablePriceList(
            f"{line.place}: {line.said('price')} for {per} {unit} is no finite decimal for "
            f"{per_unit}: state the price of {per_unit}"
        ) from error


def _read_line(read: _Read, line: Line, unit: str, price: Decimal) -> None:
    given = [column for column in THRESHOLDS if line.said(column)]
    if len(given) > 1:
        raise UnreadablePriceList(f"{line.place}: {' and '.join(given)}: give each a row")
    if given and (line.said("least_units") or line.said("free_units")):
        raise UnreadablePriceList(
            f"{line.place}: what is free, and the least that is paid for, stand beside the price "
            "without a threshold"
        )
    if not given:
        if read.base is not None:
            raise UnreadablePriceList(f"{line.place}: a second price for {unit}")
        least = line.said("least_units")
        read.base, read.allowance = price, _allowance(line)
        read.minimum = number(least, "least_units", line.place) if least else None
        return
    [column] = given
    if column == "above_month_units":
        read.volumes.append(Volume(number(line.said(column), column, line.place), price))
        return
    start = whole(line.said(column), column, line.place)
    tier = Tier(start, price, inclusive=column == "from_input_tokens")
    held = read.steps if column == "above_units" else read.tiers
    if any(each.above == tier.above for each in held):
        raise UnreadablePriceList(f"{line.place}: a second price for {unit}")
    held.append(tier)


def _unit_price(unit: str, read: _Read) -> UnitPrice:
    if read.base is None:
        raise InvalidPrice(f"{unit} has a price above a threshold and none below it")
    if read.steps and read.tiers:
        raise InvalidPrice(f"{unit} has thresholds of its own and of the input; which is first?")
    return UnitPrice(
        UNITS[unit].per,
        read.base,
        tuple(sorted(read.steps or read.tiers, key=lambda tier: tier.above)),
        marginal=bool(read.steps),
        minimum=read.minimum,
        allowance=read.allowance,
        volumes=tuple(sorted(read.volumes, key=lambda volume: volume.start)),
    )


def _allowance(line: Line) -> Allowance | None:
    """What of the row's units is free in a period."""
    if not line.said("free_units"):
        if line.said("free_every") or line.said("free_group"):
            raise UnreadablePriceList(f"{line.place}: how much is free? Give free_units")
        return None
    quantity = number(line.said("free_units"), "free_units", line.place)
    every = line.said("free_every").lower()
    if every not in ("day", "month"):
        raise UnreadablePriceList(f"{line.place}: free_every {every!r}: it is day or month")
    return Allowance(quantity, "day" if every == "day" else "month", line.said("free_group"))
