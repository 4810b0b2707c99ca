"""Whole months of bills for tests of the waterfall, and what metering would have counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from allocation.domain.bill_lines import BillLine
from allocation.domain.matching import match
from allocation.domain.variances import Cause
from allocation.domain.waterfall import waterfall
from metering.domain.cells import MeteredCell
from tests.allocation.domain.bills import DAY, bill_line, reading


def causes(bill: Sequence[BillLine], metered: Sequence[MeteredCell]) -> dict[Cause, Decimal]:
    """The causes that are not 0."""
    found = waterfall(match(bill, metered))
    return {s.cause: s.amount for s in found.steps if s.amount}


def month(unit_price: str = "0.0000025", days: int = 20) -> list[BillLine]:
    """The same usage on every day, billed line by line at the price."""
    return [
        bill_line(
            n + 1,
            day=DAY + timedelta(days=n),
            quantity=quantity,
            amount=quantity * Decimal(unit_price),
        )
        for n in range(days)
        for quantity in [100_003 + 7 * n]
    ]


def quantity_of(line: BillLine) -> Decimal:
    assert line.quantity is not None
    return line.quantity


def cost_of(metered: MeteredCell) -> Decimal:
    assert metered.cost is not None
    return metered.cost


def metering_of(
    bill: Iterable[BillLine], *, project: str | None = None, tier: str = "standard"
) -> list[MeteredCell]:
    """What metering would have counted, had it seen all that the bill charges for."""
    return [
        reading(
            project=line.project if project is None else project,
            day=line.day,
            model=line.model,
            token_class=line.token_class,
            tier=tier,
            quantity=quantity_of(line),
            cost=line.amount,
        )
        for line in bill
    ]


def calls(
    model: str, quantities: Mapping[str, int], project: str = "", *, times: int = 1
) -> list[BillLine]:
    prices = {"input": Decimal("0.01"), "output": Decimal("0.04"), "cache_read": Decimal("0.005")}
    return [
        bill_line(
            model=model,
            project=project,
            token_class=c,
            quantity=q,
            amount=q * prices[c] * times,
        )
        for c, q in quantities.items()
    ]


FALLBACK = {"input": 700, "output": 55, "cache_read": 300}
