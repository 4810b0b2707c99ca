"""Every list and page of the admin, whatever is registered: a new model is covered as it comes."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.models import Model
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pghistory.models import Event as History

from config.roles import ROLES, SEE_HISTORY
from metering.admin.bases import ReadOnlyAdmin
from metering.models import CostCentre, UsageEvent
from tests.admin_pages import browser, key_of, page_of, person, registered, text

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("month")]

MOST_QUERIES = 40
"""On any list: what a page of rows needs does not grow with the rows."""


def first(model: type[Model]) -> Model | None:
    return model._default_manager.first()


def test_every_list_answers_within_a_bounded_number_of_queries() -> None:
    client = browser(person("root", "superuser"))
    for name, _, _ in registered():
        with CaptureQueriesContext(
            connection,
        ) as asked:
            response = client.get(reverse(f"admin:{name}_changelist"))
        assert response.status_code == 200, name
        assert len(asked) <= MOST_QUERIES, (name, len(asked))


def test_every_row_has_a_page() -> None:
    client = browser(person("root", "superuser"))
    shown = 0
    for name, model, _ in registered():
        row = first(model)
        if row is not None:
            response = client.get(page_of(row))
            assert response.status_code == 200, name
            shown += 1
    assert shown > 30


def test_every_form_to_add_a_row_opens() -> None:
    root = person("root", "superuser")
    client = browser(root)
    asked = HttpRequest()
    asked.user = root
    for name, _, model_admin in registered():
        if model_admin.has_add_permission(asked):
            response = client.get(reverse(f"admin:{name}_add"))
            assert response.status_code == 200, name


def test_what_must_not_change_refuses_to_be_written() -> None:
    client = browser(person("root", "superuser"))
    refused = 0
    for name, model, model_admin in registered():
        if not isinstance(model_admin, ReadOnlyAdmin):
            continue
        row = first(model)
        key = None if row is None else key_of(row)
        assert client.post(reverse(f"admin:{name}_add"), {}).status_code == 403, name
        if key is not None:
            for what in ("change", "delete"):
                url = reverse(f"admin:{name}_{what}", args=[key])
                assert client.post(url, {"post": "yes"}).status_code == 403, (name, what)
            refused += 1
    assert refused > 20


def test_nothing_can_be_deleted_in_the_admin() -> None:
    client = browser(person("root", "superuser"))
    for name, model, _ in registered():
        row = first(model)
        if row is not None:
            url = reverse(f"admin:{name}_delete", args=[key_of(row)])
            assert client.post(url, {"post": "yes"}).status_code == 403, name
            assert model._default_manager.filter(pk=row.pk).exists(), name


def seen_by(client: Client) -> set[str]:
    return {
        name
        for name, _, _ in registered()
        if client.get(reverse(f"admin:{name}_changelist")).status_code == 200
    }


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_role_sees_what_its_permissions_say_and_nothing_else(role: str) -> None:
    user = person("somebody", role)
    client = browser(user)
    expected = {
        name
        for name, model, _ in registered()
        if (issubclass(model, History) and user.has_perm(SEE_HISTORY))
        or any(
            user.has_perm(f"{model._meta.app_label}.{right}_{model._meta.model_name}")
            for right in ("view", "change")
        )
    }
    assert seen_by(client) == expected
    assert "billing_invoice" in expected
    for name in ("auth_user", "billing_invoicehistory"):
        assert (name in expected) == (role == "auditor")


def test_the_sidebar_shows_only_what_may_be_opened() -> None:
    viewer = text(browser(person("v", "viewer")).get(reverse("admin:index")))
    assert reverse("admin:billing_invoice_changelist") in viewer
    assert reverse("admin:metering_apikey_changelist") not in viewer
    auditor = text(browser(person("a", "auditor")).get(reverse("admin:index")))
    assert reverse("admin:metering_apikey_changelist") in auditor


def test_nobody_logged_in_sees_nothing() -> None:
    for name, _, _ in registered():
        response = Client().get(reverse(f"admin:{name}_changelist"))
        assert response.status_code == 302, name
        assert reverse("admin:login") in response["Location"], name


def test_an_event_is_told_with_its_price_and_owner() -> None:
    event = UsageEvent.objects.filter(tenant="acme").get()
    told = text(browser(person("v", "viewer")).get(page_of(event)))
    assert "10.00" in told
    assert reverse("admin:metering_costcentre_change", args=["cc-growth"]) in told
    assert "its tenant" in told


def test_a_change_is_told_on_its_page_with_who_made_it() -> None:
    centre = CostCentre.objects.get(code="cc-growth")
    form = {"name": "Growth", "responsible": "somebody new", "team": "", "mode": "showback"}
    browser(person("f", "finance")).post(page_of(centre), form)
    auditor = browser(person("a", "auditor"))
    for page in (page_of(centre), reverse("admin:audit")):
        told = text(auditor.get(page))
        assert "somebody new" in told
        assert "<td>f</td>" in told
    assert "History" not in text(browser(person("v", "viewer")).get(page_of(centre)))
    assert browser(person("w", "viewer")).get(reverse("admin:audit")).status_code == 403
