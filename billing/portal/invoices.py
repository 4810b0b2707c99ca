"""A tenant's invoices: those that were approved, their lines, and what is under them."""

from __future__ import annotations

from typing import Final

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.invoice_values import (
    EventSerializer,
    InvoiceSerializer,
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
from billing.portal.access import PortalView, tenant_of
from metering.api.paging import PageParameters, page_of
from metering.api.reading import answer, described

INVOICE: Final = {"invoice": "the invoice's `id`"}
LINE: Final = {**INVOICE, "position": "the line's place on the invoice, from 1"}


def _shown(request: Request) -> QuerySet[Invoice]:
    """The tenant's own invoices that somebody approved: a draft is nobody's debt yet."""
    return Invoice.objects.filter(tenant=tenant_of(request), approved_at__isnull=False)


class InvoicesView(PortalView):
    parameters = PageParameters

    @described(
        "portal_invoices",
        "Invoices",
        "The tenant's approved and final invoices, the latest first, in pages. Drafts are not"
        " shown; what a running cycle comes to is in the charges.",
        page_of(InvoiceSummarySerializer),
        parameters=PageParameters,
    )
    def get(self, request: Request) -> Response:
        page = invoice_page(_shown(request), self.asked(request))
        return answer(page_of(InvoiceSummarySerializer), page)


class InvoiceView(PortalView):
    @described(
        "portal_invoice",
        "An invoice with its lines",
        "Each line says how many events it stands on, and the digest that proves the set.",
        InvoiceSerializer,
        path=INVOICE,
    )
    def get(self, request: Request, invoice: int) -> Response:
        self.asked(request)
        found = the_invoice(_shown(request), invoice)
        return answer(InvoiceSerializer, invoice_with_lines(found))


class PartsView(PortalView):
    parameters = PageParameters

    @described(
        "portal_line_parts",
        "Whose use a line is made of",
        "The line by requested model and endpoint tag, in pages.",
        page_of(PartSerializer),
        parameters=PageParameters,
        path=LINE,
    )
    def get(self, request: Request, invoice: int, position: int) -> Response:
        asked = self.asked(request)
        line = the_line(_shown(request), invoice, position)
        return answer(page_of(PartSerializer), parts_page(line, asked))


class EvidenceView(PortalView):
    parameters = PageParameters

    @described(
        "portal_line_evidence",
        "The events under a line",
        "Key, seal digest and what was used of each event, sorted by key, in pages. SHA-256 over"
        " all keys and seal digests, in this order and as bytes, is the line's evidence digest.",
        page_of(EventSerializer),
        parameters=PageParameters,
        path=LINE,
    )
    def get(self, request: Request, invoice: int, position: int) -> Response:
        asked = self.asked(request)
        line = the_line(_shown(request), invoice, position)
        return answer(page_of(EventSerializer), events_page(line, asked))
