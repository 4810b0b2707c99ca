"""The routes of billing's part of finance."""

from __future__ import annotations

from django.urls import URLPattern, path

from billing.api.finance_invoices import (
    EvidenceView,
    InvoicesToApproveView,
    InvoicesView,
    InvoiceView,
    PartsView,
)

urlpatterns: list[URLPattern] = [
    path("invoices", InvoicesView.as_view(), name="finance-invoices"),
    path("invoices/<int:invoice>", InvoiceView.as_view(), name="finance-invoice"),
    path(
        "invoices/<int:invoice>/lines/<int:position>/parts",
        PartsView.as_view(),
        name="finance-invoice-line-parts",
    ),
    path(
        "invoices/<int:invoice>/lines/<int:position>/evidence",
        EvidenceView.as_view(),
        name="finance-invoice-line-evidence",
    ),
    path("approvals/invoices", InvoicesToApproveView.as_view(), name="finance-approvals-invoices"),
]
