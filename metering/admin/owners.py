"""Who the work is for and who bears its cost: tenants, cost centres, sources, providers, users."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import available_timezones

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.safestring import SafeString

from metering.admin.bases import EditableAdmin, ModelForm, shown
from metering.admin.figures import instant, label, listing
from metering.admin.mappings import mappings_to
from metering.admin.tables import Section
from metering.models import (
    CostCentre,
    OwnerMapping,
    Provider,
    ServiceAccount,
    Source,
    Tenant,
    TenantMapping,
)


class TenantForm(ModelForm):
    """A tenant's name and clock."""

    class Meta:
        model = Tenant
        fields = ("name", "time_zone")

    def clean_time_zone(self) -> str:
        zone: str = self.cleaned_data["time_zone"].strip()
        if zone not in available_timezones():
            raise ValidationError("no such time zone; write an IANA name like Europe/Berlin")
        return zone


@admin.register(Tenant)
class TenantAdmin(EditableAdmin):
    form = TenantForm
    list_display = ("key", "name", "time_zone", "since", "usage")
    search_fields = ("key", "name")
    ordering = ("key",)
    fields = ("key", "name", "time_zone", "since")
    readonly_fields = ("key", "since")

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """A tenant is registered when it is first seen."""
        return False

    def sections(self, request: HttpRequest, row: Tenant) -> Sequence[Section]:  # noqa: ARG002
        return [
            mappings_to(
                "Who bears its cost",
                OwnerMapping.objects.filter(kind="tenant", key=row.key).order_by("valid_from"),
            ),
            mappings_to(
                "Users and sources that work for it",
                TenantMapping.objects.filter(tenant=row).order_by("kind", "key", "valid_from"),
            ),
        ]

    @shown("registered", order="registered_at")
    def since(self, row: Tenant) -> SafeString:
        return instant(row.registered_at)

    @shown("usage")
    def usage(self, row: Tenant) -> SafeString:
        return listing("metering_usageevent", "events", tenant=row.key)


@admin.register(CostCentre)
class CostCentreAdmin(EditableAdmin):
    list_display = ("code", "name", "responsible", "team", "how")
    list_filter = ("mode", "team")
    search_fields = ("code", "name", "responsible", "team")
    ordering = ("code",)
    fields = ("code", "name", "responsible", "team", "mode")
    fixed = ("code",)
    refusals = {  # noqa: RUF012 - read only
        "cost_centre_has_a_responsible_person": "A cost centre needs a person who answers for it.",
        "cost_centre_pkey": "There is a cost centre with this code already.",
    }

    def sections(self, request: HttpRequest, row: CostCentre) -> Sequence[Section]:  # noqa: ARG002
        return [
            mappings_to(
                "What it bears",
                OwnerMapping.objects.filter(cost_centre=row).order_by("kind", "key", "valid_from"),
            )
        ]

    @shown("mode", order="mode")
    def how(self, row: CostCentre) -> SafeString:
        return label(row.mode)


@admin.register(Source)
class SourceAdmin(EditableAdmin):
    list_display = ("key", "provider_project", "role")
    search_fields = ("key",)
    ordering = ("key",)
    fixed = ("key",)


@admin.register(Provider)
class ProviderAdmin(EditableAdmin):
    list_display = ("key", "name")
    search_fields = ("key", "name")
    ordering = ("key",)
    fixed = ("key",)


@admin.register(ServiceAccount)
class ServiceAccountAdmin(EditableAdmin):
    list_display = ("name", "pseudonym")
    search_fields = ("name", "pseudonym")
    ordering = ("name",)
    fields = ("pseudonym", "name")
    fixed = ("pseudonym",)
