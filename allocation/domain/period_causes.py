"""Differences that hang on the month, not on a call: named where a bill shows them.

Metered cost is what the calls cost one by one. What a contract makes of the month stands in the
bill some other way: in place (less for the same quantity, or a smaller quantity), or as a line of
its own (a credit, a shortfall, the hours of reserved capacity). So these causes take over from
what `variances` found, as far as the month's prices go and no further:

* `estimated_usage`: in cells with usage that was estimated, at most what it was estimated to cost;
* `free_allowance`, `volume_price`: at most the period's adjustment;
* `reserved_capacity`: lines for capacity, at most what the reservation comes to;
* `committed_minimum`: a charge that says so, or comes to just that, at most what is missing.

What is left of a difference keeps its cause, so everything still adds up to the bill. What should
be on the bill and is not is told beside the cause, with an amount of 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from allocation.domain.bill_lines import BillLine
from allocation.domain.matching import Group, is_capacity, same_model
from allocation.domain.variances import Cause, Evidence, total
from metering.domain.cells import Cell
from metering.domain.commitments import Commitment, missing_to
from metering.domain.money import EXACT, plain
from metering.domain.period_costs import PeriodCosts, Reserved
from metering.domain.period_prices import Adjustment, AdjustmentCause
from metering.domain.periods import Month
from metering.domain.units import unit_named

_SAYS: Final[Mapping[Cause, re.Pattern[str]]] = {
    "free_allowance": re.compile(r"\b(free|allowance|included)\b", re.IGNORECASE),
    "volume_price": re.compile(r"\b(volume|tiered|committed.use)\b", re.IGNORECASE),
    "committed_minimum": re.compile(
        r"\b(minimum|commit(ment|ted)?|shortfall|true.?up)\b", re.IGNORECASE
    ),
}
"""How a bill's own text names what hangs on the month."""

_IN_PLACE: Final[Mapping[AdjustmentCause, frozenset[Cause]]] = {
    "free_allowance": frozenset({"price_difference", "unexplained", "metered_not_billed"}),
    "volume_price": frozenset({"price_difference", "unexplained"}),
}
_BY_COUNT: Final[frozenset[Cause]] = frozenset({"metered_not_billed", "unmetered", "unexplained"})
_APART: Final[frozenset[Cause]] = frozenset({"credits", "adjustments"})
_CHARGED: Final[frozenset[Cause]] = frozenset({"fees", "adjustments", "unmetered"})

_Chosen = Callable[[Evidence], bool]


def name_what_hangs_on_the_month(
    pieces: Sequence[Evidence], costs: PeriodCosts, groups: Sequence[Group], unit: Decimal
) -> list[Evidence]:
    """The pieces of one provider's month, with these causes in place of others; the sum stays.

    `costs` are the provider's, in the bill's currency; `unit` is the smallest that its bills
    write: what differs by less is no difference.
    """
    named = _Pieces(pieces, groups, unit)
    if costs.estimated:
        _name_estimates(named, costs)
    _name_adjustments(named, costs)
    _name_capacity(named, costs.reserved)
    _name_minimums(named, costs)
    return named.pieces


class _Pieces:
    """The pieces while they are being renamed, in their order."""

    def __init__(self, pieces: Sequence[Evidence], groups: Sequence[Group], unit: Decimal) -> None:
        self.pieces = list(pieces)
        self.groups = groups
        self.unit = unit

    def take(self, amount: Decimal, cause: Cause, chosen: _Chosen, note: str = "") -> Decimal:
        """Give the cause as much of the amount as the chosen pieces of its sign hold; what is
        left of it."""
        found: list[Evidence] = []
        for piece in self.pieces:
            if not amount or not _alike(piece.amount, amount) or not chosen(piece):
                found.append(piece)
                continue
            part = min(piece.amount, amount, key=abs)
            amount = EXACT.subtract(amount, part)
            left = EXACT.subtract(piece.amount, part)
            quantity = None if left else piece.quantity
            found.append(
                piece._replace(cause=cause, amount=part, quantity=quantity, note=note or piece.note)
            )
            if left:
                found.append(piece._replace(amount=left, quantity=None))
        self.pieces = found
        return amount

    def tell(self, cause: Cause, group: Group | None, note: str) -> None:
        """Say something of the cause, at a group, that changes no amount."""
        if group is not None:
            self.pieces.append(
                Evidence(
                    cause=cause,
                    group=group,
                    amount=Decimal(0),
                    billed=group.amount,
                    metered=group.cost,
                    billed_quantity=group.billed_quantity,
                    metered_quantity=group.metered_quantity,
                    quantity=None,
                    note=note,
                )
            )


def _alike(one: Decimal, other: Decimal) -> bool:
    return one != 0 and (one > 0) == (other > 0)


def _name_estimates(named: _Pieces, costs: PeriodCosts) -> None:
    for group in named.groups:
        cells = {reading.cell for reading in group.metered} & costs.estimated.keys()
        most = total(costs.estimated[cell].cost for cell in cells)
        if not most:
            continue

        def chosen(piece: Evidence, group: Group = group) -> bool:
            return piece.group is group and piece.cause in _BY_COUNT

        note = f"of this, {plain(most)} is metered by estimates of tokens"
        for amount in (most, -most):
            named.take(amount, "estimated_usage", chosen, note)


def _name_adjustments(named: _Pieces, costs: PeriodCosts) -> None:
    """Where the bill is less (or more) in place first; then lines of their own."""
    for cause, causes in _IN_PLACE.items():
        ours = [each for each in costs.adjustments if each.cause == cause]
        if not ours:
            continue
        rest = Decimal(0)
        for each in ours:
            rest = EXACT.add(rest, named.take(each.amount, cause, _within(each, causes)))
        rest = named.take(rest, cause, _apart(cause, ours, rest, named.unit))
        if abs(rest) > named.unit:
            group = _of_cells(named.groups, {cell for each in ours for cell in each.cells})
            named.tell(cause, group, f"{plain(rest)} more is agreed, and not on the bill")


def _within(adjustment: Adjustment, causes: frozenset[Cause]) -> _Chosen:
    cells = frozenset(adjustment.cells)

    def chosen(piece: Evidence) -> bool:
        if piece.cause not in causes:
            return False
        used = [m.cell for m in piece.group.metered if m.quantity]
        if piece.cause == "metered_not_billed":
            return bool(used) and cells.issuperset(used)
        return not cells.isdisjoint(used)

    return chosen


def _apart(
    cause: AdjustmentCause, ours: Sequence[Adjustment], rest: Decimal, unit: Decimal
) -> _Chosen:
    """Credits that name the cause, the model or the unit, or that come to just the rest."""
    units = {each.unit for each in ours}
    models = {cell.model for each in ours for cell in each.cells}

    def chosen(piece: Evidence) -> bool:
        return piece.cause in _APART and (
            abs(piece.amount - rest) <= unit
            or any(_names(line, cause, units, models) for line in piece.group.bill)
        )

    return chosen


def _names(line: BillLine, cause: Cause, units: set[str], models: set[str]) -> bool:
    unit = unit_named(line.token_class)
    if line.token_class:
        return unit is not None and unit.name in units
    if line.model:
        return any(same_model(line.model, model) for model in models)
    return _SAYS[cause].search(line.description) is not None


def _of_cells(groups: Sequence[Group], cells: set[Cell]) -> Group | None:
    return next((g for g in groups if any(m.cell in cells for m in g.metered)), None)


def _name_capacity(named: _Pieces, reserved: Sequence[Reserved]) -> None:
    """Lines that name a model before those that name none; what a bill asks beyond what is
    reserved is another price."""
    amounts: dict[str, Decimal] = {}
    for each in reserved:
        model = each.commitment.model
        cost = total(day.amount for day in each.costs)
        amounts[model] = EXACT.add(amounts.get(model, Decimal(0)), cost)
    for names_it in (True, False):
        for model, amount in amounts.items():
            chosen = _capacity_of(model, names_it=names_it)
            amounts[model] = named.take(amount, "reserved_capacity", chosen)
    for model, rest in amounts.items():
        group = next((g for g in named.groups if any(_is_of(line, model) for line in g.bill)), None)
        if rest > named.unit:
            none = "" if group else ": no line of it is for that"
            note = f"{plain(rest)} more is reserved for {model}, and not on the bill{none}"
            named.tell("reserved_capacity", group or _that_ran(named.groups, model), note)
        elif group is not None:
            beyond = total(p.amount for p in named.pieces if _capacity_of(model)(p))
            note = f"beyond what is reserved for {model}"
            named.take(beyond, "price_difference", _capacity_of(model), note)


def _that_ran(groups: Sequence[Group], model: str) -> Group | None:
    """Where to speak of a model that the bill does not: at its calls, else at the first group."""
    of_model = (
        g for g in groups if any(same_model(m.cell.model.lower(), model) for m in g.metered)
    )
    return next(of_model, next(iter(groups), None))


def _capacity_of(model: str, *, names_it: bool | None = None) -> _Chosen:
    def chosen(piece: Evidence) -> bool:
        lines = piece.group.bill
        return (
            piece.cause in _CHARGED
            and bool(lines)
            and all(_is_of(line, model) for line in lines)
            and names_it in (None, all(line.model for line in lines))
        )

    return chosen


def _is_of(line: BillLine, model: str) -> bool:
    return is_capacity(line) and same_model(line.model.lower(), model)


def _name_minimums(named: _Pieces, costs: PeriodCosts) -> None:
    if not costs.minimums:
        return
    spent = total(
        (
            *(group.cost for group in named.groups),
            *(each.amount for each in costs.adjustments),
            *(day.amount for each in costs.reserved for day in each.costs),
        )
    )
    for minimum in costs.minimums:
        _name_minimum(named, costs.month, minimum, spent)


def _name_minimum(named: _Pieces, month: Month, minimum: Commitment, spent: Decimal) -> None:
    """What is missing by our count or by the bill's other lines, whichever is more."""
    lines = [line for group in named.groups for line in group.bill if line.kind != "tax"]
    billed = total(line.amount for line in lines)
    says = total(line.amount for line in lines if _is_shortfall(line))

    def missing(charged_so: Decimal) -> Decimal:
        return missing_to(minimum, month, min(spent, EXACT.subtract(billed, charged_so)))

    def says_so(piece: Evidence) -> bool:
        return piece.cause in _CHARGED and any(map(_is_shortfall, piece.group.bill))

    def comes_to_it(piece: Evidence) -> bool:
        return (
            piece.cause in _CHARGED
            and not piece.group.metered
            and abs(piece.amount - missing(piece.amount)) <= named.unit
        )

    if says:
        named.take(missing(says), "committed_minimum", says_so)
    else:
        found = [piece.amount for piece in named.pieces if comes_to_it(piece)]
        most = missing(max(found, default=Decimal(0)))
        named.take(most, "committed_minimum", comes_to_it)
    short = missing_to(minimum, month, billed)
    if short > named.unit:
        note = f"{plain(short)} is missing to the minimum of {plain(minimum.price)}"
        group = next(iter(named.groups), None)
        named.tell("committed_minimum", group, f"{note}, and not on the bill")


def _is_shortfall(line: BillLine) -> bool:
    return (
        line.amount > 0
        and not line.model
        and not line.token_class
        and _SAYS["committed_minimum"].search(line.description) is not None
    )
