"""The Opsmeter SDK as its users install it, against the product as it is served."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import opsmeter_sdk
import pytest
from django.db import connection
from opsmeter_sdk import sdk

from metering.api_keys import create, revoke
from metering.domain.periods import Month
from metering.verification.event_verification import check_month
from tests.serving import Server

pytestmark = pytest.mark.outside

REPLY = {
    "id": "chatcmpl-7",
    "model": "gpt-4o-mini-2024-07-18",
    "usage": {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200},
}


@pytest.fixture
def key(server: Server) -> str:
    return create("sdk", "ingest", source="shop", now=datetime.now(UTC))[1]


@pytest.fixture
def opsmeter(server: Server, key: str) -> Iterator[Any]:
    opsmeter_sdk.init(
        api_key=key,
        telemetry_base_url=server.url,
        environment="staging",
        request_timeout_seconds=30,
        flush_interval_ms=10,
    )
    yield opsmeter_sdk
    sdk.reset_for_tests()


def rows(query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def captured(opsmeter: Any, external_request_id: str, reply: dict[str, Any] = REPLY) -> Any:
    return opsmeter.capture_openai_chat_completion_with_result(
        lambda: reply,
        request={"model": "gpt-4o-mini"},
        external_request_id=external_request_id,
        await_telemetry_response=True,
    )["telemetry"]


def test_a_captured_call_is_stored_with_its_attribution(opsmeter: Any) -> None:
    with opsmeter.context(
        user_id="u_1",
        tenant_id="acme",
        feature="assistant",
        endpoint="/api/chat",
        prompt_version="v12",
        data_mode="real",
    ):
        first, again = captured(opsmeter, "ext_1"), captured(opsmeter, "ext_1")
    assert (first["ok"], first["status"], first["body"]["ok"]) == (True, 200, True)
    assert again["status"] == 200
    stored = rows(
        "SELECT source, tenant, endpoint_tag, prompt_version, environment, provider_request_id,"
        " input_tokens, output_tokens, pricing, user_pseudonym IS NOT NULL FROM usage_event"
    )
    assert len(stored) in (1, 2), "another latency makes the second report another attempt"
    assert stored[0] == (
        *("shop", "acme", "assistant", "v12", "staging", "chatcmpl-7"),
        *(1000, 200, "priced", True),
    )


def test_what_the_sdk_sends_by_itself_arrives(opsmeter: Any) -> None:
    heard: list[dict[str, Any]] = []
    sdk._config.on_telemetry_result = lambda result, _payload: heard.append(result)
    opsmeter.capture_anthropic_message(
        lambda: {
            "id": "msg_1",
            "model": "claude-3-5-haiku-latest",
            "usage": {"input_tokens": 10, "output_tokens": 5},
        }
    )
    sdk._worker_thread.join(0)
    for _ in range(600):
        if heard:
            break
        sdk._worker_thread.join(0.05)
    assert [result["status"] for result in heard] == [200]
    assert rows("SELECT provider, model FROM usage_event") == [
        ("anthropic", "claude-3-5-haiku-latest")
    ]


def test_a_failed_call_is_reported_and_raised(opsmeter: Any) -> None:
    def fails() -> None:
        raise TimeoutError("the provider did not answer")

    with pytest.raises(TimeoutError):
        opsmeter.capture_openai_chat_completion_with_result(
            fails, request={"model": "gpt-4o-mini"}, await_telemetry_response=True
        )
    assert rows("SELECT status, error_code FROM usage_event") == [("error", "TimeoutError")]


def test_a_revoked_key_is_refused_in_words_the_sdk_passes_on(opsmeter: Any) -> None:
    revoke("sdk", now=datetime.now(UTC))
    refused = captured(opsmeter, "ext_2")
    assert (refused["ok"], refused["status"]) == (False, 401)
    assert refused["body"]["reason"] == "revoked_key"
    assert refused["body"]["providerCallsContinue"] is True


def test_demo_and_test_data_come_and_go(opsmeter: Any, server: Server, key: str) -> None:
    with opsmeter.context(data_mode="test"):
        captured(opsmeter, "ext_3")
    with httpx.Client(base_url=server.url, headers={"X-API-Key": key}, timeout=30) as client:
        assert client.post("/v1/ingest/demo").json()["inserted"] == 48
        assert client.delete("/v1/ingest/demo-data?scope=workspace").json()["deleted"] == 48
        assert client.delete("/v1/ingest/test-data?scope=mine").json()["deleted"] == 1
        status = client.get("/v1/diagnostics/workspace-status").json()
    assert status["plan"]["currentRequestCount"] == 0
    month = Month.of(datetime.now(UTC))
    assert [*check_month(month), *check_month(month.previous())] == []


# ---------------------------------------------------------------- what only a real server meets


def event(request_id: str) -> dict[str, Any]:
    return {
        "externalRequestId": request_id,
        "provider": "openai",
        "model": "gpt-4o-mini",
        "inputTokens": 1,
        "outputTokens": 1,
    }


def lines(count: int) -> list[bytes]:
    return [json.dumps(event(f"req-{n}")).encode() + b"\n" for n in range(count)]


def test_a_body_in_chunks_is_read_to_its_end(server: Server, key: str) -> None:
    with httpx.Client(base_url=server.url, headers={"X-API-Key": key}, timeout=30) as client:
        response = client.post(
            "/api/v1/usage",
            content=iter(lines(300)),
            headers={"Content-Type": "application/x-ndjson"},
        )
        assert (response.status_code, response.json()["accepted"]) == (200, 300)
        too_long = client.post(
            "/api/v1/usage",
            content=(b" " * 1_000_000 for _ in range(11)),
            headers={"Content-Type": "application/x-ndjson"},
        )
        assert too_long.status_code == 413


def raw(server: Server, headers: list[tuple[str, str]], body: bytes) -> tuple[int, dict[str, Any]]:
    """What the server answers to headers that no client library would send."""
    address = urlsplit(server.url)
    link = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    try:
        link.putrequest("POST", "/api/v1/usage")
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            link.putheader(name, value)
        link.endheaders(body)
        response = link.getresponse()
        return response.status, json.loads(response.read())
    finally:
        link.close()


def test_headers_that_come_twice_do_not_pass(server: Server, key: str) -> None:
    body = b"".join(lines(1))
    twice_packed, problem = raw(
        server,
        [("X-API-Key", key), ("Content-Encoding", "gzip"), ("Content-Encoding", "gzip")],
        body,
    )
    assert twice_packed in (400, 415), problem
    two_keys, problem = raw(server, [("X-API-Key", key), ("X-API-Key", "apk_a_b")], body)
    assert (two_keys, problem["type"]) == (401, "urn:apportion:problem:invalid-key")
    assert rows("SELECT count(*) FROM usage_event") == [(0,)]
