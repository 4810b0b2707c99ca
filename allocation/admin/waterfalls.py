"""A waterfall as a table: from metered cost to a provider's bill, cause by cause, with bars."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from django.utils.html import format_html
from django.utils.safestring import SafeString

from allocation.models import ReconciliationResult
from metering.admin.figures import exact, number
from metering.admin.tables import Column, Link, Section, Text, figures, text
from metering.admin.urls import list_url
from metering.domain.money import EXACT

CAUSES: Final = {
    "matched": "confirmed by the bill",
    "metered_not_billed": "metered but not billed",
    "unmetered": "billed but not metered",
    "unpriced": "usage without a price of ours",
    "executed_not_requested": "billed for another model",
    "estimated_usage": "usage that was estimated",
    "free_allowance": "free units of the period",
    "volume_price": "price by the month's volume",
    "price_difference": "another price",
    "reserved_capacity": "reserved capacity",
    "committed_minimum": "missing to the agreed minimum",
    "fees": "fees",
    "credits": "credits",
    "tax": "tax",
    "adjustments": "adjustments",
    "rounding": "rounding",
    "unexplained": "unexplained",
}
"""The causes as finance says them."""

_HUNDRED: Final = Decimal(100)


def waterfall(result: ReconciliationResult) -> Section:
    """One provider's way from metered cost to bill, step by step."""
    title = f"{result.provider}: from metered cost to the bill"
    return _unbilled(title, result) if _is_missing(result.bill) else _billed(title, result)


def _is_missing(bill: Decimal | None) -> bool:
    return bill is None


def _unbilled(title: str, result: ReconciliationResult) -> Section:
    told = result.evidence.filter(cause="reserved_capacity").values_list("note", flat=True)
    return Section(
        title,
        [*text("cause"), *figures("amount")],
        [("metered cost", exact(result.metered, result.currency))],
        note=" ".join(
            [
                f"{result.provider} sent no bill for the month: there is nothing to explain.",
                *(f"{note[:1].upper()}{note[1:]}." for note in told),
            ]
        ),
    )


def _billed(title: str, result: ReconciliationResult) -> Section:
    steps = [(step.cause, step.amount) for step in result.steps.all()]
    moved = [(cause, amount) for cause, amount in steps if amount]
    levels = [result.metered]
    for _, amount in moved:
        levels.append(EXACT.add(levels[-1], amount))
    scale = _Scale(min(*levels, Decimal(0)), max(*levels, Decimal(0)))
    whole = "metered cost", exact(result.metered, result.currency)
    rows: list[tuple[Text, ...]] = [(*whole, scale.bar(Decimal(0), result.metered, "whole"), "")]
    for (cause, amount), before, after in zip(moved, levels, levels[1:], strict=False):
        rows.append(
            (
                CAUSES[cause],
                exact(amount, result.currency),
                scale.bar(before, after, "open" if cause == "unexplained" else ""),
                _evidence(result, cause, "what it rests on"),
            )
        )
    return Section(
        title,
        [Column("cause"), Column("amount", is_figure=True), Column(""), Column("evidence")],
        rows,
        note=_note(result, steps),
        totals=(
            "bill",
            exact(result.bill, result.currency),
            scale.bar(Decimal(0), result.bill, "whole"),
            "",
        ),
        links=[Link("what the bill confirms", _evidence_url(result, "matched"))],
    )


def _note(result: ReconciliationResult, steps: list[tuple[str, Decimal]]) -> str:
    said = [f"Confirmed by the bill: {number(result.matched)} {result.currency}."]
    if result.unpriced_quantity:
        said.append(f"{number(result.unpriced_quantity)} tokens or units have no price of ours.")
    still = [CAUSES[cause] for cause, amount in steps if not amount and cause != "unexplained"]
    if still:
        said.append(f"No difference by: {'; '.join(still)}.")
    if any(cause == "unexplained" and amount for cause, amount in steps):
        said.append(f"The {result.unexplained_owner or 'controller'} answers for the unexplained.")
    return " ".join(said)


def _evidence_url(result: ReconciliationResult, cause: str) -> str:
    return list_url("allocation_reconciliationevidence", result=result.pk, cause=cause)


def _evidence(result: ReconciliationResult, cause: str, words: str) -> SafeString:
    return format_html('<a class="link" href="{}">{}</a>', _evidence_url(result, cause), words)


class _Scale:
    """Where an amount stands between the lowest and the highest level of a waterfall."""

    def __init__(self, low: Decimal, high: Decimal) -> None:
        self._low = low
        self._span = (high - low) or Decimal(1)

    def _at(self, level: Decimal) -> Decimal:
        return ((level - self._low) / self._span * _HUNDRED).quantize(Decimal("0.01"))

    def bar(self, start: Decimal, end: Decimal, kind: str) -> SafeString:
        left, right = sorted((self._at(start), self._at(end)))
        kind = kind or ("up" if end > start else "down")
        return format_html(
            '<span class="fall" aria-hidden="true"><span class="fall-{}" style="left:{}%;'
            'width:max({}%, 2px)"></span></span>',
            kind,
            left,
            right - left,
        )
