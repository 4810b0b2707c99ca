"""A month's bills and usage without a database beneath: what the readings answer is plain data."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from allocation.domain.bill_lines import BillLine
from metering.domain.cells import Cell, MeteredCell, Owner
from metering.domain.periods import Month

OCTOBER = Month(2026, 10)
NOW = datetime(2026, 11, 2, tzinfo=UTC)
DAY = date(2026, 10, 3)
A, B = Owner("cc-a", "acme"), Owner("cc-b", "globex")


class MonthOfUsage:
    """A month's bills and usage, as the readings would answer."""

    def __init__(self) -> None:
        self.lines = [
            bill_line(1, "10.00"),
            bill_line(2, "0.005", model="o3"),
            bill_line(3, "-1.00", kind="credit", model="", token_class="", tier=""),
        ]
        self.cells = [metered(A, "2"), metered(B, "1")]
        self.drivers = {(A, ""): Decimal(2), (B, ""): Decimal(1)}

    def bill_lines(self, month: Month) -> list[BillLine]:
        return self.lines if month == OCTOBER else []


def bill_line(no: int, amount: str, **changes: Any) -> BillLine:
    return BillLine(
        1, no, "openai", "org", "proj", DAY, "usage", "gpt-4o", "input", "standard",
        None, "", Decimal(amount), "USD", "",
    )._replace(**changes)  # fmt: skip


def metered(owner: Owner, cost: str) -> MeteredCell:
    cell = Cell("openai", "proj", DAY, "gpt-4o", "input", "standard")
    return MeteredCell(cell, owner, Decimal(10), Decimal(cost), "USD", 1)
