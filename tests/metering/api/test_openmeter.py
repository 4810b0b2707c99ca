"""OpenMeter's endpoint: three content types, a 204 that holds, and problems that name the event."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from tests.metering.api.keys import post, rows, secret, stored
from tests.metering.formats.test_metered_events import CLOUD, DATA

pytestmark = pytest.mark.usefixtures("db")

PATH = "/openmeter/api/v1/events"
ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def cloud(number: int = 1, **different: Any) -> dict[str, Any]:
    return {**CLOUD, "id": f"e-{number}", **different}


def tell(key: str | None, body: object, kind: str = BATCH, **headers: str) -> Any:
    return post(key, body, path=PATH, content_type=kind, **headers)


def refused(response: Any, status: int = 400) -> dict[str, Any]:
    assert response["Content-Type"] == "application/problem+json"
    answer: dict[str, Any] = response.json()
    assert (response.status_code, answer["status"], answer["type"]) == (
        status,
        status,
        "about:blank",
    )
    assert answer["instance"].startswith("urn:request:")
    assert stored() == 0
    return answer


@pytest.mark.parametrize("parameters", ["", "; charset=utf-8", ";charset=UTF-8"])
def test_three_content_types_with_and_without_parameters(parameters: str) -> None:
    key = secret()
    for kind, body in (
        (ONE, cloud(1)),
        (BATCH, [cloud(1), cloud(2)]),
        ("application/json", cloud(3)),
        ("application/json", [cloud(3), cloud(4)]),
    ):
        response = tell(key, body, kind + parameters)
        assert (response.status_code, response.content) == (204, b"")
        assert "Content-Type" not in response
    assert rows("SELECT tenant, input_tokens, count(*) FROM usage_event GROUP BY 1, 2") == [
        ("acme", 540, 4)
    ]


def test_what_was_sent_before_is_no_obstacle() -> None:
    key = secret()
    assert tell(key, [cloud(1)]).status_code == 204
    again = [cloud(1, time="2026-10-03T13:00:00Z"), cloud(1), cloud(2)]
    assert tell(key, again).status_code == 204
    assert stored() == 2


@pytest.mark.parametrize(
    ("bad", "reason", "said"),
    [
        (cloud(2, subject=""), "missing_field", "index 1: subject is required"),
        (cloud(2, data={"duration": "10"}), "missing_field", "index 1: there is no model"),
        (cloud(2, data={**DATA, "provider": "nobody"}), "unknown_provider", "index 1: provider"),
        (cloud(2, data={**DATA, "feature": "a\tb"}), "control_character", "index 1: endpointTag"),
        (5, "not_an_object", "index 1: one JSON object"),
        (cloud(1, data={**DATA, "input_tokens": 7}), "same_key_other_content", "index 1: an event"),
    ],
)
def test_one_event_that_cannot_be_used_refuses_all(bad: object, reason: str, said: str) -> None:
    answer = refused(tell(secret(), [cloud(1), bad, cloud(3)]))
    assert answer["detail"].startswith(f"invalid event: {said}")
    (named,) = answer["extensions"]["events"]
    assert (named["index"], named["reason"]) == (1, reason)


def test_every_event_at_fault_is_named() -> None:
    answer = refused(tell(secret(), [cloud(n, subject=None) for n in range(30)]))
    assert "(and 29 more)" in answer["detail"]
    assert [event["index"] for event in answer["extensions"]["events"]] == list(range(20))


def test_an_event_beyond_the_horizon_is_kept_and_seen() -> None:
    old = cloud(1, time="2020-01-01T00:00:00Z")
    assert tell(secret(), [old, cloud(2)]).status_code == 204
    assert stored() == 1


@pytest.mark.parametrize(
    ("kind", "body", "detail"),
    [
        ("text/plain", cloud(), "invalid content type: 'text/plain'"),
        ("application/cloudevents+xml", cloud(), "invalid content type"),
        (ONE, [cloud()], "invalid event: an array is sent as"),
        (BATCH, cloud(), "invalid event: one event is an object"),
        ("application/json", [], "invalid event: no events found"),
        (BATCH, [], "invalid event: no events found"),
        (ONE, b'{"id":', "invalid event: the body is no whole JSON"),
        (ONE, b"5", "invalid event: one event is an object"),
        (ONE, json.dumps(cloud(1)).encode() + b"\n" + json.dumps(cloud(2)).encode(), "invalid"),
    ],
)
def test_bodies_that_are_no_events(kind: str, body: object, detail: str) -> None:
    assert refused(tell(secret(), body, kind))["detail"].startswith(detail)


def test_keys_and_methods() -> None:
    assert refused(tell(None, [cloud()]), 401)["title"] == "Unauthorized"
    assert refused(tell(secret("finance"), [cloud()]), 403)["title"] == "Forbidden"
    response = Client().get(PATH)
    assert (response.status_code, response["Allow"]) == (405, "POST")


def test_a_tenants_key_sends_for_that_tenant_only() -> None:
    key = secret(tenant="acme")
    answer = refused(tell(key, [cloud(1), cloud(2, subject="globex")]))
    assert answer["extensions"]["events"][0]["reason"] == "foreign_tenant"
    assert tell(key, [cloud(1)]).status_code == 204
