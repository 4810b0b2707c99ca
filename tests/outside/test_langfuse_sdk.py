"""Langfuse's clients as their users install them, against the product as it is served.

Today's SDK speaks OpenTelemetry; those before version 3, and many integrations, post batches of
events, which are sent here as they send them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from django.db import connection
from langfuse import Langfuse, propagate_attributes
from opentelemetry.sdk.trace import TracerProvider

from metering.api_keys import create, revoke
from metering.domain.periods import Month
from metering.verification.event_verification import check_month
from tests.serving import Server

pytestmark = pytest.mark.outside

COUNTED = (
    "SELECT tenant, environment, prompt_version, model, input_tokens, cached_input_tokens,"
    " output_tokens, status FROM usage_event e WHERE NOT EXISTS"
    " (SELECT FROM event_disposition d WHERE d.event_key = e.event_key) ORDER BY input_tokens"
)


@pytest.fixture
def key(server: Server) -> str:
    return create("sdk", "ingest", source="shop", now=datetime.now(UTC))[1]


@pytest.fixture
def langfuse(server: Server, key: str) -> Iterator[Langfuse]:
    client = Langfuse(
        public_key=f"pk-lf-{key[-8:]}",
        secret_key=key,
        base_url=f"{server.url}/langfuse",
        environment="staging",
        tracer_provider=TracerProvider(),
    )
    yield client
    client.shutdown()


def rows(query: str = COUNTED) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def months_are_right() -> bool:
    month = Month.of(datetime.now(UTC))
    return not [*check_month(month), *check_month(month.previous())]


def test_generations_of_the_sdk_are_counted_with_what_stands_on_their_trace(
    langfuse: Langfuse,
) -> None:
    with (
        langfuse.start_as_current_observation(name="chat", as_type="agent"),
        propagate_attributes(
            user_id="u_1", session_id="s_1", tags=["beta"], metadata={"tenant_id": "acme"}
        ),
    ):
        with langfuse.start_as_current_observation(
            name="answer",
            as_type="generation",
            model="gpt-4o-mini",
            input=[{"role": "user", "content": "the secret question"}],
        ) as generation:
            generation.update(
                output="the secret answer",
                usage_details={
                    "input": 700,
                    "input_cached_tokens": 300,
                    "output": 150,
                    "output_reasoning_tokens": 50,
                    "total": 1200,
                },
            )
        with langfuse.start_as_current_observation(
            name="embed", as_type="embedding", model="text-embedding-3-small"
        ) as embedding:
            embedding.update(usage_details={"input": 40})
    langfuse.flush()
    assert rows() == [
        ("acme", "staging", None, "text-embedding-3-small", 40, None, None, "success"),
        ("acme", "staging", None, "gpt-4o-mini", 1000, 300, 200, "success"),
    ]
    assert rows("SELECT count(DISTINCT user_pseudonym) FROM usage_event") == [(1,)]
    assert months_are_right()


def test_the_sdk_may_check_its_key(langfuse: Langfuse) -> None:
    assert langfuse.auth_check() is True
    revoke("sdk", now=datetime.now(UTC))
    with pytest.raises(Exception, match="revoked"):
        langfuse.auth_check()


# ------------------------------------------------------------------- as the SDKs before version 3


def at(seconds: float) -> str:
    moment = datetime.now(UTC) - timedelta(hours=1) + timedelta(seconds=seconds)
    return moment.isoformat().replace("+00:00", "Z")


def batch(*events: dict[str, Any]) -> dict[str, Any]:
    return {
        "batch": list(events),
        "metadata": {"batch_size": len(events), "sdk_name": "python", "sdk_version": "2.60.3"},
    }


def event(kind: str, id: str, body: dict[str, Any], *, after: float = 0) -> dict[str, Any]:
    return {"id": id, "type": kind, "timestamp": at(after), "body": body}


TRACE = event(
    "trace-create",
    "e1",
    {"id": "t", "name": "chat", "userId": "u_1", "metadata": {"tenant_id": "acme"}},
)
CREATED = event(
    "generation-create",
    "e2",
    {
        "id": "g",
        "traceId": "t",
        "name": "answer",
        "startTime": at(0),
        "model": "gpt-4o-mini",
        "input": [{"role": "user", "content": "the secret question"}],
        "promptName": "summary",
        "promptVersion": 3,
        "environment": "staging",
    },
)
UPDATED = event(
    "generation-update",
    "e3",
    {
        "id": "g",
        "traceId": "t",
        "endTime": at(2),
        "output": "the secret answer",
        "usageDetails": {"input": 700, "input_cached_tokens": 300, "output": 200, "total": 1200},
    },
    after=2,
)


def post(server: Server, key: str, *events: dict[str, Any]) -> httpx.Response:
    return httpx.post(
        f"{server.url}/langfuse/api/public/ingestion",
        json=batch(*events),
        auth=("pk-lf-1", key),
        headers={"x-langfuse-sdk-name": "python", "x-langfuse-sdk-version": "2.60.3"},
        timeout=60,
    )


def test_batches_of_older_sdks_come_to_the_same_in_any_order(server: Server, key: str) -> None:
    for events in ((UPDATED,), (CREATED, TRACE), (TRACE, CREATED, UPDATED)):
        response = post(server, key, *events)
        assert response.status_code == 207
        assert [each["id"] for each in response.json()["successes"]] == [e["id"] for e in events]
        assert response.json()["errors"] == []
    assert rows() == [("acme", "staging", "summary@3", "gpt-4o-mini", 1000, 300, 200, "success")]
    assert months_are_right()


def test_both_endpoints_tell_of_one_call_once(server: Server, key: str, langfuse: Langfuse) -> None:
    """An application that moves from one SDK to the other may send a trace by both."""
    with langfuse.start_as_current_observation(
        name="answer", as_type="generation", model="gpt-4o-mini"
    ) as generation:
        generation.update(usage_details={"input": 700, "output": 200})
        trace, span = generation.trace_id, generation.id
    langfuse.flush()
    body = {**UPDATED["body"], "id": span, "traceId": trace, "model": "gpt-4o-mini"}
    body["usageDetails"] = {"input": 700, "output": 200}
    assert post(server, key, event("generation-create", "x", body)).json()["errors"] == []
    assert [row[4] for row in rows()] == [700]
