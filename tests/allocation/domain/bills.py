"""Bill lines and readings for tests: one call says only what the test is about."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TypeAlias

from allocation.domain.bill_lines import BillLine, LineKind
from metering.domain.cells import Cell, MeteredCell, Owner

DAY = date(2026, 10, 3)
SNAPSHOT = "gpt-4o-2024-08-06"

Number: TypeAlias = Decimal | int | str


def bill_line(
    line_no: int = 1,
    *,
    project: str = "",
    day: date = DAY,
    kind: LineKind = "usage",
    model: str = SNAPSHOT,
    token_class: str = "input",
    tier: str = "",
    quantity: Number | None = 10,
    amount: Number = 1,
    currency: str = "USD",
) -> BillLine:
    """A usage line of 10 input tokens for 1 USD, unless said otherwise."""
    return BillLine(
        bill_id=1,
        line_no=line_no,
        provider="openai",
        account="",
        project=project,
        day=day,
        kind=kind,
        model=model,
        token_class=token_class,
        tier=tier,
        quantity=None if quantity is None else Decimal(quantity),
        quantity_unit="",
        amount=Decimal(amount),
        currency=currency,
        description="",
    )


def reading(
    owner: str = "a",
    *,
    provider: str = "openai",
    project: str = "",
    day: date = DAY,
    model: str = SNAPSHOT,
    token_class: str = "input",
    tier: str = "standard",
    quantity: Number = 10,
    cost: Number | None = 1,
    currency: str = "USD",
) -> MeteredCell:
    """10 input tokens for 1 USD of cost centre `a`, unless said otherwise."""
    return MeteredCell(
        cell=Cell(provider, project, day, model, token_class, tier),
        owner=Owner(owner),
        quantity=Decimal(quantity),
        cost=None if cost is None else Decimal(cost),
        currency=currency,
        events=1,
    )
