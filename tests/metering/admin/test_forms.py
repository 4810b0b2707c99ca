"""What people enter: owners, mappings, keys. The database's refusals are said in the form."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from metering import api_keys
from metering.models import ApiKey, CostCentre, OwnerMapping, Tenant
from tests.admin_pages import browser, page_of, person, text, told
from tests.metering.events import NOW

pytestmark = pytest.mark.django_db

ADD_MAPPING = reverse("admin:metering_ownermapping_add")
ADD_KEY = reverse("admin:metering_apikey_add")


@pytest.fixture(autouse=True)
def _owners() -> None:
    CostCentre.objects.create(code="cc-a", name="A", responsible="head of A")
    CostCentre.objects.create(code="cc-b", name="B", responsible="head of B")
    Tenant.objects.create(key="acme", name="Acme")


def mapping(**different: str) -> dict[str, str]:
    return {
        "kind": "tenant",
        "key": "acme",
        "cost_centre": "cc-a",
        "valid_from_0": "2026-10-01",
        "valid_from_1": "00:00:00",
        "valid_to_0": "",
        "valid_to_1": "",
        "reason": "",
        **different,
    }


def test_a_mapping_is_added() -> None:
    response = browser(person("f", "finance")).post(ADD_MAPPING, mapping(), follow=True)
    assert "added successfully" in told(response)
    assert OwnerMapping.objects.get().cost_centre_id == "cc-a"


def test_an_overlap_is_said_in_the_form_and_nothing_is_lost() -> None:
    client = browser(person("f", "finance"))
    client.post(ADD_MAPPING, mapping())
    response = client.post(ADD_MAPPING, mapping(cost_centre="cc-b", reason="moved house"))
    assert response.status_code == 200
    page = text(response)
    assert "Another mapping of this key holds in that time" in page
    assert "moved house" in page
    assert OwnerMapping.objects.count() == 1


def test_a_mapping_ends_and_the_next_one_begins() -> None:
    client = browser(person("f", "finance"))
    client.post(ADD_MAPPING, mapping())
    row = OwnerMapping.objects.get()
    client.post(page_of(row), {"valid_to_0": "2026-11-01", "valid_to_1": "00:00", "reason": ""})
    client.post(ADD_MAPPING, mapping(cost_centre="cc-b", valid_from_0="2026-11-01"))
    assert [m.cost_centre_id for m in OwnerMapping.objects.order_by("valid_from")] == [
        "cc-a",
        "cc-b",
    ]


def test_what_a_mapping_says_is_not_rewritten() -> None:
    client = browser(person("f", "finance"))
    client.post(ADD_MAPPING, mapping())
    row = OwnerMapping.objects.get()
    client.post(page_of(row), mapping(cost_centre="cc-b", key="globex"))
    row.refresh_from_db()
    assert (row.cost_centre_id, row.key) == ("cc-a", "acme")


def test_a_user_is_mapped_by_pseudonym_only() -> None:
    response = browser(person("f", "finance")).post(
        ADD_MAPPING, mapping(kind="user", key="anna@example.com")
    )
    assert "named by their pseudonym" in text(response)
    assert not OwnerMapping.objects.exists()


def test_an_end_before_the_start_is_refused() -> None:
    response = browser(person("f", "finance")).post(
        ADD_MAPPING, mapping(valid_to_0="2026-09-01", valid_to_1="00:00:00")
    )
    assert "the end comes before the start" in text(response)


def test_finance_changes_who_answers_for_a_cost_centre() -> None:
    client = browser(person("f", "finance"))
    centre = CostCentre.objects.get(code="cc-a")
    form = {"name": "A", "responsible": "head of everything", "team": "", "mode": "chargeback"}
    client.post(page_of(centre), {**form, "code": "cc-z"})
    centre.refresh_from_db()
    assert (centre.code, centre.responsible, centre.mode) == (
        "cc-a",
        "head of everything",
        "chargeback",
    )


def test_a_viewer_changes_nothing() -> None:
    client = browser(person("v", "viewer"))
    centre = CostCentre.objects.get(code="cc-a")
    assert client.post(page_of(centre), {"name": "mine"}).status_code == 403
    assert client.post(ADD_MAPPING, mapping()).status_code == 403


def test_a_clock_that_does_not_exist_is_refused() -> None:
    client = browser(person("f", "finance"))
    tenant = Tenant.objects.get(key="acme")
    response = client.post(page_of(tenant), {"name": "Acme", "time_zone": "Mars/Olympus"})
    assert "no such time zone" in text(response)


KEY = {"name": "gateway", "scope": "ingest", "tenant": "", "source": "", "expires_at_0": ""}


def test_a_keys_secret_is_shown_once_and_opens_the_door() -> None:
    client = browser(person("e", "engineer"))
    response = client.post(ADD_KEY, KEY)
    found = re.search(r"apk_\w+_[\w-]+", text(response))
    assert found is not None
    assert "no-store" in response["Cache-Control"]
    key = ApiKey.objects.get()
    assert api_keys.authenticate(found[0], "ingest", NOW).id == key.pk
    assert key.created_by == "e"
    assert found[0] not in text(client.get(page_of(key)))


def test_a_key_that_cannot_be_made_says_why() -> None:
    response = browser(person("e", "engineer")).post(ADD_KEY, {**KEY, "scope": "portal"})
    assert "say which" in text(response)
    assert not ApiKey.objects.exists()


def test_a_key_is_revoked_on_a_post_only() -> None:
    key, _ = api_keys.create("gateway", "ingest", now=NOW)
    url = reverse("admin:metering_apikey_revoke", args=[key.pk])
    client = browser(person("e", "engineer"))
    client.get(url)
    key.refresh_from_db()
    assert key.revoked_at is None
    client.post(url)
    key.refresh_from_db()
    assert key.revoked_by == "e"
    assert client.post(url).status_code == 403


def test_who_only_sees_keys_makes_none_and_revokes_none() -> None:
    key, _ = api_keys.create("gateway", "ingest", now=NOW)
    client = browser(person("a", "auditor"))
    assert client.post(ADD_KEY, KEY).status_code == 403
    assert client.post(reverse("admin:metering_apikey_revoke", args=[key.pk])).status_code == 403
