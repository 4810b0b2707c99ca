"""Every customer's invoices, drafts too, to read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.invoice_values import (
    EventSerializer,
    InvoiceLineSerializer,
    InvoiceSummarySerializer,
    PartSerializer,
    events_page,
    invoice_page,
    invoice_with_lines,
    parts_page,
    the_invoice,
    the_line,
)
from billing.models import Invoice
from metering.api.finance_access import FinanceView
from metering.api.paging import PageParameters, page_of
from metering.api.reading import MonthField, answer, described, month_of
from metering.api.values import Instant, Text

INVOICE: Final = {"invoice": "the invoice's `id`"}
LINE: Final = {**INVOICE, "position": "the line's place on the invoice, from 1"}


class InvoiceParameters(PageParameters):
    """Which invoices."""

    period = MonthField(
        required=False, help_text="of cycles that end in this month, by the customer's clock"
    )
    state = serializers.ChoiceField(
        required=False, choices=list(Invoice.State.values), help_text="in this state"
    )
    tenant = serializers.CharField(required=False, max_length=200, help_text="of this customer")


class FinanceInvoiceSummarySerializer(InvoiceSummarySerializer):
    """An invoice, with who made it and who agreed. A draft is nobody's debt yet."""

    tenant = Text("the customer", "acme")
    state = Text("draft, approved, finalized or void", "draft")
    author = Text("who started the run that drafted it", "run_invoices")
    created_at = Instant("when", "2026-11-01T00:10:00Z")
    approved_by = Text("who agreed with it", "controller", null=True)
    void_reason = Text("why it was withdrawn; empty: it was not", "")


class FinanceInvoiceSerializer(FinanceInvoiceSummarySerializer):
    """An invoice with its lines, which add up to its total."""

    lines = InvoiceLineSerializer(many=True, read_only=True)


class InvoicesView(FinanceView):
    permission = "billing.view_invoice"
    parameters = InvoiceParameters

    @described(
        "finance_invoices",
        "Invoices",
        "Of all customers, drafts and void ones too, the one drafted last first, in pages.",
        page_of(FinanceInvoiceSummarySerializer),
        parameters=InvoiceParameters,
    )
    def get(self, request: Request) -> Response:
        asked = self.asked(request)
        rows = Invoice.objects.all()
        if "period" in asked:
            month = month_of(asked["period"])
            rows = rows.filter(end_day__gt=month.first_day(), end_day__lte=month.next().first_day())
        for name in ("state", "tenant"):
            if name in asked:
                rows = rows.filter(**{name: asked[name]})
        return answer(page_of(FinanceInvoiceSummarySerializer), invoice_page(rows, asked))


class InvoiceView(FinanceView):
    permission = "billing.view_invoice"

    @described(
        "finance_invoice",
        "An invoice with its lines",
        "Each line says how many events it stands on, and the digest that proves the set.",
        FinanceInvoiceSerializer,
        path=INVOICE,
    )
    def get(self, request: Request, invoice: int) -> Response:
        self.asked(request)
        found = the_invoice(Invoice.objects.all(), invoice)
        return answer(FinanceInvoiceSerializer, invoice_with_lines(found))


class PartsView(FinanceView):
    permission = "billing.view_invoicelinepart"
    parameters = PageParameters

    @described(
        "finance_invoice_line_parts",
        "Whose use a line is made of",
        "The line by requested model and endpoint tag, in pages.",
        page_of(PartSerializer),
        parameters=PageParameters,
        path=LINE,
    )
    def get(self, request: Request, invoice: int, position: int) -> Response:
        asked = self.asked(request)
        line = the_line(Invoice.objects.all(), invoice, position)
        return answer(page_of(PartSerializer), parts_page(line, asked))


class EvidenceView(FinanceView):
    permission = "billing.view_invoiceline"
    parameters = PageParameters

    @described(
        "finance_invoice_line_evidence",
        "The events under a line",
        "As the customer sees them: key, seal digest and what was used, sorted by key, in pages.",
        page_of(EventSerializer),
        parameters=PageParameters,
        path=LINE,
    )
    def get(self, request: Request, invoice: int, position: int) -> Response:
        asked = self.asked(request)
        line = the_line(Invoice.objects.all(), invoice, position)
        return answer(page_of(EventSerializer), events_page(line, asked))


class InvoicesToApproveView(FinanceView):
    permission = "billing.view_invoice"
    parameters = PageParameters

    @described(
        "finance_approvals_invoices",
        "Invoices that wait for approval",
        "Drafts of cycles that are over, the one drafted last first, in pages. A person other than"
        " the author approves them, in the admin or by command; a key never does.",
        page_of(FinanceInvoiceSummarySerializer),
        parameters=PageParameters,
    )
    def get(self, request: Request) -> Response:
        waiting = Invoice.objects.filter(
            state=Invoice.State.DRAFT, cycle_end__lte=datetime.now(UTC)
        )
        page = invoice_page(waiting, self.asked(request))
        return answer(page_of(FinanceInvoiceSummarySerializer), page)
