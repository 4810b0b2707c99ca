"""Plans as dated versions, and who subscribes to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.safestring import SafeString

from billing.domain.plans import Charge
from billing.models import Plan, PlanVersion, Subscription
from metering.admin.bases import EditableAdmin, ModelForm, ReadOnlyAdmin, shown
from metering.admin.figures import day, digest, exact, figure, instant, link, money
from metering.admin.tables import Section, figures, text
from metering.readings import tenants


@admin.register(Plan)
class PlanAdmin(ReadOnlyAdmin):
    list_display = ("code",)
    search_fields = ("code",)
    ordering = ("code",)
    fields = ("code",)

    def sections(self, request: HttpRequest, row: Plan) -> Sequence[Section]:  # noqa: ARG002
        return [
            Section(
                "Versions",
                text("version", "valid", "entered"),
                [
                    (
                        link("billing_planversion", version.pk, f"from {day(version.valid_from)}"),
                        validity(version),
                        instant(version.created_at),
                    )
                    for version in row.versions.order_by("-valid_from")
                ],
            )
        ]


def validity(row: PlanVersion | Subscription) -> str:
    """From which day, and until which (included)."""
    if row.valid_to is None:
        return f"since {day(row.valid_from)}"
    return f"{day(row.valid_from)} to {day(row.valid_to - timedelta(days=1))}"


@admin.register(PlanVersion)
class PlanVersionAdmin(ReadOnlyAdmin):
    list_display = ("plan", "named", "valid", "fee_figure", "charges", "entered")
    list_filter = ("plan",)
    ordering = ("plan", "-valid_from")
    fields = (
        ("plan", "named"),
        ("valid", "fee_figure"),
        ("entered", "content_digest"),
        "charged_at_all",
    )
    readonly_fields = (
        "named",
        "valid",
        "fee_figure",
        "entered",
        "content_digest",
        "charged_at_all",
    )

    def sections(self, request: HttpRequest, row: PlanVersion) -> Sequence[Section]:  # noqa: ARG002
        terms = row.terms
        return [
            Section(
                "Charges",
                [
                    *text("charge", "meters", "of"),
                    *figures("included a cycle", "price", "per"),
                ],
                [
                    (
                        charge.name,
                        _metered(charge),
                        _narrowed(charge),
                        figure(charge.included),
                        exact(charge.price.unit_price, terms.currency),
                        figure(charge.price.per),
                    )
                    for charge in terms.charges
                ],
                note="Models are those that were requested; what no charge takes is not charged.",
            )
        ]

    @shown("name")
    def named(self, row: PlanVersion) -> str:
        return row.terms.name

    @shown("valid", order="valid_from")
    def valid(self, row: PlanVersion) -> str:
        return validity(row)

    @shown("fee a cycle")
    def fee_figure(self, row: PlanVersion) -> SafeString:
        return money(row.terms.fee, row.terms.currency)

    @shown("charges")
    def charges(self, row: PlanVersion) -> str:
        return ", ".join(charge.name for charge in row.terms.charges)

    @shown("entered", order="created_at")
    def entered(self, row: PlanVersion) -> SafeString:
        return instant(row.created_at)

    @shown("digest")
    def content_digest(self, row: PlanVersion) -> SafeString:
        return digest(row.digest)

    @shown("charged at all")
    def charged_at_all(self, row: PlanVersion) -> str:
        scope = row.terms.scope
        chosen = (scope.data_modes, scope.environments, scope.statuses, scope.served_from)
        return "; ".join(", ".join(sorted(each)).replace("_", " ") for each in chosen)


def _metered(charge: Charge) -> str:
    if isinstance(charge.meter, str):
        return charge.meter.replace("_", " ")
    return ", ".join(sorted(charge.meter)).replace("_", " ") + " tokens"


def _narrowed(charge: Charge) -> str:
    said = [", ".join(chosen) for chosen in (charge.models, charge.endpoint_tags) if chosen]
    if charge.rest:
        said.append("what the charges before it have left")
    return "; ".join(said) or "all models"


class SubscriptionForm(ModelForm):
    """A customer on a plan; of what holds already, only the end may be given, once."""

    def clean_tenant(self) -> str:
        tenant = str(self.cleaned_data["tenant"]).strip()
        if tenant not in {facts.key for facts in tenants()}:
            raise ValidationError("no such tenant; it is registered by its first event")
        return tenant

    def clean_zone(self) -> str:
        zone = str(self.cleaned_data["zone"]).strip()
        if zone not in available_timezones():
            raise ValidationError("no such time zone; write an IANA name like Europe/Berlin")
        return zone


@admin.register(Subscription)
class SubscriptionAdmin(EditableAdmin):
    form = SubscriptionForm
    list_display = ("tenant", "plan", "valid", "zone", "anchor_day")
    list_filter = ("plan", "zone")
    search_fields = ("tenant",)
    ordering = ("tenant", "-valid_from")
    fields = ("tenant", "plan", ("zone", "anchor_day"), ("valid_from", "valid_to"))
    fixed = ("tenant", "plan", "zone", "anchor_day", "valid_from")
    refusals = {  # noqa: RUF012 - read only
        "one_subscription_at_a_time": "The customer has a subscription in that time; end it first.",
        "subscription_ends_after_it_starts": "The end comes before the start.",
        "subscription_anchor_is_a_day_of_a_month": "A cycle turns over on a day from 1 to 31.",
    }

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fixed = super().get_readonly_fields(request, obj)
        ended = obj is not None and obj.valid_to is not None
        return (*fixed, "valid_to") if ended else fixed

    @shown("valid", order="valid_from")
    def valid(self, row: Subscription) -> str:
        return validity(row)
