"""Bills as documents: a page of OpenAI's Costs API, and a CSV as an accountant might get it.

The page's amounts are dollars, some as strings and some as numbers, as in practice; the CSV has
column names of its own and needs a map.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from allocation.domain.variances import Cause
from billing.demo.billed_usage import WEB_SEARCH
from billing.demo.traffic import DAYS, MONTH, START, YEAR
from metering.domain.money import plain

OPENAI_KINDS: Final = {"input": "input", "cache_read": "cached input", "output": "output"}
WEB_SEARCH_ITEM: Final = "web search tool calls"
STORAGE_ITEM: Final = "file search storage"

CSV_COLUMNS: Final = {
    "day": "usage_date",
    "project": "workspace",
    "kind": "line_type",
    "model": "model",
    "token_class": "token_type",
    "tier": "service_tier",
    "quantity": "tokens",
    "amount": "cost",
    "currency": "currency",
    "description": "details",
}
"""The field of a bill line, and the column of the CSV that holds it."""


class Line(NamedTuple):
    """A line as it stands on a bill, the metered cost under it, and what was planted in it."""

    provider: str
    project: str
    day: int
    kind: str
    model: str
    token_class: str
    tier: str
    quantity: int | None
    amount: Decimal
    metered: Decimal
    cause: Cause
    description: str = ""


def openai_costs_page(lines: Iterable[Line]) -> bytes:
    """All days of the month as one page of the Costs API, grouped by project and line item."""
    by_day: dict[int, list[Line]] = defaultdict(list)
    for line in lines:
        by_day[line.day].append(line)
    buckets = []
    for day in range(1, DAYS + 1):
        start = START + timedelta(days=day - 1)
        results = [
            {
                "object": "organization.costs.result",
                "amount": {"value": _wire_amount(line.amount, i), "currency": "usd"},
                "line_item": _line_item(line),
                "project_id": line.project,
                "api_key_id": None,
                "quantity": line.quantity,
            }
            for i, line in enumerate(by_day[day])
        ]
        buckets.append(
            {
                "object": "bucket",
                "start_time": int(start.timestamp()),
                "end_time": int((start + timedelta(days=1)).timestamp()),
                "results": results,
            }
        )
    page = {"object": "page", "data": buckets, "has_more": False, "next_page": None}
    return msgspec.json.format(msgspec.json.encode(page), indent=1)


def _wire_amount(amount: Decimal, i: int) -> str | msgspec.Raw:
    text = plain(amount)
    return text if i % 3 else msgspec.Raw(text.encode())


def _line_item(line: Line) -> str:
    if line.token_class == WEB_SEARCH:
        return WEB_SEARCH_ITEM
    return line.description or f"{line.model}, {OPENAI_KINDS[line.token_class]}"


def delimited_bill(lines: Iterable[Line]) -> bytes:
    """A CSV with the columns of `CSV_COLUMNS`, in the order of its days."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS.values())
    for line in sorted(lines, key=lambda line: (line.day, line.kind, line.model)):
        writer.writerow(
            (
                datetime(YEAR, MONTH, line.day, tzinfo=UTC).date().isoformat(),
                line.project,
                line.kind,
                line.model,
                line.token_class,
                line.tier,
                "" if line.quantity is None else line.quantity,
                plain(line.amount),
                "USD",
                line.description,
            )
        )
    return out.getvalue().encode()
