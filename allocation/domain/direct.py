"""Direct allocation: a billed cell goes to those whose calls it is made of.

Shared (batched) calls need nothing here: metering has already split their tokens and cost into the
owners of the shares, so each reading of a cell belongs to exactly one owner.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal, localcontext
from typing import NamedTuple

from allocation.domain.cost_shares import CostShare, conserved
from metering.domain.apportionment import portions
from metering.domain.cells import MeteredCell, Owner, counts_tokens
from metering.domain.money import EXACT


class DirectBasis(NamedTuple):
    """How much each owner used of a cell, and in which measure; `basis` is `""` if nothing."""

    basis: str
    values: dict[Owner, Decimal]


def direct_basis(readings: Iterable[MeteredCell]) -> DirectBasis:
    """The measure that divides a cell: metered cost, or quantity where costs do not compare.

    Cost is used only if every reading that has a quantity is priced, all in one currency, and the
    cost is above zero. With one unpriced reading its owner would otherwise bear nothing, which is
    to take unknown for zero; with free usage nobody would bear anything. Where a group holds
    tokens beside units of tools, only tokens are counted, since the two do not add up.
    """
    readings = tuple(readings)
    tokens = {name for name in {r.cell.token_class for r in readings} if counts_tokens(name)}
    tokens_only = any(r.quantity and r.cell.token_class in tokens for r in readings)
    cost: defaultdict[Owner, Decimal] = defaultdict(Decimal)
    quantity: defaultdict[Owner, Decimal] = defaultdict(Decimal)
    currencies: set[str] = set()
    comparable = True
    with localcontext(EXACT):
        for cell, owner, used, costs, currency, _ in readings:
            if not tokens_only or cell.token_class in tokens:
                quantity[owner] += used
            if costs is not None:
                cost[owner] += costs
                if costs:
                    currencies.add(currency)
            elif used:
                comparable = False
        if comparable and len(currencies) == 1 and sum(cost.values()) > 0:
            return DirectBasis("metered_cost", dict(cost))
        if sum(quantity.values()) > 0:
            return DirectBasis("quantity", dict(quantity))
    return DirectBasis("", {})


def divide_directly(total_units: int, basis: DirectBasis) -> tuple[CostShare, ...]:
    """A billed cell's amount over the owners who used the cell.

    Raises `NothingToApportionOver` for an empty basis: such an amount is unmetered, a pool's.
    """
    with localcontext(EXACT):
        total = sum(basis.values.values(), Decimal(0))
    return conserved(
        total_units,
        (
            CostShare(owner, "", units, rounding, basis.basis, basis.values[owner], total, None)
            for owner, (units, rounding) in portions(total_units, basis.values).items()
            if basis.values[owner]
        ),
    )
