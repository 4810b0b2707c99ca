"""Opsmeter's payload, as its documentation shows it and as its SDK sends it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from metering.domain.usage import Rejection, UsageEvent
from metering.formats import opsmeter

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
DOCUMENTED: dict[str, Any] = {
    "externalRequestId": "ext_123abc",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "promptVersion": "summary_v3",
    "endpointTag": "checkout.ai_summary",
    "inputTokens": 120,
    "outputTokens": 45,
    "totalTokens": 165,
    "latencyMs": 820,
    "status": "success",
    "errorCode": None,
    "userId": None,
    "dataMode": "real",
    "environment": "prod",
}


def parse(sent: dict[str, Any] | bytes) -> UsageEvent | Rejection:
    payload = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    return opsmeter.parse(payload, place="line 2", source="ops", received_at=NOW)


def test_the_documented_payload() -> None:
    event = parse(DOCUMENTED)
    assert type(event) is UsageEvent
    assert event == UsageEvent(
        source="ops",
        external_request_id="ext_123abc",
        provider="openai",
        model="gpt-4o-mini",
        occurred_at=NOW,
        time_reported=False,
        input_tokens=120,
        output_tokens=45,
        endpoint_tag="checkout.ai_summary",
        prompt_version="summary_v3",
        latency_ms=820,
    )


def test_what_the_sdk_knows_beside_the_payload() -> None:
    metadata = {"operation": "chat", "tenantId": "acme", "providerRequestId": "chatcmpl-1"}
    event = parse({**DOCUMENTED, "metadata": {**metadata, "endpoint": None, "x": [1]}})
    assert isinstance(event, UsageEvent)
    assert (event.tenant_id, event.provider_request_id) == ("acme", "chatcmpl-1")
    event = parse({**DOCUMENTED, "tenantId": "globex", "metadata": metadata})
    assert isinstance(event, UsageEvent)
    assert event.tenant_id == "globex"


def test_a_total_that_does_not_sum_is_kept_and_marked() -> None:
    event = parse({**DOCUMENTED, "totalTokens": 1300})
    assert isinstance(event, UsageEvent)
    assert (event.input_tokens, event.output_tokens) == (120, 45)
    assert event.usage_quality == "inconsistent"


def test_refusals_name_place_reason_and_key() -> None:
    for fields, reason in (
        ({"inputTokens": -1}, "out_of_range"),
        ({"inputTokens": None, "outputTokens": None}, "no_usage"),
        ({"status": "failed"}, "invalid_value"),
        ({"model": "a\u0000"}, "control_character"),
    ):
        rejection = parse({**DOCUMENTED, **fields})
        assert isinstance(rejection, Rejection)
        assert (rejection.place, rejection.reason) == ("line 2", reason)
        assert rejection.key == "ext_123abc"


@given(st.binary(max_size=100))
def test_no_bytes_raise(payload: bytes) -> None:
    assert isinstance(parse(payload), Rejection)
