"""Who may log in, and the roles they have. Roles themselves are made by `config.roles`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.utils.safestring import SafeString

from config.roles import ROLES
from metering.admin.bases import PageAdmin, ReadOnlyAdmin, shown
from metering.admin.figures import instant, label
from metering.admin.tables import Section, text

if TYPE_CHECKING:
    from django.contrib.auth.forms import (
        AdminPasswordChangeForm,
        UserChangeForm,
        UserCreationForm,
    )
else:
    from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, PageAdmin):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "named", "roles", "state", "last")
    list_filter = ("is_active", "groups")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": (("username", "password"), ("first_name", "last_name"), "email")}),
        ("Roles", {"fields": ("groups", "is_active", "is_staff", "is_superuser")}),
        ("Since", {"fields": (("last", "joined"),)}),
    )
    readonly_fields = ("last", "joined")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """A person who signed something stays; they are made inactive."""
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    @shown("name")
    def named(self, row: User) -> str:
        return row.get_full_name()

    @shown("roles")
    def roles(self, row: User) -> str:
        if row.is_superuser:
            return "everything (superuser)"
        return ", ".join(sorted(group.name for group in row.groups.all())) or "none"

    @shown("state", order="is_active")
    def state(self, row: User) -> SafeString:
        return label("active") if row.is_active else label("none", "inactive")

    @shown("last log-in", order="last_login")
    def last(self, row: User) -> SafeString:
        return instant(row.last_login)

    @shown("added", order="date_joined")
    def joined(self, row: User) -> SafeString:
        return instant(row.date_joined)


@admin.register(Group)
class RoleAdmin(ReadOnlyAdmin):
    list_display = ("name", "purpose", "people")
    ordering = ("name",)
    fields = ("name", "purpose")
    readonly_fields = ("purpose",)

    def sections(self, request: HttpRequest, row: Group) -> Sequence[Section]:  # noqa: ARG002
        return [
            Section(
                "Who has it",
                text("user", "name"),
                [
                    (user.get_username(), user.get_full_name())
                    for user in row.user_set.order_by("username")
                ],
                empty="Nobody.",
            ),
            Section(
                "What it may do",
                text("may", "in"),
                [
                    (right.name.removeprefix("Can "), right.content_type.app_label)
                    for right in row.permissions.select_related("content_type")
                ],
            ),
        ]

    @shown("purpose")
    def purpose(self, row: Group) -> str:
        role = ROLES.get(row.name)
        return role.purpose if role else ""

    @shown("people")
    def people(self, row: Group) -> str:
        return str(row.user_set.count())
