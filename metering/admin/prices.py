"""Prices: dated rows, and the lists they came from."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from metering.admin.bases import ReadOnlyAdmin, shown
from metering.admin.figures import (
    NOTHING,
    digest,
    exact,
    figure,
    instant,
    link,
    listing,
    number,
    validity,
)
from metering.admin.tables import Section, figures, text
from metering.domain.price_words import (
    conditions_in_words,
    period_in_words,
    thresholds_in_words,
)
from metering.domain.prices import Conditions, UnitPrice
from metering.models import CommitmentRow, PriceListImport, PriceRow

REFUSED_SHOWN: Final = 500


@admin.register(CommitmentRow)
class CommitmentRowAdmin(ReadOnlyAdmin):
    list_display = ("what", "provider", "model_id", "units", "amount", "valid", "book")
    list_filter = ("kind", "provider", "book")
    search_fields = ("provider", "model_id")
    ordering = ("provider", "kind", "model_id", "valid_from")
    fields = (("what", "provider", "model_id"), ("units", "amount"), ("valid", "book", "opened"))
    readonly_fields = ("what", "amount", "valid", "opened")

    @shown("commitment", order="kind")
    def what(self, row: CommitmentRow) -> str:
        return row.kind.replace("_", " ")

    @shown("of a unit an hour, or a month's least", order="price")
    def amount(self, row: CommitmentRow) -> SafeString:
        return exact(row.price, row.currency, extra=12)

    @shown("valid", order="valid_from")
    def valid(self, row: CommitmentRow) -> SafeString | str:
        if row.valid_from == row.valid_to:
            return "taken back before it began"
        return validity(row.valid_from, row.valid_to)

    @shown("from the contract")
    def opened(self, row: CommitmentRow) -> SafeString | str:
        return link("metering_pricelistimport", row.opened_by_id, row.opened_by)


@admin.register(PriceRow)
class PriceRowAdmin(ReadOnlyAdmin):
    list_display = ("model_id", "provider", "when", "input_figure", "output_figure", "valid")
    list_filter = ("provider", "book", "currency")
    search_fields = ("model_id", "provider")
    ordering = ("provider", "model_id", "rank", "valid_from")
    fields = (
        ("provider", "model_id"),
        ("when", "valid"),
        ("book", "opened"),
        ("currency", "content"),
        ("basis",),
    )
    readonly_fields = ("when", "valid", "opened", "content", "basis")

    def sections(self, request: HttpRequest, row: PriceRow) -> Sequence[Section]:  # noqa: ARG002
        prices = {name: UnitPrice.from_json(said) for name, said in row.unit_prices.items()}
        return [
            Section(
                "Prices",
                [
                    *text("unit"),
                    *figures("price", "per"),
                    *text("above a threshold, and at least", "by period"),
                ],
                [
                    (
                        name.replace("_", " "),
                        exact(price.base, row.currency, extra=12),
                        figure(price.per),
                        thresholds_in_words(price) or NOTHING,
                        period_in_words(price) or NOTHING,
                    )
                    for name, price in prices.items()
                ],
                note=_note(Conditions.from_json(row.conditions)),
            )
        ]

    @shown("bears on", order="rank")
    def when(self, row: PriceRow) -> str:
        return conditions_in_words(Conditions.from_json(row.conditions))

    @shown("input, per million")
    def input_figure(self, row: PriceRow) -> SafeString:
        return _per_million(row, "input_tokens")

    @shown("output, per million")
    def output_figure(self, row: PriceRow) -> SafeString:
        return _per_million(row, "output_tokens")

    @shown("valid", order="valid_from")
    def valid(self, row: PriceRow) -> SafeString | str:
        if row.valid_from is not None and row.valid_from == row.valid_to:
            return "taken back before it began"
        return validity(row.valid_from, row.valid_to)

    @shown("from the list")
    def opened(self, row: PriceRow) -> SafeString | str:
        return link("metering_pricelistimport", row.opened_by_id, row.opened_by)

    @shown("worked out from")
    def basis(self, row: PriceRow) -> SafeString | str:
        if row.derived_from_id is None or row.discount_percent is None:
            return NOTHING
        price = link("metering_pricerow", row.derived_from_id, f"price {row.derived_from_id}")
        return format_html("{} less {} %", price, number(row.discount_percent))

    @shown("digest")
    def content(self, row: PriceRow) -> SafeString:
        return digest(row.content_digest)


def _note(on: Conditions) -> str:
    if on.when:
        return "It states only what differs from the standard price."
    return "At these hours it holds in place of the standard price." if on.window else ""


def _per_million(row: PriceRow, unit: str) -> SafeString:
    said = row.unit_prices.get(unit)
    if said is None:
        return NOTHING
    price = UnitPrice.from_json(said)
    return exact(price.base * Decimal(1_000_000) / price.per, row.currency)


@admin.register(PriceListImport)
class PriceListImportAdmin(ReadOnlyAdmin):
    list_display = ("source", "book", "effective", "imported", "rows")
    list_filter = ("book",)
    ordering = ("-effective_at",)
    fields = (("source", "book"), ("effective", "imported"), ("content", "rows"))
    readonly_fields = ("effective", "imported", "content", "rows")

    def sections(self, request: HttpRequest, row: PriceListImport) -> Sequence[Section]:  # noqa: ARG002
        if not row.refused:
            return []
        return [
            Section(
                "Not taken over",
                text("provider", "model", "what", "why"),
                [
                    (each["provider"], each["model_id"], each["what"], each["reason"])
                    for each in row.refused[:REFUSED_SHOWN]
                ],
                note=f"{len(row.refused)} in all; usage of them is without a price, or has it "
                "from another list.",
            )
        ]

    @shown("takes effect", order="effective_at")
    def effective(self, row: PriceListImport) -> SafeString:
        return instant(row.effective_at)

    @shown("imported", order="imported_at")
    def imported(self, row: PriceListImport) -> SafeString:
        return instant(row.imported_at)

    @shown("digest")
    def content(self, row: PriceListImport) -> SafeString:
        return digest(row.digest)

    @shown("prices")
    def rows(self, row: PriceListImport) -> SafeString:
        return listing("metering_pricerow", "the prices it opened", opened_by__id__exact=row.pk)
