"""An invoice's line: whose use it is, and the events beneath it."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from billing import evidence_export
from billing.evidence import stored_selections
from billing.models import InvoiceLine
from metering.admin.acts import action
from metering.admin.bases import ReadOnlyAdmin, shown
from metering.admin.evidence import Evidence, evidence_page
from metering.admin.figures import NOTHING, digest, exact, figure, link, minor
from metering.admin.tables import Section, figures, text


@admin.register(InvoiceLine)
class InvoiceLineAdmin(ReadOnlyAdmin):
    list_display = ("description", "invoice", "kind", "quantity_figure", "owed_figure", "events")
    list_filter = ("kind",)
    list_select_related = ("invoice",)
    search_fields = ("description", "invoice__tenant")
    ordering = ("-invoice", "position")
    fields = (
        ("description", "of_invoice"),
        ("kind", "charge_code"),
        ("quantity_figure", "unit"),
        ("price_figure", "per"),
        ("amount_figure", "owed_figure"),
        ("events", "proof"),
    )
    readonly_fields = ("of_invoice", "quantity_figure", "price_figure", "amount_figure",
                       "owed_figure", "events", "proof")  # fmt: skip
    actions_detail = ("evidence", "download")

    def sections(self, request: HttpRequest, row: InvoiceLine) -> Sequence[Section]:  # noqa: ARG002
        parts = row.parts.order_by("-amount", "model", "endpoint_tag")
        return [
            Section(
                "Whose use it is",
                [*text("requested model", "endpoint tag"), *figures("quantity", "amount")],
                [
                    (
                        part.model,
                        part.endpoint_tag or NOTHING,
                        figure(part.quantity),
                        exact(part.amount, row.invoice.currency, extra=10),
                    )
                    for part in parts
                ],
                totals=(
                    "total",
                    "",
                    figure(row.quantity),
                    exact(row.amount, row.invoice.currency, extra=10),
                ),
                empty="A fee is nobody's use.",
            )
        ]

    @action(description="Events beneath", url_path="events", permissions=["view"])
    def evidence(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = InvoiceLine.objects.select_related("invoice").get(pk=object_id)
        return evidence_page(
            self,
            request,
            Evidence(
                title=f"Events beneath “{row.description}” of {row.invoice.tenant}",
                selections=stored_selections(row),
                count=row.evidence_count,
                digest=row.evidence_digest,
                back=reverse("admin:billing_invoice_change", args=[row.invoice_id]),
                download=reverse("admin:billing_invoiceline_download", args=[row.pk]),
            ),
        )

    @action(description="Download evidence", url_path="evidence.jsonl", permissions=["view"])
    def download(self, request: HttpRequest, object_id: str) -> StreamingHttpResponse:  # noqa: ARG002
        lines = evidence_export.of_invoice_line(int(object_id))
        response = StreamingHttpResponse(
            (line + b"\n" for line in lines), content_type="application/jsonl"
        )
        name = f"evidence-invoice-line-{object_id}.jsonl"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    @shown("invoice")
    def of_invoice(self, row: InvoiceLine) -> SafeString | str:
        return link("billing_invoice", row.invoice_id, row.invoice)

    @shown("quantity", order="quantity")
    def quantity_figure(self, row: InvoiceLine) -> SafeString:
        return figure(row.quantity)

    @shown("unit price")
    def price_figure(self, row: InvoiceLine) -> SafeString:
        return exact(row.unit_price, row.invoice.currency)

    @shown("exact amount", order="amount")
    def amount_figure(self, row: InvoiceLine) -> SafeString:
        return exact(row.amount, row.invoice.currency, extra=10)

    @shown("owed", order="amount_minor")
    def owed_figure(self, row: InvoiceLine) -> SafeString:
        return minor(row.amount_minor, row.invoice.currency)

    @shown("events", order="evidence_count")
    def events(self, row: InvoiceLine) -> SafeString:
        return figure(row.evidence_count)

    @shown("digest of the events")
    def proof(self, row: InvoiceLine) -> SafeString:
        return digest(row.evidence_digest, length=64)
