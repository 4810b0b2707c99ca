"""The people whose calls are metered: random pseudonyms, and nothing that leads to a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from metering.admin.bases import BoundedList, ReadOnlyAdmin, shown
from metering.admin.figures import instant, label
from metering.admin.mappings import mappings_to
from metering.admin.tables import Section
from metering.models import OwnerMapping, ServiceAccount, TenantMapping, UserIdentity


class PseudonymList(BoundedList):
    """Leads to a user by the pseudonym: the row's own key is the hash, which no page shows."""

    def url_for_result(self, result: Any) -> str:
        return reverse("admin:metering_useridentity_change", args=[result.pseudonym])


@admin.register(UserIdentity)
class UserIdentityAdmin(ReadOnlyAdmin):
    list_display = ("pseudonym", "kind", "since")
    search_fields = ("pseudonym",)
    search_help_text = "a whole pseudonym"
    ordering = ("-created_at",)
    fields = ("pseudonym", "kind", "since")
    readonly_fields = ("kind", "since")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002
        return PseudonymList

    def get_search_results(
        self,
        request: HttpRequest,  # noqa: ARG002
        queryset: QuerySet[Any],
        search_term: str,
    ) -> tuple[QuerySet[Any], bool]:
        pseudonym = _uuid(search_term.strip())
        if not search_term.strip():
            return queryset, False
        return (queryset.filter(pseudonym=pseudonym) if pseudonym else queryset.none()), False

    def get_object(
        self,
        request: HttpRequest,
        object_id: str,
        from_field: str | None = None,  # noqa: ARG002
    ) -> UserIdentity | None:
        pseudonym = _uuid(object_id)
        row: UserIdentity | None = self.get_queryset(request).filter(pseudonym=pseudonym).first()
        return row if pseudonym else None

    def sections(self, request: HttpRequest, row: UserIdentity) -> Sequence[Section]:  # noqa: ARG002
        key = str(row.pseudonym)
        return [
            mappings_to(
                "Who bears its cost",
                OwnerMapping.objects.filter(kind="user", key=key).order_by("valid_from"),
            ),
            mappings_to(
                "Whom it works for",
                TenantMapping.objects.filter(kind="user", key=key).order_by("valid_from"),
            ),
        ]

    @shown("kind")
    def kind(self, row: UserIdentity) -> SafeString:
        service = ServiceAccount.objects.filter(pseudonym=row.pseudonym).first()
        return label("none", "user") if service is None else label("open", f"service {service}")

    @shown("first seen", order="created_at")
    def since(self, row: UserIdentity) -> SafeString:
        return instant(row.created_at)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
