"""Opsmeter's payload, as its documentation shows it and as its SDK sends it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.usage import Rejection, Share, UsageEvent
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


@pytest.mark.parametrize("where", [lambda told: told, lambda told: {"metadata": told}])
def test_whom_a_call_is_for_may_be_told_beside_it_or_in_its_metadata(
    where: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    shares = [{"tenantId": "acme", "weight": 2}, {"tenantId": "globex", "weight": "1"}]
    event = parse({**DOCUMENTED, **where({"costCenter": "cc-1", "shares": shares})})
    assert isinstance(event, UsageEvent)
    assert event.cost_center == "cc-1"
    assert event.shares == (
        Share(tenant_id="acme", input_tokens=80, output_tokens=30),
        Share(tenant_id="globex", input_tokens=40, output_tokens=15),
    )


def test_shares_that_cannot_be_read_are_not_left_out() -> None:
    refused = parse({**DOCUMENTED, "shares": [{"tenantId": "acme", "inputTokens": 121}]})
    assert isinstance(refused, Rejection)
    assert refused.reason == "shares_exceed_input"
    assert isinstance(parse({**DOCUMENTED, "shares": "acme"}), Rejection)


def test_a_time_that_is_given_is_the_events() -> None:
    event = parse({**DOCUMENTED, "occurredAt": "2026-10-03T14:00:00+02:00"})
    assert isinstance(event, UsageEvent)
    assert (event.occurred_at, event.time_reported) == (datetime(2026, 10, 3, 12, tzinfo=UTC), True)
    for absent in (None, ""):
        assert parse({**DOCUMENTED, "occurredAt": absent}) == parse(DOCUMENTED)


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        ("yesterday", "invalid_time"),
        ("2026-10-03T12:00:00", "time_without_zone"),
        (1790000000, "wrong_type"),
        ("2027-01-01T00:00:00Z", "future_time"),
        ("1970-01-21T00:00:00Z", "past_time"),
    ],
)
def test_a_time_that_cannot_be_is_refused(at: object, reason: str) -> None:
    rejection = parse({**DOCUMENTED, "occurredAt": at})
    assert isinstance(rejection, Rejection)
    assert (rejection.reason, rejection.key) == (reason, "ext_123abc")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"tenantId": "  "}, "empty_field"),
        ({"metadata": {"tenantId": " "}}, "empty_field"),
        ({"userId": "u\u202e1"}, "invisible_character"),
        ({"metadata": {"tenantId": "ac\u200bme"}}, "invisible_character"),
    ],
)
def test_names_that_cannot_be_seen_are_refused(sent: dict[str, Any], reason: str) -> None:
    rejection = parse({**DOCUMENTED, **sent})
    assert isinstance(rejection, Rejection)
    assert rejection.reason == reason


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
