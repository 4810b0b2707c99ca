"""Prices that hang on the period: free allowances and committed volumes, as adjustments to it.

An event's cost never depends on what came before it, so events cost their full price; what a UTC
day or month makes of it is worked out here from the period's totals, for reconciliation.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from metering.domain.apportionment import apportion
from metering.domain.cells import Cell
from metering.domain.money import EXACT, RATING_QUANTUM, from_units, to_units
from metering.domain.prices import Price
from metering.domain.unit_prices import InvalidPrice, UnitPrice

AdjustmentCause = Literal["free_allowance", "volume_price"]

_SCALE: Final = 18
_NONE: Final[frozenset[Cell]] = frozenset()


class Use(NamedTuple):
    """How much of a unit was used in a cell at one price: a total of rated lines. `unit` is the
    one that the price names, which may hold the cell's class."""

    cell: Cell
    price: Price
    unit: str
    quantity: Decimal


class Adjustment(NamedTuple):
    """What the period adds to the cost of its events (less than 0: a credit), rounded once, to
    `RATING_QUANTUM`. `start` is the period's first day; `quantity` are the units it is for;
    `cells` are those that the price's uses in the period are in, sorted."""

    cause: AdjustmentCause
    start: date
    price_id: int
    unit: str
    quantity: Decimal
    amount: Decimal
    currency: str
    cells: tuple[Cell, ...]


def adjustments(uses: Iterable[Use]) -> tuple[Adjustment, ...]:
    """What allowances and volumes change in the cost of the uses, sorted.

    The uses of a period must all be given, or its allowance would be granted on a part. Of an
    allowance that several prices share, each gets its part by how much of it was used, and so do
    the days of a month, since nobody can tell which search was the free one. A volume is each
    price's own. Raises `InvalidPrice` where one group's prices disagree about its allowance.
    """
    free: dict[tuple[date, str], dict[tuple[int, str], _Used]] = {}
    graduated: dict[tuple[date, str], dict[tuple[int, str], _Used]] = {}
    for use in uses:
        terms = use.price.unit_prices[use.unit]
        if terms.allowance is not None:
            day = use.cell.day
            start = day if terms.allowance.every == "day" else day.replace(day=1)
            group = terms.allowance.group or f"{use.price.id}/{use.unit}"
            _add(free.setdefault((start, group), {}), use, terms)
        elif terms.volumes:
            alone = f"{use.price.id}/{use.unit}"
            _add(graduated.setdefault((use.cell.day.replace(day=1), alone), {}), use, terms)
    found = [
        credit for (start, group), used in free.items() for credit in _free(start, group, used)
    ]
    for (start, _), used in graduated.items():
        found += [_volume(start, each) for each in used.values()]
    return tuple(sorted(each for each in found if each.amount))


class _Used(NamedTuple):
    price: Price
    unit: str
    terms: UnitPrice
    quantity: Decimal
    cells: frozenset[Cell]


def _add(uses: dict[tuple[int, str], _Used], use: Use, terms: UnitPrice) -> None:
    key = (use.price.id, use.unit)
    quantity, cells = (uses[key].quantity, uses[key].cells) if key in uses else (Decimal(0), _NONE)
    uses[key] = _Used(
        use.price, use.unit, terms, EXACT.add(quantity, use.quantity), cells | {use.cell}
    )


def _free(start: date, group: str, uses: dict[tuple[int, str], _Used]) -> list[Adjustment]:
    [*allowances] = {use.terms.allowance for use in uses.values()}
    if len(allowances) > 1 or allowances[0] is None:
        raise InvalidPrice(f"allowance {group}: its prices grant different quantities; make one")
    weights = {key: to_units(use.quantity, _SCALE) for key, use in uses.items()}
    granted = min(to_units(allowances[0].quantity, _SCALE), sum(weights.values()))
    if not granted:
        return []
    shares = apportion(granted, weights)
    assert sum(shares.values()) == granted
    return [
        Adjustment(
            "free_allowance",
            start,
            use.price.id,
            use.unit,
            from_units(shares[key], _SCALE),
            _amount(use.terms.base, use.terms.per, -from_units(shares[key], _SCALE)),
            use.price.currency,
            tuple(sorted(use.cells)),
        )
        for key, use in uses.items()
    ]


def _volume(start: date, use: _Used) -> Adjustment:
    """The month's graduated price less what its units cost at the base price."""
    beyond, amount = Decimal(0), Decimal(0)
    ends: list[Decimal | None] = [volume.start for volume in use.terms.volumes]
    for (begins, ends_at), volume in zip(pairwise([*ends, None]), use.terms.volumes, strict=True):
        assert begins is not None
        reached = (use.quantity if ends_at is None else min(use.quantity, ends_at)) - begins
        if reached > 0:
            beyond += reached
            amount += _amount(volume.price - use.terms.base, use.terms.per, reached)
    return Adjustment(
        "volume_price",
        start,
        use.price.id,
        use.unit,
        beyond,
        amount,
        use.price.currency,
        tuple(sorted(use.cells)),
    )


def _amount(price: Decimal, per: int, quantity: Decimal) -> Decimal:
    product = EXACT.multiply(price, quantity)
    return EXACT.quantize(EXACT.divide(product, Decimal(per)), RATING_QUANTUM).normalize(EXACT)
