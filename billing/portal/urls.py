"""The routes of the portal."""

from __future__ import annotations

from django.urls import URLPattern, path

from billing.portal.charges import ChargesView
from billing.portal.invoices import EvidenceView, InvoicesView, InvoiceView, PartsView
from billing.portal.usage import SeriesView, UsageView

urlpatterns: list[URLPattern] = [
    path("usage", UsageView.as_view(), name="portal-usage"),
    path("series", SeriesView.as_view(), name="portal-series"),
    path("charges", ChargesView.as_view(), name="portal-charges"),
    path("invoices", InvoicesView.as_view(), name="portal-invoices"),
    path("invoices/<int:invoice>", InvoiceView.as_view(), name="portal-invoice"),
    path(
        "invoices/<int:invoice>/lines/<int:position>/parts",
        PartsView.as_view(),
        name="portal-line-parts",
    ),
    path(
        "invoices/<int:invoice>/lines/<int:position>/evidence",
        EvidenceView.as_view(),
        name="portal-line-evidence",
    ),
]
