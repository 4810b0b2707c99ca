"""The providers' bills for the made-up month: what they saw, and the planted differences.

OpenAI's is a page of its Costs API (dollars; some amounts as strings, some as numbers, as in
practice); Anthropic's is a CSV as an accountant might get it, which needs a column map.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Final, NamedTuple

import msgspec

from allocation.domain.variances import Cause
from billing.demo import planted
from billing.demo.billed_usage import BilledCell
from billing.demo.catalogue import unit_price
from billing.demo.planted import Planted
from billing.demo.traffic import DAYS, MONTH, START, YEAR
from metering.domain.money import EXACT, plain

OPENAI_KINDS: Final = {"input": "input", "cache_read": "cached input", "output": "output"}
WEB_SEARCH: Final = "web_search"
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


class _Place(NamedTuple):
    """Where a usage line stands on its bill."""

    provider: str
    project: str
    day: int
    model: str
    token_class: str
    tier: str


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


class MadeBills(NamedTuple):
    """The two documents, and how each differs from the metered cost.

    For each provider: `totals` (bill) = `metered` (cost) + the amounts of `planted`, exactly.
    """

    openai_costs: bytes
    anthropic_csv: bytes
    totals: dict[str, Decimal]
    metered: dict[str, Decimal]
    planted: tuple[Planted, ...]


def make_bills(cells: Iterable[BilledCell]) -> MadeBills:
    """Both bills of what the providers saw."""
    lines, unbilled = _usage_lines(cells)
    lines += _bypass_lines()
    lines += _other_lines(lines)
    return MadeBills(
        openai_costs=_openai_page([line for line in lines if line.provider == "openai"]),
        anthropic_csv=_csv([line for line in lines if line.provider == "anthropic"]),
        totals=_by_provider((line.provider, line.amount) for line in lines),
        metered=_by_provider((line.provider, line.metered) for line in (*lines, *unbilled)),
        planted=_differences([*lines, *unbilled]),
    )


def _usage_lines(cells: Iterable[BilledCell]) -> tuple[list[Line], list[Line]]:
    """The lines for what was metered, and (with amount 0) what the provider does not bill.

    A line gathers what its bill does not tell apart: the Costs API names no tier, and a web
    search no model.
    """
    parts: dict[tuple[_Place, bool], list[BilledCell]] = defaultdict(list)
    for cell in cells:
        tier = cell.tier if cell.provider == "anthropic" else ""
        model = "" if cell.token_class == WEB_SEARCH else cell.model
        place = _Place(cell.provider, cell.project, cell.day, model, cell.token_class, tier)
        parts[place, cell.billed is not None].append(cell)
    lines: list[Line] = []
    unbilled: list[Line] = []
    for place, is_billed in sorted(parts):
        line = _usage_line(place, parts[place, is_billed])
        (lines if is_billed else unbilled).append(line)
    return lines, unbilled


def _usage_line(place: _Place, cells: list[BilledCell]) -> Line:
    with localcontext(EXACT):
        metered = sum((c.metered for c in cells if c.metered is not None), Decimal(0))
        exact = sum((c.billed for c in cells if c.billed is not None), Decimal(0))
    quantity: int | None = sum(c.quantity for c in cells)
    amount = _rounded(exact)
    cause = _cause(cells[0], place)
    if cause == "unexplained":
        quantity = None
        amount += planted.ODD_AMOUNT
    provider, project, day, model, token_class, tier = place
    return Line(
        provider, project, day, "usage", model, token_class, tier, quantity, amount, metered, cause
    )


def _cause(cell: BilledCell, place: _Place) -> Cause:
    """Why the line differs from the metered cost: one reason for each line."""
    model, day = place.model, place.day
    if cell.billed is None:
        return "metered_not_billed"
    if model == planted.PREVIEW_MODEL:
        return "unpriced"
    if model == planted.REROUTED_TO:
        return "executed_not_requested"
    if model == planted.DRIFT_MODEL_BILLED and day >= planted.DRIFT_FROM_DAY:
        return "price_difference"
    if (model, day, place.token_class) == (planted.ODD_MODEL, planted.ODD_DAY, "output"):
        return "unexplained"
    return "rounding"


def _bypass_lines() -> list[Line]:
    """A project that nobody meters."""
    lines = []
    for day in planted.BYPASS_DAYS:
        for token_class, tokens in planted.BYPASS_TOKENS.items():
            price = unit_price("openai", planted.BYPASS_MODEL, day, "standard", token_class)
            amount = _rounded(EXACT.multiply(price, Decimal(tokens)))
            lines.append(
                Line(
                    "openai", planted.BYPASS_PROJECT, day, "usage", planted.BYPASS_MODEL,
                    token_class, "", tokens, amount, Decimal(0), "unmetered",
                )
            )  # fmt: skip
    return lines


def _other_lines(lines: list[Line]) -> list[Line]:
    """A fee on the one bill; a credit, and tax on all before it, on the other."""
    fee = Line(
        "openai", planted.WEB_PROJECT, 1, "fee", "", "", "", None, planted.STORAGE_FEE,
        Decimal(0), "fees", STORAGE_ITEM,
    )  # fmt: skip
    credit = Line(
        "anthropic", "", DAYS, "credit", "", "", "", None, planted.PROMOTION,
        Decimal(0), "credits", "promotional credit",
    )  # fmt: skip
    with localcontext(EXACT):
        net = sum((line.amount for line in lines if line.provider == "anthropic"), Decimal(0))
        taxed = (net + planted.PROMOTION) * planted.TAX_PERCENT / 100
    tax = Line(
        "anthropic", "", DAYS, "tax", "", "", "", None, _rounded(taxed, 2),
        Decimal(0), "tax", f"sales tax {planted.TAX_PERCENT} %",
    )  # fmt: skip
    return [fee, credit, tax]


def _rounded(amount: Decimal, decimals: int = planted.BILL_DECIMALS) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN, context=EXACT)


def _by_provider(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    totals: dict[str, Decimal] = {}
    with localcontext(EXACT):
        for provider, amount in amounts:
            totals[provider] = totals.get(provider, Decimal(0)) + amount
    return totals


def _differences(lines: list[Line]) -> tuple[Planted, ...]:
    """The planted differences by provider and cause, exactly as they stand in the lines."""
    found: dict[tuple[str, Cause], list[Line]] = defaultdict(list)
    for line in lines:
        found[line.provider, line.cause].append(line)
    with localcontext(EXACT):
        return tuple(
            Planted(
                provider,
                cause,
                sum((line.amount - line.metered for line in members), Decimal(0)),
                len(members),
                planted.STORIES[cause],
            )
            for (provider, cause), members in sorted(found.items())
        )


def _openai_page(lines: list[Line]) -> bytes:
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
            for i, line in enumerate(line for line in lines if line.day == day)
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


def _csv(lines: list[Line]) -> bytes:
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
