"""What calls were made for: business outcomes, and what the calls behind one cost."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from metering.admin.bases import ReadOnlyAdmin, shown
from metering.admin.figures import NOTHING, exact, figure, instant, link
from metering.admin.tables import Section, figures
from metering.domain.money import EXACT
from metering.models import BusinessOutcome
from metering.outcome_costs import LOOKS_BACK, cost_of


@admin.register(BusinessOutcome)
class BusinessOutcomeAdmin(ReadOnlyAdmin):
    list_display = ("kind", "quantity_figure", "of_tenant", "endpoint_tag", "source", "when")
    list_filter = ("kind", "source", "data_mode", "environment")
    search_fields = ("outcome_id",)
    ordering = ("-occurred_at", "-id")
    fields = (
        ("kind", "quantity_figure", "outcome_id"),
        ("when", "received", "source"),
        ("of_tenant", "cost_centre"),
        ("endpoint_tag", "prompt_version", "workflow"),
        ("external_request_id", "trace_id"),
        ("data_mode", "environment", "tags"),
    )
    readonly_fields = ("quantity_figure", "of_tenant", "when", "received")

    def sections(self, request: HttpRequest, row: BusinessOutcome) -> Sequence[Section]:  # noqa: ARG002
        """The cost of its calls, where it says which they are."""
        found = cost_of(row)
        if found is None:
            return ()
        return [
            Section(
                "What its calls cost",
                figures("calls", "without a price", "cost", "for each"),
                [
                    (
                        figure(found.calls),
                        figure(found.unpriced),
                        exact(cost, currency),
                        exact(EXACT.divide(cost, row.quantity), currency),
                    )
                    for currency, cost in found.cost.items()
                ],
                note=f"Those of its trace or request, up to {LOOKS_BACK.days} days before it."
                + (" What has no price is not in the cost." if found.unpriced else ""),
                empty="No call was found.",
            )
        ]

    @shown("how many", order="quantity")
    def quantity_figure(self, row: BusinessOutcome) -> SafeString:
        return figure(row.quantity.normalize())

    @shown("tenant", order="tenant")
    def of_tenant(self, row: BusinessOutcome) -> SafeString | str:
        if not row.tenant:
            return NOTHING
        return link("metering_tenant", row.tenant, row.tenant)

    @shown("when", order="occurred_at")
    def when(self, row: BusinessOutcome) -> SafeString:
        return instant(row.occurred_at)

    @shown("received")
    def received(self, row: BusinessOutcome) -> SafeString:
        return instant(row.received_at)
