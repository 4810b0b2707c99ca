"""The start page: where the month stands, what is to be done next, and what its days cost."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from allocation.closed_months import close_of
from billing.admin.charts import daily_by_model, main_currency, split
from billing.admin.next_step import call_to_action
from billing.admin.standing_cards import cards
from billing.month_standing import standing
from billing.verification_run import verification_status
from metering.admin.figures import month_name
from metering.domain.periods import InvalidPeriod, Month
from metering.month_usage import NamedCost, months_with_usage, today

SHOWN_MONTHS = 12


def start_page(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the start page shows, for whoever may see runs; others get the page without figures."""
    if not request.user.has_perm("allocation.view_allocationrun"):
        return context
    now = timezone.now()
    months = _months(now)
    month = _chosen(request, months)
    found = standing(month, now=now)
    usage = found.usage
    currency = main_currency(usage.days)
    models = [NamedCost(each.model, each.currency, each.cost) for each in usage.days]
    return {
        **context,
        "title": "This month",
        "month": month,
        "month_name": month_name(month),
        "months": [
            (each, month_name(each))
            for each in sorted({*months, month}, reverse=True)[:SHOWN_MONTHS]
        ],
        "standing": found,
        "next_step": call_to_action(found, request),
        "cards": cards(found, verification_status(month)),
        "daily": daily_by_model(usage.days, currency, month),
        "splits": [
            ("By model", split(models, currency)),
            ("By cost centre", split(usage.cost_centres, currency)),
        ],
        "check_url": reverse("admin:allocation_month_check", args=[str(month)]),
    }


def _months(now: datetime) -> list[Month]:
    return months_with_usage(today(now)) or [Month.of(now)]


def _chosen(request: HttpRequest, months: list[Month]) -> Month:
    """The month asked for; else the last one that is over and not closed, else the latest."""
    try:
        return Month.parse(request.GET.get("month", ""))
    except InvalidPeriod:
        pass
    previous = months[-2:-1]
    return previous[0] if previous and close_of(previous[0]) is None else months[-1]
