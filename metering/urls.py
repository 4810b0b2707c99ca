"""The routes of this app."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from metering.api import (
    business_outcomes,
    lago,
    langfuse,
    langsmith,
    litellm,
    openmeter,
    opsmeter,
    otlp,
    usage,
)
from metering.api.finance_budgets import BudgetsView, BudgetView
from metering.api.finance_cost_centres import CostCentresView
from metering.api.finance_event_costs import EventCostView
from metering.api.finance_reratings import ReratingDifferencesView, ReratingsView, ReratingView

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/usage", usage.receive, name="usage"),
    path("v1/traces", otlp.traces, name="otlp-traces"),
    path("v1/metrics", otlp.metrics, name="otlp-metrics"),
    path("langfuse/api/public/otel/v1/traces", otlp.langfuse_traces, name="langfuse-otlp-traces"),
    path("langfuse/api/public/ingestion", langfuse.ingestion, name="langfuse-ingestion"),
    path("langfuse/api/public/projects", langfuse.projects, name="langfuse-projects"),
    path("langfuse/api/public/health", langfuse.health, name="langfuse-health"),
    path("langsmith/info", langsmith.info, name="langsmith-info"),
    path("langsmith/runs", langsmith.runs, name="langsmith-runs"),
    path("langsmith/runs/batch", langsmith.batch, name="langsmith-batch"),
    path("langsmith/runs/multipart", langsmith.multipart, name="langsmith-multipart"),
    path("langsmith/runs/<str:run_id>", langsmith.run, name="langsmith-run"),
    path("api/v1/outcomes", business_outcomes.receive, name="business-outcomes"),
    path("integrations/litellm", litellm.receive, name="litellm"),
    path("openmeter/api/v1/events", openmeter.events, name="openmeter-events"),
    path("lago/api/v1/events", lago.event, name="lago-event"),
    path("lago/api/v1/events/batch", lago.batch, name="lago-events"),
    path("lago/api/v1/<path:rest>", lago.elsewhere, name="lago-elsewhere"),
    path("v1/ingest/llm-request", opsmeter.llm_request, name="opsmeter-ingest"),
    path("v1/ingest/demo", opsmeter.demo, name="opsmeter-demo"),
    path("v1/ingest/demo-data", opsmeter.demo_data, name="opsmeter-demo-data"),
    path("v1/ingest/test-data", opsmeter.test_data, name="opsmeter-test-data"),
    path("v1/diagnostics/workspace-status", opsmeter.workspace_status, name="opsmeter-workspace"),
    path(
        "api/v1/finance/events/<str:event>/cost", EventCostView.as_view(), name="finance-event-cost"
    ),
    path("api/v1/finance/cost-centres", CostCentresView.as_view(), name="finance-cost-centres"),
    path("api/v1/finance/budgets", BudgetsView.as_view(), name="finance-budgets"),
    path("api/v1/finance/budgets/<int:budget>", BudgetView.as_view(), name="finance-budget"),
    path("api/v1/finance/reratings", ReratingsView.as_view(), name="finance-reratings"),
    path(
        "api/v1/finance/reratings/<int:rerating>", ReratingView.as_view(), name="finance-rerating"
    ),
    path(
        "api/v1/finance/reratings/<int:rerating>/differences",
        ReratingDifferencesView.as_view(),
        name="finance-rerating-differences",
    ),
]
