"""How much of a difference rounding explains, and when small differences are a price after all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal, localcontext
from typing import Final

from allocation.domain.matching import Group
from allocation.domain.variances import Evidence, total
from metering.domain.money import EXACT, minor_digits

FINEST: Final = Decimal(1).scaleb(-9)
"""Amounts that differ by less are not told apart: providers send sums of binary doubles, whose
last digits are noise."""


def smallest_units(groups: Iterable[Group]) -> dict[int, Decimal]:
    """For each bill the smallest unit that it writes: the last decimal that any of its lines
    uses, no coarser than the currency's minor unit and no finer than `FINEST`."""
    decimals: dict[int, int] = {}
    for line in (line for g in groups for line in g.bill):
        exponent = line.amount.normalize(EXACT).as_tuple().exponent
        places = max(-int(exponent), minor_digits(line.currency))
        decimals[line.bill_id] = max(places, decimals.get(line.bill_id, 0))
    return {bill: max(Decimal(1).scaleb(-places), FINEST) for bill, places in decimals.items()}


def tolerance(group: Group, units: Mapping[int, Decimal]) -> Decimal:
    """How much of a difference the rounding of the group's bill lines can explain."""
    if not group.bill:
        return Decimal(0)
    return rounding_bound(len(group.bill), max(units[line.bill_id] for line in group.bill))


def rounding_bound(rows: int, unit: Decimal) -> Decimal:
    """`unit` times the smaller of rows / 2 and 2 √rows.

    Half a unit a row is the most that rounding can make, and where every row falls on a half
    (prices like 0.50 per million do that) a row deviates by as much, so that 2 √rows units are
    four standard deviations of their sum. FOCUS's tolerance appendix takes ½ √rows, one standard
    deviation there: too little for a month of cells.
    """
    with localcontext(EXACT):
        return unit * min(Decimal(rows) / 2, 2 * Decimal(rows).sqrt())


def unmask_prices(pieces: Sequence[Evidence], units: Mapping[int, Decimal]) -> list[Evidence]:
    """Rounding is what has no other cause. Over a month, the small differences of one model and
    token class are a price difference if together they exceed what so many rounded rows can
    make, and also on days between others on which the price plainly differs."""
    series: dict[tuple[str, str, str, str], list[Evidence]] = defaultdict(list)
    days: dict[tuple[str, str, str, str], list[date]] = defaultdict(list)
    for piece in pieces:
        if piece.cause == "rounding":
            series[_series(piece)].append(piece)
        elif piece.cause == "price_difference" and piece.counterpart is None:
            days[_series(piece)].append(piece.group.cell.day)
    renamed: dict[int, Evidence] = {}
    for key, small in series.items():
        changed = days.get(key)
        rest = small
        if changed:
            first, last = min(changed), max(changed)
            among = [p for p in small if first <= p.group.cell.day <= last]
            rest = [p for p in small if not first <= p.group.cell.day <= last]
            for p in among:
                renamed[id(p)] = p._replace(
                    cause="price_difference", note="within rounding, on days of another price"
                )
        if _leans(rest, units):
            for p in rest:
                renamed[id(p)] = p._replace(
                    cause="price_difference", note="each within rounding, together leaning one way"
                )
    return [renamed.get(id(p), p) for p in pieces]


def _series(piece: Evidence) -> tuple[str, str, str, str]:
    cell = piece.group.cell
    return (cell.provider, cell.model, cell.token_class, cell.tier)


def _leans(pieces: Sequence[Evidence], units: Mapping[int, Decimal]) -> bool:
    """Whether the differences together are more than rounding makes. Days of the same quantity
    round the same way and prove nothing more than one of them."""
    distinct = {(p.metered_quantity, p.amount): p for p in pieces}.values()
    lines = [line for p in distinct for line in p.group.bill]
    if not lines:
        return False
    unit = max(units[line.bill_id] for line in lines)
    return abs(total(p.amount for p in distinct)) > rounding_bound(len(lines), unit)
