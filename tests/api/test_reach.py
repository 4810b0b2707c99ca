"""Who reaches what: every portal and finance route, with every kind of key."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing.models import Invoice
from metering import people
from tests.api.books import SCOPES, Asking, Keys
from tests.api.routes import FINANCE, PORTAL, QUERIES, WRITTEN_TO, names, path_of
from tests.billing.billed import call, calls

pytestmark = pytest.mark.django_db

OF_OTHERS = ("globex", "bob", "initech")


def test_every_route_has_a_case() -> None:
    assert names("api/v1/portal/") == sorted(PORTAL)
    assert names("api/v1/finance/") == sorted(FINANCE)


def test_a_tenant_sees_its_own_and_nothing_of_another(acme: Asking, globex: Asking) -> None:
    for name in PORTAL:
        query = QUERIES.get(name, {})
        own = acme.ok(path_of(name, "acme"), **query)
        assert not any(word in json.dumps(own).lower() for word in OF_OTHERS), (name, own)
        theirs = path_of(name, "globex")
        assert globex.ok(theirs, **query) != own, name
        if theirs != path_of(name, "acme"):
            status, refusal = acme.get(theirs)
            number = f"/{Invoice.objects.get(tenant='globex').pk}"
            absent = acme.get(theirs.replace(number, "/999999"))
            assert (status, refusal["type"]) == (404, "urn:apportion:problem:not-found"), name
            assert (absent[0], absent[1]["type"]) == (404, refusal["type"]), (
                f"{name}: what is another's must look like what is not there"
            )


def test_what_another_tenant_does_changes_nothing_that_is_seen(acme: Asking) -> None:
    def seen() -> dict[str, Any]:
        return {name: acme.ok(path_of(name, "acme"), **QUERIES.get(name, {})) for name in PORTAL}

    before = seen()
    calls(*(call(f"2026-10-{day:02}T12:00", "globex") for day in range(1, 31)))
    assert seen() == before


def test_each_scope_opens_its_own_doors_only(books: Keys) -> None:
    for name in (*PORTAL, *FINANCE):
        for held in SCOPES:
            status, body = Asking(getattr(books, held)).get(path_of(name, "acme"))
            if held == name.split("-")[0]:
                assert status == 200, (name, held, body)
            else:
                reason = (status, body["type"])
                assert reason == (403, "urn:apportion:problem:wrong-scope"), (name, held)


def test_no_key_and_no_good_key_are_told_so(books: Keys) -> None:
    other_letter = "A" if books.portal[-1] != "A" else "B"
    for name in (*PORTAL, *FINANCE):
        path = path_of(name, "acme")
        for secret, reason in (
            (None, "not-authenticated"),
            (books.revoked, "revoked-key"),
            (books.expired, "expired-key"),
            (books.portal[:-1] + other_letter, "invalid-key"),
            ("apk_x_y' OR '1'='1", "invalid-key"),
        ):
            status, body = Asking(secret).get(path)
            assert (status, body["type"]) == (401, f"urn:apportion:problem:{reason}"), name
        response = Client().get(path)
        assert response["WWW-Authenticate"].startswith("Bearer"), name
        assert response["Content-Type"] == "application/problem+json", name


def test_nothing_is_written_by_these_routes_and_nothing_cached_for_others(books: Keys) -> None:
    for name in (*PORTAL, *FINANCE):
        client = Client(headers={"X-API-Key": getattr(books, name.split("-")[0])})
        path = path_of(name, "acme")
        for method in {"post", "put", "patch", "delete"} - WRITTEN_TO.get(name, frozenset()):
            refused = getattr(client, method)(path)
            assert refused.status_code == 405, name
            assert refused["Content-Type"] == "application/problem+json", name
        answered = client.get(path)
        assert answered["Cache-Control"] == "private, no-cache", name
        assert {"Authorization", "X-API-Key", "Cookie"} <= set(answered["Vary"].split(", ")), name
        assert client.head(path).status_code == 200, name


def test_people_read_finance_with_the_right_to_and_not_without(books: Keys) -> None:
    people.add("viewer", ["viewer"])
    viewer, outsider = Client(), Client()
    viewer.force_login(User.objects.get(username="viewer"))
    outsider.force_login(User.objects.create_user("outsider", is_staff=True))
    for name in FINANCE:
        path = path_of(name, "acme")
        assert viewer.get(path).status_code == 200, name
        refused = outsider.get(path)
        assert refused.status_code == 403, name
        assert "outsider lacks the right" in refused.json()["detail"], name
        assert "viewer" in refused.json()["detail"], "it names a role that has the right"


def test_no_session_opens_the_portal(books: Keys) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    for name in PORTAL:
        assert client.get(path_of(name, "acme")).status_code == 401, name
