"""Where a month stands over all three books, and what is to be done next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.db.models import Count, Sum

from allocation.month_standing import AllocationStanding
from allocation.month_standing import standing as allocation_standing
from billing.models import Invoice
from metering.domain.periods import Month
from metering.month_usage import MonthUsage, month_usage

NextStep = Literal[
    "usage",
    "running",
    "bills",
    "reconcile",
    "allocate",
    "approve_run",
    "close",
    "draft_invoices",
    "approve_invoices",
    "push_invoices",
    "done",
]


@dataclass(frozen=True, slots=True)
class InvoicesStanding:
    """The invoices of the cycles that end in the month, voided ones left out: how many in each
    state, and what they come to in minor units by currency."""

    states: Mapping[str, int]
    totals: Mapping[str, int]

    @property
    def count(self) -> int:
        return sum(self.states.values())


@dataclass(frozen=True, slots=True)
class MonthStanding:
    """All that is known of a month without recomputing any of it."""

    month: Month
    usage: MonthUsage
    allocation: AllocationStanding
    invoices: InvoicesStanding
    is_over: bool

    @property
    def next_step(self) -> NextStep:
        """The first thing of the month's order that is not done."""
        allocation = self.allocation
        if allocation.close is None:
            return self._before_the_close()
        if not self.invoices.count:
            return "draft_invoices"
        if self.invoices.states.get("draft"):
            return "approve_invoices"
        return "push_invoices" if self.invoices.states.get("approved") else "done"

    def _before_the_close(self) -> NextStep:
        allocation = self.allocation
        has_bill = any(one.payable is not None for one in allocation.providers)
        if not self.usage.events and not has_bill:
            return "usage"
        if not self.is_over:
            return "running"
        if allocation.missing or not has_bill:
            return "bills"
        if allocation.reconciliation is None:
            return "reconcile"
        if allocation.run is None:
            return "allocate"
        return "approve_run" if allocation.run.run.state == "draft" else "close"


def standing(month: Month, *, now: datetime) -> MonthStanding:
    """The month as of `now`, read from rollups and stored rows."""
    usage = month_usage(month)
    metered = {(each.name, each.currency): each.cost for each in usage.providers}
    return MonthStanding(
        month=month,
        usage=usage,
        allocation=allocation_standing(month, metered),
        invoices=_invoices(month),
        is_over=now >= month.period.end,
    )


def _invoices(month: Month) -> InvoicesStanding:
    states: dict[str, int] = {}
    totals: dict[str, int] = {}
    for state, currency, count, minor in (
        Invoice.objects.filter(end_day__gt=month.first_day(), end_day__lte=month.next().first_day())
        .exclude(state=Invoice.State.VOID)
        .values("state", "currency")
        .annotate(count=Count("pk"), minor=Sum("total_minor"))
        .values_list("state", "currency", "count", "minor")
    ):
        states[state] = states.get(state, 0) + count
        totals[currency] = totals.get(currency, 0) + minor
    return InvoicesStanding(states, totals)
