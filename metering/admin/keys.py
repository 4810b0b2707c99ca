"""API keys: made here with a secret that is shown once, and revoked here for ever."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from metering import api_keys
from metering.admin.acts import Act, action, page, perform
from metering.admin.bases import (
    ModelForm,
    PageAdmin,
    leave_constraints_to_the_database,
    shown,
)
from metering.admin.figures import instant, label
from metering.models import ApiKey


class KeyForm(ModelForm):
    """What a new key may do. The functions that make keys judge it."""

    class Meta:
        model = ApiKey
        fields = ("name", "scope", "tenant", "source", "expires_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        leave_constraints_to_the_database(self)

    def made(self, request: HttpRequest) -> tuple[ApiKey, str] | None:
        """The key and its secret, or nothing where the form now says what is wrong."""
        said = self.cleaned_data
        try:
            return api_keys.create(
                said["name"],
                said["scope"],
                tenant=said["tenant"].pk if said["tenant"] else None,
                source=said["source"].pk if said["source"] else None,
                expires_at=said["expires_at"],
                now=timezone.now(),
                created_by=request.user.get_username(),
            )
        except api_keys.KeyRequestError as error:
            self.add_error(None, ValidationError(str(error)))
            return None


def _making(back: str) -> Act:
    return Act(
        title="New API key",
        note="Scope ingest sends usage, gateway calls models, finance reads the company's "
        "numbers, portal reads what one tenant used and owes.",
        button="Make the key",
        do=str,
        refusals=(),
        back=back,
    )


@admin.register(ApiKey)
class ApiKeyAdmin(PageAdmin):
    form = KeyForm
    list_display = ("name", "state", "scope", "tenant", "source", "made", "used", "expires")
    list_filter = ("scope",)
    list_select_related = ("tenant", "source")
    search_fields = ("id", "name")
    ordering = ("-created_at",)
    fields = (
        ("name", "state"),
        ("id", "scope"),
        ("tenant", "source"),
        ("made", "created_by"),
        ("used", "expires"),
        ("revoked", "revoked_by"),
    )
    readonly_fields = ("id", "state", "made", "used", "expires", "revoked")
    actions_detail = ("revoke",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """A key is made or revoked, never edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_revoke_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whoever may change keys, of a key that is in use."""
        if not request.user.has_perm("metering.change_apikey"):
            return False
        return object_id is None or ApiKey.objects.filter(pk=object_id, revoked_at=None).exists()

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return super().get_queryset(request).defer("secret_digest")

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",  # noqa: ARG002
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Makes the key on POST and answers with its secret, this once."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = self._asked(request)(request.POST if request.method == "POST" else None)
        back = reverse("admin:metering_apikey_changelist")
        made = form.made(request) if request.method == "POST" and form.is_valid() else None
        if made is None:
            return page(self, request, _making(back), form)
        key, secret = made
        context = {
            **self.admin_site.each_context(request),
            **(extra_context or {}),
            "opts": self.opts,
            "title": "The key's secret",
            "key": key,
            "secret": secret,
            "back": back,
        }
        response = TemplateResponse(request, "metering/admin/secret.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def _asked(self, request: HttpRequest) -> type[KeyForm]:
        return cast("type[KeyForm]", self.get_form(request, None, fields=KeyForm.Meta.fields))

    @action(description="Revoke", url_path="revoke", permissions=["revoke"], icon="block")
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = ApiKey.objects.get(pk=object_id)

        def do(_: dict[str, Any]) -> str:
            api_keys.revoke(key.pk, now=timezone.now(), revoked_by=request.user.get_username())
            return f"{key.name} is revoked: from now on nothing is let in by it."

        return perform(
            self,
            request,
            Act(
                title=f"Revoke {key.name}",
                note="Every program that uses the key is refused from now on. This cannot be "
                "undone; another key can be made.",
                button="Revoke the key",
                do=do,
                refusals=(api_keys.KeyRequestError,),
                back=reverse("admin:metering_apikey_change", args=[key.pk]),
                is_dangerous=True,
            ),
        )

    @shown("state")
    def state(self, row: ApiKey) -> SafeString:
        if row.revoked_at is not None:
            return label("revoked")
        if row.expires_at is not None and row.expires_at <= datetime.now(UTC):
            return label("expired")
        return label("active")

    @shown("made", order="created_at")
    def made(self, row: ApiKey) -> SafeString:
        return instant(row.created_at)

    @shown("last used", order="last_used_at")
    def used(self, row: ApiKey) -> SafeString:
        return instant(row.last_used_at)

    @shown("expires", order="expires_at")
    def expires(self, row: ApiKey) -> SafeString:
        return instant(row.expires_at)

    @shown("revoked")
    def revoked(self, row: ApiKey) -> SafeString:
        return instant(row.revoked_at)
