"""Dated mappings: which cost centre bears what, and which tenant a user or source works for.

A mapping that holds is never rewritten: it is ended, and another one is added. Calls keep the
owner they were given when they came in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms import ChoiceField
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from metering.admin.bases import EditableAdmin, ModelForm, shown
from metering.admin.figures import instant, link
from metering.admin.tables import Section, text
from metering.models import OwnerMapping, TenantMapping

if TYPE_CHECKING:
    from django.forms import Select
else:
    from unfold.widgets import UnfoldAdminSelectWidget as Select

Mapping = OwnerMapping | TenantMapping

_OVERLAPS = (
    "Another mapping of this key holds in that time. End it first, at the instant from which this "
    "one is to hold."
)


def validity(row: Mapping) -> SafeString | str:
    """From when until when, in words."""
    match row.valid_from, row.valid_to:
        case None, None:
            return "always"
        case None, end:
            return format_html("until {}", instant(end))
        case start, None:
            return format_html("since {}", instant(start))
        case start, end:
            return format_html("{} to {}", instant(start), instant(end))


def kind_of(row: Mapping) -> str:
    """What carries the key, in words."""
    kinds = type(row).Kind
    return str(kinds(row.kind).label) if row.kind in kinds.values else row.kind


def target(row: Mapping) -> SafeString | str:
    if isinstance(row, OwnerMapping):
        return link("metering_costcentre", row.cost_centre_id, row.cost_centre_id)
    return link("metering_tenant", row.tenant_id, row.tenant_id)


def mappings_to(title: str, rows: Iterable[Mapping], limit: int = 100) -> Section:
    """The first mappings of a row's page, each leading to its own."""
    found = list(rows[:limit]) if hasattr(rows, "__getitem__") else list(rows)
    return Section(
        title,
        text("what", "key", "owner", "valid", "reason"),
        [
            (
                kind_of(row),
                link(f"metering_{row._meta.model_name}", row.pk, row.key),  # noqa: SLF001
                target(row),
                validity(row),
                row.reason,
            )
            for row in found
        ],
        note=f"The first {limit}." if len(found) == limit else "",
        empty="No mapping.",
    )


class MappingForm(ModelForm):
    """Users are keyed by their pseudonym, never by a name."""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        start = cleaned.get("valid_from", self.instance.valid_from)
        end = cleaned.get("valid_to")
        if start and end and end <= start:
            self.add_error("valid_to", "the end comes before the start")
        if cleaned.get("kind") == "user":
            try:
                UUID(str(cleaned.get("key")))
            except ValueError as error:
                raise ValidationError({"key": "a user is named by their pseudonym"}) from error
        return cleaned


class MappingAdmin(EditableAdmin):
    form = MappingForm
    list_filter: ClassVar[tuple[str, ...]] = ("kind",)
    search_fields = ("key",)
    ordering = ("kind", "key", "valid_from")
    refusals = {  # noqa: RUF012 - read only
        "one_cost_centre_at_a_time": _OVERLAPS,
        "one_tenant_at_a_time": _OVERLAPS,
    }

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "kind":
            return ChoiceField(choices=self.model.Kind.choices, widget=Select(), label="What")
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @shown("what", order="kind")
    def what(self, row: Mapping) -> str:
        return kind_of(row)

    @shown("owner")
    def owner(self, row: Mapping) -> SafeString | str:
        return target(row)

    @shown("valid", order="valid_from")
    def valid(self, row: Mapping) -> SafeString | str:
        return validity(row)

    @shown("entered", order="created_at")
    def entered(self, row: Mapping) -> SafeString:
        return instant(row.created_at)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fixed = super().get_readonly_fields(request, obj)
        ended = obj is not None and obj.valid_to is not None
        return (*fixed, "valid_to") if ended else fixed


@admin.register(OwnerMapping)
class OwnerMappingAdmin(MappingAdmin):
    list_display = ("key", "what", "owner", "valid", "reason")
    list_filter = ("kind", "cost_centre")
    fields = ("kind", "key", "cost_centre", "valid_from", "valid_to", "reason")
    fixed = ("kind", "key", "cost_centre", "valid_from")


@admin.register(TenantMapping)
class TenantMappingAdmin(MappingAdmin):
    list_display = ("key", "what", "owner", "valid", "reason")
    fields = ("kind", "key", "tenant", "valid_from", "valid_to", "reason")
    fixed = ("kind", "key", "tenant", "valid_from")
