"""Bill lines and readings for tests: one call says only what the test is about."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from allocation.domain.bill_lines import BillLine
from metering.domain.cells import Cell, MeteredCell, Owner

DAY = date(2026, 10, 3)
SNAPSHOT = "gpt-4o-2024-08-06"


def bill_line(line_no=1, **said) -> BillLine:
    """A usage line of 10 input tokens for 1 USD, unless said otherwise."""
    fields = {
        "bill_id": 1,
        "provider": "openai",
        "account": "",
        "project": "",
        "day": DAY,
        "kind": "usage",
        "model": SNAPSHOT,
        "token_class": "input",
        "tier": "",
        "quantity": 10,
        "quantity_unit": "",
        "amount": 1,
        "currency": "USD",
        "description": "",
    } | said
    fields["amount"] = Decimal(fields["amount"])
    if fields["quantity"] is not None:
        fields["quantity"] = Decimal(fields["quantity"])
    return BillLine(line_no=line_no, **fields)


def reading(owner="a", quantity=10, cost=1, currency="USD", **cell) -> MeteredCell:
    """10 input tokens for 1 USD of cost centre `a`, unless said otherwise."""
    fields = {
        "provider": "openai",
        "project": "",
        "day": DAY,
        "model": SNAPSHOT,
        "token_class": "input",
        "tier": "standard",
    } | cell
    return MeteredCell(
        cell=Cell(**fields),
        owner=Owner(owner),
        quantity=Decimal(quantity),
        cost=None if cost is None else Decimal(cost),
        currency=currency,
        events=1,
    )
