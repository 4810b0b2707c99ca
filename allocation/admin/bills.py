"""Providers' bills: what they charge, the bytes they came as, and what replaced them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from allocation.admin.preparing import importing
from allocation.models import BillDocument, ProviderBill, ProviderBillLine
from config.roles import IMPORT_BILLS
from metering.admin.acts import action, perform
from metering.admin.bases import ReadOnlyAdmin, shown
from metering.admin.figures import (
    NOTHING,
    day,
    digest,
    exact,
    figure,
    instant,
    label,
    link,
    money,
)
from metering.admin.tables import Link, Section, figures, text
from metering.admin.urls import list_url


@admin.register(ProviderBill)
class ProviderBillAdmin(ReadOnlyAdmin):
    list_display = (
        "provider",
        "month",
        "account",
        "state",
        "payable_figure",
        "lines_figure",
        "received",
    )
    list_filter = ("month", "provider")
    list_select_related = ("replacement",)
    search_fields = ("provider", "account")
    ordering = ("-month", "provider", "account", "-id")
    fields = (
        ("provider", "month"),
        ("account", "state"),
        ("payable_figure", "exact_figure"),
        ("lines_figure", "covers"),
        ("read_as", "came_as"),
        ("received", "content"),
    )
    readonly_fields = (
        "state",
        "payable_figure",
        "exact_figure",
        "lines_figure",
        "covers",
        "read_as",
        "came_as",
        "received",
        "content",
    )

    actions_list = ("take_in",)

    def has_take_in_permission(self, request: HttpRequest, object_id: Any = None) -> bool:  # noqa: ARG002
        return request.user.has_perm(IMPORT_BILLS)

    @action(
        description="Take in a bill",
        url_path="take-in",
        permissions=["take_in"],
        icon="upload_file",
    )
    def take_in(self, request: HttpRequest) -> HttpResponse:
        return perform(self, request, importing(request))

    def sections(self, request: HttpRequest, row: ProviderBill) -> Sequence[Section]:  # noqa: ARG002
        everything = Link("all lines", list_url("allocation_providerbillline", bill=row.pk))
        return [
            Section(
                "By kind",
                [*text("kind"), *figures("lines", "amount")],
                [
                    (
                        each["kind"],
                        figure(each["lines"]),
                        exact(each["amount"], row.currency),
                    )
                    for each in row.lines.values("kind")
                    .annotate(lines=Count("pk"), amount=Sum("amount"))
                    .order_by("kind")
                ],
                totals=("total", figure(row.line_count), exact(row.exact, row.currency)),
                links=[everything],
            ),
            Section(
                "By model",
                [*text("model"), *figures("lines", "amount")],
                [
                    (
                        each["model"] or NOTHING,
                        figure(each["lines"]),
                        exact(each["amount"], row.currency),
                    )
                    for each in row.lines.values("model")
                    .annotate(lines=Count("pk"), amount=Sum("amount"))
                    .order_by("-amount")[:50]
                ],
                links=[everything],
            ),
        ]

    @shown("state")
    def state(self, row: ProviderBill) -> SafeString:
        replaced = getattr(row, "replacement", None)
        if replaced is None:
            return label("in", "counts")
        return label("superseded", f"replaced by bill {replaced.by_id}")

    @shown("payable", order="payable")
    def payable_figure(self, row: ProviderBill) -> SafeString:
        return money(Decimal(row.payable.amount), row.currency)

    @shown("sum of the lines")
    def exact_figure(self, row: ProviderBill) -> SafeString:
        return exact(row.exact, row.currency)

    @shown("lines", order="line_count")
    def lines_figure(self, row: ProviderBill) -> SafeString:
        return figure(row.line_count)

    @shown("speaks for")
    def covers(self, row: ProviderBill) -> str:
        days = sorted(row.days)
        return f"{day(days[0])} to {day(days[-1])}, {len(days)} days" if days else ""

    @shown("read as")
    def read_as(self, row: ProviderBill) -> str:
        return row.format

    @shown("document")
    def came_as(self, row: ProviderBill) -> SafeString | str:
        document = BillDocument.objects.defer("content").get(pk=row.document_id)
        return link("allocation_billdocument", row.document_id, document)

    @shown("imported", order="imported_at")
    def received(self, row: ProviderBill) -> SafeString:
        return instant(row.imported_at)

    @shown("digest of the lines")
    def content(self, row: ProviderBill) -> SafeString:
        return digest(row.lines_digest)


@admin.register(ProviderBillLine)
class ProviderBillLineAdmin(ReadOnlyAdmin):
    list_display = (
        "line_no",
        "bill",
        "when",
        "kind",
        "model",
        "token_class",
        "tier",
        "project",
        "quantity_figure",
        "amount_figure",
        "description",
    )
    list_filter = ("kind",)
    list_select_related = ("bill",)
    search_fields = ("model", "description", "project")
    ordering = ("bill", "line_no")
    fields = (
        ("bill", "line_no"),
        ("when", "kind"),
        ("model", "token_class"),
        ("tier", "project"),
        ("quantity_figure", "quantity_unit"),
        ("amount_figure", "description"),
    )
    readonly_fields = ("when", "quantity_figure", "amount_figure")

    @shown("day", order="day")
    def when(self, row: ProviderBillLine) -> str:
        return day(row.day)

    @shown("quantity", order="quantity")
    def quantity_figure(self, row: ProviderBillLine) -> SafeString:
        return figure(row.quantity)

    @shown("amount", order="amount")
    def amount_figure(self, row: ProviderBillLine) -> SafeString:
        return exact(row.amount, row.bill.currency)


@admin.register(BillDocument)
class BillDocumentAdmin(ReadOnlyAdmin):
    list_display = ("named", "received", "content_digest")
    search_fields = ("name", "sha256")
    ordering = ("-received_at",)
    fields = ("named", "received", "content_digest")
    readonly_fields = ("named", "received", "content_digest")

    def get_queryset(self, request: HttpRequest) -> QuerySet[BillDocument]:
        return super().get_queryset(request).defer("content")

    @shown("name", order="name")
    def named(self, row: BillDocument) -> str:
        return row.name or "(no name)"

    @shown("received", order="received_at")
    def received(self, row: BillDocument) -> SafeString:
        return instant(row.received_at)

    @shown("SHA-256")
    def content_digest(self, row: BillDocument) -> SafeString:
        return digest(row.sha256, length=64)
