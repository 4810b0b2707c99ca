"""The routes of allocation's part of finance."""

from __future__ import annotations

from django.urls import URLPattern, path

from allocation.api.finance_bills import BillLinesView, BillsView, BillView
from allocation.api.finance_months import ClosesView, MonthView, RulesView
from allocation.api.finance_reconciliations import (
    CellsView,
    ReconciliationsView,
    ReconciliationView,
)
from allocation.api.finance_runs import (
    LinesView,
    RunsToApproveView,
    RunsView,
    RunView,
    SettlementsView,
)
from allocation.api.finance_statements import StatementsView, StatementView

urlpatterns: list[URLPattern] = [
    path("bills", BillsView.as_view(), name="finance-bills"),
    path("bills/<int:bill>", BillView.as_view(), name="finance-bill"),
    path("bills/<int:bill>/lines", BillLinesView.as_view(), name="finance-bill-lines"),
    path("reconciliations", ReconciliationsView.as_view(), name="finance-reconciliations"),
    path(
        "reconciliations/<int:reconciliation>",
        ReconciliationView.as_view(),
        name="finance-reconciliation",
    ),
    path(
        "reconciliations/<int:reconciliation>/cells",
        CellsView.as_view(),
        name="finance-reconciliation-cells",
    ),
    path("runs", RunsView.as_view(), name="finance-runs"),
    path("runs/<int:run>", RunView.as_view(), name="finance-run"),
    path("runs/<int:run>/lines", LinesView.as_view(), name="finance-run-lines"),
    path("runs/<int:run>/settlements", SettlementsView.as_view(), name="finance-run-settlements"),
    path("approvals/runs", RunsToApproveView.as_view(), name="finance-approvals-runs"),
    path("statements", StatementsView.as_view(), name="finance-statements"),
    path("statements/<str:period>", StatementView.as_view(), name="finance-statement"),
    path("months/<str:period>", MonthView.as_view(), name="finance-month"),
    path("closes", ClosesView.as_view(), name="finance-closes"),
    path("rules", RulesView.as_view(), name="finance-rules"),
]
