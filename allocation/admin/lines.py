"""A run's lines, and the bill lines its pools took."""

from __future__ import annotations

from decimal import Decimal

from django.contrib import admin
from django.utils.safestring import SafeString

from allocation.models import AllocationLine, AllocationSource
from metering.admin.bases import ReadOnlyAdmin, shown
from metering.admin.figures import NOTHING, day, exact, number


@admin.register(AllocationLine)
class AllocationLineAdmin(ReadOnlyAdmin):
    list_display = (
        "number",
        "owner",
        "of_what",
        "pool",
        "strategy",
        "share",
        "amount_figure",
        "rounded",
    )
    list_filter = ("strategy",)
    search_fields = ("cost_centre", "tenant", "model")
    search_help_text = "cost centre, tenant or model"
    ordering = ("run", "number")
    fields = (
        ("run", "number"),
        ("cost_centre", "tenant"),
        ("of_what", "project"),
        ("when", "bill_id"),
        ("pool", "strategy"),
        ("basis", "share"),
        ("amount_figure", "rounded"),
    )
    readonly_fields = ("of_what", "when", "share", "amount_figure", "rounded")

    @shown("owner", order="cost_centre")
    def owner(self, row: AllocationLine) -> str:
        return f"{row.cost_centre} / {row.tenant}" if row.tenant else row.cost_centre or NOTHING

    @shown("of")
    def of_what(self, row: AllocationLine) -> str:
        said = (row.provider, row.model, row.token_class.replace("_", " "), row.tier, day(row.day))
        return ", ".join(part for part in said if part and part != NOTHING)

    @shown("day")
    def when(self, row: AllocationLine) -> str:
        return day(row.day)

    @shown("measure")
    def share(self, row: AllocationLine) -> str:
        basis = row.basis.removeprefix("driver:").replace("_", " ")
        return _measured(basis, row.basis_value, row.weight, row.basis_total)

    @shown("amount", order="amount")
    def amount_figure(self, row: AllocationLine) -> SafeString:
        return exact(row.amount, row.currency, extra=10)

    @shown("rounding")
    def rounded(self, row: AllocationLine) -> str:
        if not row.rounding_units:
            return NOTHING
        return f"{'+' if row.rounding_units > 0 else ''}{row.rounding_units} unit of the run"


def _measured(
    basis: str, value: Decimal | None, weight: Decimal | None, total: Decimal | None
) -> str:
    """`1,200 x 2 of 90,000 tokens`; what was assigned whole has a reason instead."""
    if value is None:
        return basis
    weighted = "" if weight is None else f" x {number(weight)}"
    return f"{number(value)}{weighted} of {number(total)} {basis}"


@admin.register(AllocationSource)
class AllocationSourceAdmin(ReadOnlyAdmin):
    list_display = ("bill_id", "line_no", "pool", "amount_figure")
    search_fields = ("pool",)
    ordering = ("run", "bill_id", "line_no")
    fields = ("run", ("bill_id", "line_no"), ("pool", "amount_figure"))
    readonly_fields = ("amount_figure",)

    @shown("amount", order="amount")
    def amount_figure(self, row: AllocationSource) -> SafeString:
        return exact(row.amount, row.currency)
