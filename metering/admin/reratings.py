"""Re-ratings: who had which month rated anew, what differed of it, and the act itself."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import CharField, ChoiceField, Form
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from config.roles import IMPORT_PRICES
from metering.admin.acts import Act, action, perform, reason_field
from metering.admin.bases import ReadOnlyAdmin, shown
from metering.admin.figures import digest, exact, figure, instant, label
from metering.admin.tables import Section, figures, text
from metering.domain.periods import Month
from metering.models import Rerating
from metering.month_usage import months_with_usage, today
from metering.people import NotAllowed
from metering.pricing import rerating_work
from metering.pricing.rerating_acts import differences_of, totals_of
from metering.pricing.revaluation import MonthClosed, why_closed

SHOWN = 500


@admin.register(Rerating)
class ReratingAdmin(ReadOnlyAdmin):
    list_display = ("id", "month", "which", "author", "reason", "started", "state", "looked_at")
    list_filter = ("month",)
    list_select_related = ("end",)
    search_fields = ("reason", "model")
    ordering = ("-id",)
    fields = (
        ("month", "which"),
        ("author", "reason"),
        ("started", "ended"),
        ("state", "looked_at"),
        ("prices", "usage_before", "usage_after"),
    )
    readonly_fields = (
        *("which", "started", "ended", "state", "looked_at"),
        *("prices", "usage_before", "usage_after"),
    )
    actions_list = ("rerate",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rerating]:
        return super().get_queryset(request).select_related("end")

    def sections(self, request: HttpRequest, row: Rerating) -> Sequence[Section]:  # noqa: ARG002
        found = differences_of(row.pk)
        return [
            Section(
                "In all",
                [*text("currency"), *figures("cost before", "cost after", "difference")],
                [
                    (
                        each.currency,
                        exact(each.before, each.currency),
                        exact(each.after, each.currency),
                        exact(each.after - each.before, each.currency),
                    )
                    for each in totals_of(found)
                ],
                empty="Nothing differed.",
            ),
            Section(
                "Differences",
                [
                    *text("provider", "model", "before", "after"),
                    *figures("events", "cost before", "cost after"),
                ],
                [
                    (
                        each.provider,
                        each.model,
                        label(each.pricing_before),
                        label(each.pricing_after),
                        figure(each.events),
                        _cost(each.pricing_before, each.cost_before, each.currency_before),
                        _cost(each.pricing_after, each.cost_after, each.currency_after),
                    )
                    for each in found[:SHOWN]
                ],
                note="What has no price has no cost: the totals are of the rest.",
                empty="Nothing differed.",
            ),
        ]

    def has_rerate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:  # noqa: ARG002
        """Whoever may take over prices may have a month rated with them."""
        return request.user.has_perm(IMPORT_PRICES)

    @action(
        description="Rate an open month anew",
        url_path="rerate",
        permissions=["rerate"],
        icon="currency_exchange",
    )
    def rerate(self, request: HttpRequest) -> HttpResponse:
        return perform(self, request, act_of(request))

    @shown("models", order="model")
    def which(self, row: Rerating) -> str:
        return row.model or "all"

    @shown("began", order="started_at")
    def started(self, row: Rerating) -> SafeString:
        return instant(row.started_at)

    @shown("ended")
    def ended(self, row: Rerating) -> SafeString:
        return instant(row.end.ended_at if hasattr(row, "end") else None)

    @shown("state")
    def state(self, row: Rerating) -> SafeString:
        return label("done") if hasattr(row, "end") else label("pending", "under way or cut off")

    @shown("events looked at")
    def looked_at(self, row: Rerating) -> SafeString:
        return figure(row.end.looked_at if hasattr(row, "end") else None)

    @shown("digest of the price lists")
    def prices(self, row: Rerating) -> SafeString:
        return digest(row.prices_digest)

    @shown("digest of usage before")
    def usage_before(self, row: Rerating) -> SafeString:
        return digest(row.usage_digest)

    @shown("digest of usage after")
    def usage_after(self, row: Rerating) -> SafeString:
        return digest(row.end.usage_digest if hasattr(row, "end") else None)


def _cost(pricing: str, cost: Decimal, currency: str) -> SafeString:
    return exact(None if pricing == "unpriced" else cost, currency)


class RerateForm(Form):
    """Which open month, of which model, and why."""

    month = ChoiceField(label="Month (UTC)")
    model = CharField(
        label="Executed model", help_text="empty: all models", required=False, max_length=500
    )
    reason = reason_field(
        "Reason", "It stays with the act and with every event that it changes.", required=True
    )


def act_of(request: HttpRequest) -> Act:
    """The act, with the month and model that the address names filled in."""
    open_months = [
        str(month)
        for month in months_with_usage(today(timezone.now()))
        if why_closed(month) is None
    ]

    class OfOpenMonths(RerateForm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.fields["month"].choices = [(name, name) for name in open_months]  # type: ignore[attr-defined]
            self.fields["month"].initial = request.GET.get("month")
            self.fields["model"].initial = request.GET.get("model")

    def do(said: dict[str, Any]) -> str:
        started = rerating_work.start(
            Month.parse(said["month"]),
            model=said["model"].strip() or None,
            reason=said["reason"],
            by=request.user.get_username(),
            now=timezone.now(),
        )
        if not started.new:
            return f"{started.run.subject} is being rated anew already; this joins it."
        return f"{started.run.subject} is being rated anew, in the background."

    return Act(
        title="Rate an open month anew",
        note="Every event of the month is rated with the prices as they stand, each at its own "
        "instant. What differs becomes a revision of the event. Reconciliation and allocation of "
        "the month are then made anew before it can be closed; invoices are of plans' prices and "
        "stay as they are. A closed month is never rated anew.",
        button="Rate the month anew",
        form=OfOpenMonths,
        do=do,
        refusals=(MonthClosed, NotAllowed),
        back=reverse("admin:metering_rerating_changelist"),
    )
