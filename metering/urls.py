"""The routes of this app."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from metering.api import usage
from metering.api.finance_cost_centres import CostCentresView

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/usage", usage.receive, name="usage"),
    path("api/v1/finance/cost-centres", CostCentresView.as_view(), name="finance-cost-centres"),
]
