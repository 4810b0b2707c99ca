"""What one group of bill lines and metered cells differs by, and why.

Quantities are explained before prices: what is left when quantities agree can only be the price.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import ROUND_HALF_EVEN, Decimal, Inexact, localcontext
from typing import Final, Literal, NamedTuple, get_args

from allocation.domain.bill_lines import LineKind
from allocation.domain.matching import Group
from metering.domain.money import EXACT, RATING_QUANTUM

Cause = Literal[
    "matched",
    "metered_not_billed",
    "unmetered",
    "unpriced",
    "executed_not_requested",
    "estimated_usage",
    "free_allowance",
    "volume_price",
    "price_difference",
    "reserved_capacity",
    "committed_minimum",
    "fees",
    "credits",
    "tax",
    "adjustments",
    "rounding",
    "unexplained",
]
CAUSES: Final[tuple[Cause, ...]] = get_args(Cause)[1:]
"""Why a bill differs, in the order in which a reader walks from metered cost to bill. `matched`
is no difference: it is the metered cost that the bill confirms."""

_BY_KIND: Final[Mapping[LineKind, Cause]] = {
    "fee": "fees",
    "credit": "credits",
    "tax": "tax",
    "adjustment": "adjustments",
}


class Evidence(NamedTuple):
    """What one group contributes to one cause.

    `amount` is the contribution, `billed` and `metered` what the bill asks and the priced usage
    should have cost in the whole group; quantities likewise (`None`: the bill gives none, or
    nothing is metered there). `counterpart` is the group that explains the difference, for causes
    that pair two.
    """

    cause: Cause
    group: Group
    amount: Decimal
    billed: Decimal
    metered: Decimal
    billed_quantity: Decimal | None
    metered_quantity: Decimal
    quantity: Decimal | None
    counterpart: Group | None = None
    note: str = ""


def explain(group: Group, allowed: Decimal) -> Iterator[Evidence]:
    """The causes of one group by itself; their amounts sum to bill minus metered cost.

    `allowed` is the largest difference that rounding explains.
    """
    with localcontext(EXACT):
        if not group.metered:
            yield from _bill_only(group)
        elif not group.bill:
            yield _evidence("metered_not_billed", group, -group.cost, group.metered_quantity)
        elif group.billed_quantity is None:
            yield from _without_quantities(group, allowed)
        else:
            yield from _with_quantities(group, group.billed_quantity, allowed)


def confirmed(group: Group, pieces: Iterable[Evidence]) -> Evidence:
    """The part of the group's metered cost that the bill confirms."""
    not_billed = total(p.amount for p in pieces if p.cause == "metered_not_billed")
    return _evidence("matched", group, total((group.cost, not_billed)), None)


def _bill_only(group: Group) -> Iterator[Evidence]:
    for kind in ("usage", "fee", "credit", "tax", "adjustment"):
        lines = [line for line in group.bill if line.kind == kind]
        if lines:
            cause: Cause = _BY_KIND.get(kind, "unmetered")
            quantity = group.billed_quantity if len(lines) == len(group.bill) else None
            yield _evidence(cause, group, total(line.amount for line in lines), quantity)


def _with_quantities(group: Group, billed: Decimal, allowed: Decimal) -> Iterator[Evidence]:
    counted = group.metered_quantity
    amount, cost = group.amount, group.cost
    if billed == 0 and amount != 0:
        yield from _without_quantities(group, allowed)
        return
    if billed > counted:
        surplus = _part(amount, billed - counted, billed)
        amount -= surplus
        yield _evidence("unmetered", group, surplus, billed - counted)
    elif billed < counted:
        shortfall = _part(cost, counted - billed, counted)
        cost -= shortfall
        yield _evidence("metered_not_billed", group, -shortfall, counted - billed)
    unpriced = group.unpriced_quantity
    if unpriced:
        of_unpriced = _part(amount, unpriced, counted)
        amount -= of_unpriced
        share = _part(min(billed, counted), unpriced, counted)
        yield _evidence("unpriced", group, of_unpriced, share)
    difference = amount - cost
    if difference:
        cause: Cause = "rounding" if abs(difference) <= allowed else "price_difference"
        yield _evidence(cause, group, difference, None)


def _without_quantities(group: Group, allowed: Decimal) -> Iterator[Evidence]:
    """Only amounts are known. Where one token class is half priced, half unpriced, the amount is
    divided by our own counts; a difference beyond rounding is left open."""
    amount, cost = group.amount, group.cost
    unpriced = group.unpriced_quantity
    one_class = len({m.cell.token_class for m in group.metered}) == 1
    note = "the bill gives no quantity for this"
    if unpriced and unpriced == group.metered_quantity:
        yield _evidence("unpriced", group, amount - cost, unpriced)
        return
    if unpriced and one_class:
        of_unpriced = _part(amount, unpriced, group.metered_quantity)
        amount -= of_unpriced
        yield _evidence("unpriced", group, of_unpriced, unpriced)
    elif unpriced:
        note = "the bill gives no quantity for this, and some of the usage has no price"
    difference = amount - cost
    if difference:
        small = abs(difference) <= allowed and not (unpriced and not one_class)
        cause: Cause = "rounding" if small else "unexplained"
        yield _evidence(cause, group, difference, None, "" if small else note)


def _evidence(
    cause: Cause, group: Group, amount: Decimal, quantity: Decimal | None, note: str = ""
) -> Evidence:
    return Evidence(
        cause=cause,
        group=group,
        amount=amount,
        billed=group.amount,
        metered=group.cost,
        billed_quantity=group.billed_quantity,
        metered_quantity=group.metered_quantity,
        quantity=quantity,
        note=note,
    )


def _part(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """amount * part / whole: exact where it terminates, else rounded to `RATING_QUANTUM` (what
    that leaves stays with the other part)."""
    with localcontext(EXACT) as context:
        context.clear_flags()
        share = amount * part / whole
        if context.flags[Inexact]:
            return share.quantize(RATING_QUANTUM, rounding=ROUND_HALF_EVEN)
        return share


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum."""
    with localcontext(EXACT):
        return sum(amounts, Decimal(0))
