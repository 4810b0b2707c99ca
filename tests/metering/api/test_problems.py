"""Errors have one shape for programs, and Django's pages for people."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.http import Http404
from django.test import Client, RequestFactory
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.views import APIView

from metering.api import problems, usage
from metering.api.authentication import ApiKeyAuthentication, has_scope
from metering.models import Tenant
from tests.metering.api.keys import secret


class Thing(APIView):
    """What other views are like: keys in, problems out."""

    authentication_classes = (ApiKeyAuthentication,)
    permission_classes = (has_scope("portal", "finance"),)
    error: Exception | None = None

    def get(self, request: Request) -> Any:
        if self.error is not None:
            raise self.error
        key: Any = request.auth
        return problems.problem(200, "fine", "Fine", key.tenant or "")


def ask(key: str | None = None, **arguments: Any) -> Any:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return Thing.as_view(**arguments)(RequestFactory().get("/api/x", headers=headers))


def kind(response: Any) -> tuple[int, str]:
    assert response["Content-Type"] == "application/problem+json"
    body = json.loads(response.content)
    assert body["status"] == response.status_code
    return response.status_code, str(body["type"]).removeprefix("urn:apportion:problem:")


@pytest.mark.django_db
def test_a_view_lets_in_keys_of_its_scopes() -> None:
    Tenant.objects.create(key="acme")
    assert kind(ask(secret("portal", tenant="acme"))) == (200, "fine")
    assert b'"detail":"acme"' in ask(secret("portal", tenant="acme")).content
    assert kind(ask(secret("finance"))) == (200, "fine")
    assert kind(ask(secret("ingest"))) == (403, "wrong-scope")
    assert kind(ask("apk_a_b")) == (401, "invalid-key")
    nobody = ask()
    assert kind(nobody) == (401, "not-authenticated")
    assert nobody["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Http404("no such month"), (404, "not-found")),
        (exceptions.ValidationError({"month": ["write it as 2026-10"]}), (400, "invalid")),
        (exceptions.Throttled(wait=7), (429, "throttled")),
        (exceptions.MethodNotAllowed("PUT"), (405, "method-not-allowed")),
    ],
)
def test_the_frameworks_errors_are_problems(error: Exception, expected: tuple[int, str]) -> None:
    response = ask(secret("finance"), error=error)
    assert kind(response) == expected
    if isinstance(error, exceptions.Throttled):
        assert response["Retry-After"] == "7"


@pytest.mark.django_db
def test_an_address_that_leads_nowhere() -> None:
    assert kind(Client().get("/api/v1/usages")) == (404, "not-found")
    assert Client().get("/nowhere")["Content-Type"].startswith("text/html")


@pytest.mark.django_db
def test_a_fault_of_ours_is_a_problem_without_details(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("secret detail")

    monkeypatch.setattr(usage, "sender_of", broken)
    response = Client(raise_request_exception=False).post("/api/v1/usage")
    assert kind(response) == (500, "server-error")
    assert b"secret detail" not in response.content
