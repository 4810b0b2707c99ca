"""Where there is no room, every endpoint that takes usage says so in its own dialect, with the time
after which to come again: 429 to whoever sends more than its share, else 503."""

from __future__ import annotations

import json
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from metering import report_intake, small_intake
from metering.api.dialects import refused_at
from metering.group_commit import Overloaded, OverShare
from tests.metering.api.keys import post, rows, secret
from tests.scenarios.wires import METRICS, OUTCOMES, WIRES, Wire, headers

pytestmark = pytest.mark.usefixtures("db")

DROPS_429 = "/integrations/litellm"
"""LiteLLM repeats what is answered 503, and drops what is answered 429."""
ENDPOINTS = {wire.path: wire for wire in (*WIRES, METRICS, OUTCOMES) if wire.stores}
by_endpoint = pytest.mark.parametrize("path", ENDPOINTS)


def send(wire: Wire, key: str) -> Any:
    sent_with = headers(wire, key)
    return post(None, wire.body, path=wire.path, content_type=wire.content_type, **sent_with)


def said(wire: Wire, response: HttpResponse, status: int) -> None:
    """The refusal is one that the clients of the endpoint can read."""
    status = 503 if wire.path == DROPS_429 else status
    assert (response.status_code, response["Retry-After"]) == (status, "1")
    if wire.content_type == "application/x-protobuf":
        assert response["Content-Type"] == wire.content_type
        assert response.content[:2] == bytes([0x08, 8 if status == HTTPStatus(429) else 14])
        return
    if wire.path.startswith("/langfuse/api/public/otel"):
        assert response["Content-Type"].startswith("text/plain")
        return
    answer = json.loads(response.content)
    member = {
        "/v1/ingest/llm-request": "telemetryPaused",
        "/v1/traces": "code",
        "/v1/metrics": "code",
        "/langfuse/api/public/ingestion": "error",
        "/openmeter/api/v1/events": "instance",
        "/lago/api/v1/events": "error",
        "/lago/api/v1/events/batch": "error",
    }.get(wire.path, "detail")
    assert member in answer


@by_endpoint
@pytest.mark.parametrize(("reason", "status"), [(OverShare, 429), (Overloaded, 503)])
def test_what_is_not_taken_is_told_in_the_dialect(
    path: str, reason: type[Exception], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire, key = ENDPOINTS[path], secret()
    with ExitStack() as here, monkeypatch.context() as full:

        def refuse(*_: object) -> None:
            raise reason("no room")

        for intake in (small_intake, report_intake):
            full.setattr(intake, "_perform", refuse)  # by which they go in a test's transaction
        if reason is OverShare:
            sender = small_intake.recall(key, "ingest")
            for _ in range(small_intake.LARGE_OF_ONE):
                here.enter_context(small_intake._large.of(sender.id))
        else:
            full.setattr(small_intake, "TURN_SECONDS", 0)
            for _ in range(small_intake.LARGE_AT_ONCE):
                here.enter_context(small_intake._turn())
        said(wire, send(wire, key), status)
        assert rows("SELECT count(*) FROM event_ledger") == [(0,)]
    assert send(wire, key).status_code < HTTPStatus.BAD_REQUEST, "there is room again"


@by_endpoint
@pytest.mark.parametrize("status", [429, 503])
def test_so_is_what_does_not_come_as_far_as_its_view(path: str, status: int) -> None:
    wire = ENDPOINTS[path]
    request = RequestFactory().post(path, wire.body, content_type=wire.content_type)
    said(wire, refused_at(request, over_share=status == HTTPStatus.TOO_MANY_REQUESTS), status)


def test_a_run_that_is_updated_is_refused_as_others_are() -> None:
    response = refused_at(RequestFactory().patch("/langsmith/runs/7", b"{}"), over_share=True)
    assert (response.status_code, response["Retry-After"]) == (429, "1")
    assert json.loads(response.content)["error"] == "too_many_requests"


@pytest.mark.parametrize("path", ["/api/v1/finance/cost-centres", "/admin/", "/nowhere"])
def test_elsewhere_it_is_a_problem(path: str) -> None:
    response = refused_at(RequestFactory().get(path), over_share=False)
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert json.loads(response.content)["type"].endswith(":overloaded")
