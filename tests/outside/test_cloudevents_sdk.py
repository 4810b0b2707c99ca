"""CloudEvents as their own SDK writes them, posted to the endpoints that take them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from metering.api_keys import create
from tests.metering.api.keys import rows
from tests.serving import Server

pytestmark = pytest.mark.outside

BATCH = "application/cloudevents-batch+json"


def event(number: int, kind: str = "prompt", **data: Any) -> CloudEvent:
    return CloudEvent(
        attributes={
            "id": f"e-{number}",
            "source": "/chat",
            "type": kind,
            "specversion": "1.0",
            "subject": "acme",
            "time": datetime.now(UTC),
            "datacontenttype": "application/json",
            "costcenter": "CC-1",
        },
        data=data,
    )


def used(number: int) -> CloudEvent:
    return event(number, model="gpt-4o-mini", tokens="540", type="input")


@pytest.fixture
def client(server: Server) -> Any:
    _, key = create("events", "ingest", source="events", now=datetime.now(UTC))
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=30) as client:
        yield client


def posted(client: httpx.Client, path: str, made: CloudEvent) -> httpx.Response:
    message = to_structured(made, JSONFormat())
    return client.post(path, content=message.body, headers=message.headers)


def together(*made: CloudEvent) -> bytes:
    return b"[" + b",".join(to_structured(each, JSONFormat()).body for each in made) + b"]"


def test_usage_comes_one_by_one_and_in_batches(client: httpx.Client) -> None:
    path = "/openmeter/api/v1/events"
    first = used(1)
    for _ in range(2):
        response = posted(client, path, first)
        assert (response.status_code, response.content) == (204, b"")
    batch = client.post(path, content=together(first, used(2)), headers={"Content-Type": BATCH})
    assert (batch.status_code, batch.content) == (204, b"")
    assert rows(
        "SELECT event_id, tenant, cost_center, input_tokens FROM usage_event ORDER BY 1"
    ) == [(f"/chat e-{number}", "acme", "CC-1", 540) for number in (1, 2)]
    mixed = together(used(3), event(4, api_calls=1))
    refused = client.post(path, content=mixed, headers={"Content-Type": BATCH})
    assert refused.status_code == 400
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["detail"].startswith("invalid event: index 1: there is no model")
    assert rows("SELECT count(*) FROM usage_event") == [(2,)]


def test_events_come_in_binary_mode(client: httpx.Client) -> None:
    for path, made in (
        ("/openmeter/api/v1/events", used(1)),
        ("/api/v1/outcomes", event(7, "ticket.resolved", feature="support")),
    ):
        message = to_binary(made, JSONFormat())
        response = client.post(path, content=message.body, headers=message.headers)
        assert response.status_code in (200, 204), response.content
        again = posted(client, path, made)
        assert again.status_code == 204 or again.json()["duplicates"] == 1
    assert rows("SELECT event_id, tenant, cost_center, input_tokens FROM usage_event") == [
        ("/chat e-1", "acme", "CC-1", 540)
    ]
    assert rows("SELECT kind, tenant FROM business_outcome") == [("ticket.resolved", "acme")]


def test_outcomes_come_the_same_way(client: httpx.Client) -> None:
    path = "/api/v1/outcomes"
    resolved = event(7, "ticket.resolved", feature="support", request_id="req-1")
    assert posted(client, path, resolved).json()["accepted"] == 1
    batch = together(resolved, event(8, "email.sent", quantity=3))
    answer = client.post(path, content=batch, headers={"Content-Type": BATCH}).json()
    assert (answer["accepted"], answer["duplicates"]) == (1, 1)
    assert json.loads(batch)[1]["data"] == {"quantity": 3}
    assert rows(
        "SELECT kind, quantity::int, tenant, endpoint_tag, external_request_id"
        " FROM business_outcome ORDER BY 1"
    ) == [
        ("email.sent", 3, "acme", "", ""),
        ("ticket.resolved", 1, "acme", "support", "req-1"),
    ]
