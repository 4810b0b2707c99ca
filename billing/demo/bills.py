"""The providers' bills for the made-up month: what they saw, and the planted differences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import NamedTuple

from allocation.domain.variances import Cause
from billing.demo import planted
from billing.demo.bill_documents import STORAGE_ITEM, Line, delimited_bill, openai_costs_page
from billing.demo.billed_usage import WEB_SEARCH, BilledCell
from billing.demo.catalogue import unit_price
from billing.demo.planted import Planted
from billing.demo.traffic import DAYS
from metering.domain.money import EXACT


class _Place(NamedTuple):
    """Where a usage line stands on its bill."""

    provider: str
    project: str
    day: int
    model: str
    token_class: str
    tier: str


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
    lines, unbilled = usage_lines(cells)
    lines += _bypass_lines()
    lines += _other_lines(lines)
    return MadeBills(
        openai_costs=openai_costs_page([line for line in lines if line.provider == "openai"]),
        anthropic_csv=delimited_bill([line for line in lines if line.provider == "anthropic"]),
        totals=_by_provider((line.provider, line.amount) for line in lines),
        metered=_by_provider((line.provider, line.metered) for line in (*lines, *unbilled)),
        planted=_differences([*lines, *unbilled]),
    )


def usage_lines(cells: Iterable[BilledCell]) -> tuple[list[Line], list[Line]]:
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
