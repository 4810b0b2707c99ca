"""Metered events that are calls of models: OpenMeter's, Lago's, and what their properties say."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from metering.domain.keys import event_key
from metering.domain.usage import Rejection, UsageEvent
from metering.formats import lago, openmeter
from metering.formats.property_map import DEFAULT
from tests.metering.events import claim_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

DATA: dict[str, Any] = {"model": "gpt-4o-mini", "input_tokens": 540, "output_tokens": 180}
CLOUD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "chat-service",
    "type": "prompt",
    "subject": "acme",
    "time": "2026-10-03T12:00:00.001Z",
    "datacontenttype": "application/json",
    "dataschema": None,
    "data": DATA,
}
LAGO: dict[str, Any] = {
    "transaction_id": "txn-1",
    "external_subscription_id": "sub_42",
    "code": "ai_tokens",
    "timestamp": 1790942400,
    "properties": DATA,
}


def cloud(**different: Any) -> UsageEvent | Rejection:
    return openmeter.parse(
        json.dumps({**CLOUD, **different}).encode(), place="index 0", source="om", received_at=NOW
    )


def event(**data: Any) -> UsageEvent:
    found = cloud(data=data)
    assert isinstance(found, UsageEvent), found
    return found


def metered(**different: Any) -> UsageEvent | Rejection:
    return lago.parse(
        json.dumps({**LAGO, **different}).encode(), place="index 0", source="lg", received_at=NOW
    )


def told(found: UsageEvent | Rejection) -> UsageEvent:
    assert isinstance(found, UsageEvent), found
    return found


# ---------------------------------------------------------------- what the properties say


@pytest.mark.parametrize(
    ("data", "counts"),
    [
        ({"input_tokens": 5, "output_tokens": "7"}, (5, None, 7)),
        ({"inputTokens": "5.0", "cachedInputTokens": 2}, (5, 2, None)),
        ({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": "12"}, (5, None, 7)),
        ({"usage": {"prompt_tokens": "5", "completion_tokens": 7}}, (5, None, 7)),
        ({"tokens": "123456", "type": "input"}, (123456, None, None)),
        ({"tokens": 9, "type": "system"}, (9, None, None)),
        ({"tokens": 9, "type": "completion"}, (None, None, 9)),
        ({"tokens": 9, "token_type": "cached"}, (9, 9, None)),
        ({"tokens": 9, "type": "Output Tokens"}, (None, None, 9)),
        ({"tokens": 0, "type": "output"}, (None, None, 0)),
    ],
)
def test_tokens_come_in_three_ways(data: dict[str, Any], counts: tuple[int | None, ...]) -> None:
    found = event(model="gpt-4o", **data)
    assert (found.input_tokens, found.cached_input_tokens, found.output_tokens) == counts
    assert found.usage_quality in ("reported", "provider_reported")


def test_a_dialects_own_counts_mean_what_they_mean_there() -> None:
    found = event(
        model="claude-sonnet-4-5",
        input_tokens=1000,
        output_tokens=800,
        cache_read_input_tokens=20_000,
        cache_creation_input_tokens=5_000,
    )
    assert (found.input_tokens, found.cached_input_tokens) == (26_000, 20_000)
    assert (found.cache_write_tokens, found.output_tokens) == (5_000, 800)
    assert (found.usage_format, found.usage_quality) == ("anthropic", "provider_reported")


def test_the_two_sides_of_a_call_are_two_events_of_one_request() -> None:
    sides = [
        told(cloud(id=f"e-{side}", data={"model": "gpt-4o", "tokens": 10, "type": side} | call))
        for side in ("input", "output")
        for call in ({"request_id": "req-7"},)
    ]
    assert len({event_key(side) for side in sides}) == 2
    assert {side.external_request_id for side in sides} == {"req-7"}


@pytest.mark.parametrize(
    ("data", "provider"),
    [
        ({"model": "gpt-4o"}, "openai"),
        ({"model": "claude-haiku-4-5"}, "anthropic"),
        ({"model": "gpt-4o", "provider": "azure"}, "azure"),
        ({"model": "our-llama", "provider": "vllm"}, "vllm"),
        ({"model": "groq/llama-3.3-70b"}, "groq"),
    ],
)
def test_the_provider_is_said_or_told_by_the_model(data: dict[str, str], provider: str) -> None:
    assert event(**data, input_tokens=1).provider == provider


def test_a_source_may_name_its_own_properties_and_provider() -> None:
    own = DEFAULT.preferring(
        {"input_tokens": ["n_in"], "model": ["engine"], "tenant_id": ["konzern"]}
    )
    fields = own.read({"engine": "gpt-4o", "n_in": 3, "input_tokens": 4, "konzern": "acme"})
    assert (fields["model"], fields["input_tokens"], fields["tenant_id"]) == ("gpt-4o", 3, "acme")


def test_whom_it_is_for_is_said_beside_the_tokens() -> None:
    found = event(
        **DATA,
        user_id="jane",
        feature="summary",
        prompt_version="v3",
        environment="staging",
        data_mode="test",
        cost_center="CC-1",
        latency_ms="820",
        status="failed",
        error_code=429,
        shares={"acme": 1, "globex": 2},
    )
    assert (found.user_id, found.endpoint_tag, found.prompt_version) == ("jane", "summary", "v3")
    assert (found.environment, found.data_mode, found.cost_center) == ("staging", "test", "CC-1")
    assert (found.status, found.error_code, found.latency_ms) == ("error", "429", 820)
    assert [share.input_tokens for share in found.shares] == [180, 360]


@pytest.mark.parametrize(
    ("data", "reason", "place"),
    [
        ({"input_tokens": 1}, "missing_field", "model"),
        ({"model": "our-llama", "input_tokens": 1}, "missing_field", "provider"),
        ({"model": "gpt-4o"}, "no_usage", ""),
        ({"model": "gpt-4o", "duration": "10"}, "no_usage", ""),
        ({"model": "gpt-4o", "tokens": 5}, "token_type", "type"),
        ({"model": "gpt-4o", "tokens": 5, "type": "sideways"}, "token_type", "type"),
        ({"model": "gpt-4o", "tokens": "many", "type": "input"}, "wrong_type", "tokens"),
        ({"model": "gpt-4o", "input_tokens": 1.5}, "wrong_type", "input_tokens"),
        ({"model": "gpt-4o", "input_tokens": True}, "wrong_type", "input_tokens"),
        ({"model": "gpt-4o", "input_tokens": 10**20}, "out_of_range", ""),
        ({"model": "gpt-4o", "total_tokens": 5}, "unreadable_usage", ""),
        ({**DATA, "status": "maybe"}, "invalid_value", "status"),
        ({**DATA, "shares": {"acme": "x"}}, "unreadable_shares", ""),
    ],
)
def test_properties_that_are_no_usage(data: dict[str, Any], reason: str, place: str) -> None:
    for found in (cloud(data=data), metered(properties=data)):
        assert isinstance(found, Rejection), found
        assert found.reason == reason
        assert found.place == (f"index 0, {place}" if place else "index 0")


# ---------------------------------------------------------------- OpenMeter's envelope


def test_a_cloud_event_is_a_call_of_its_subject() -> None:
    found = told(cloud())
    assert (found.tenant_id, found.external_request_id) == ("acme", "e-1")
    assert found.event_id == "chat-service e-1"
    assert found.occurred_at == datetime(2026, 10, 3, 12, 0, 0, 1000, tzinfo=UTC)
    assert (found.input_tokens, found.output_tokens, found.source) == (540, 180, "om")


def test_an_id_is_unique_within_its_source() -> None:
    ids = {event_key(told(cloud(source=source))) for source in ("a", "b", "x" * 500)}
    assert len(ids) == 3
    again = told(cloud(time="2026-10-03T13:00:00Z"))
    assert event_key(again) == event_key(told(cloud()))
    assert claim_of(again, None) == claim_of(told(cloud()), None), "time is no content"


def test_extensions_are_told_in_small_letters() -> None:
    found = told(
        cloud(
            tenantid="globex",
            costcenter="CC-1",
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
    )
    assert (found.tenant_id, found.cost_center) == ("globex", "CC-1")
    assert found.trace_id == "0af7651916cd43dd8448eb211c80319c"


def test_data_may_be_base64_and_its_type_may_have_parameters() -> None:
    packed = b64encode(json.dumps(DATA).encode()).decode()
    found = told(cloud(data=None, data_base64=packed))
    assert found.input_tokens == 540
    assert told(cloud(datacontenttype="application/json; charset=utf-8")) == told(cloud())


def test_the_seeds_shape(shared_data: Path) -> None:
    seed = (shared_data / "events-openmeter" / "prompt-tokens.yaml").read_text()
    assert '"tokens": $tokens_used' in seed, "the shape of an event that this test repeats"
    for model in ("gpt-4o", "gpt-4-turbo", "gpt-3.5-turbo-0125", "text-embedding-3-large"):
        for side in ("input", "output"):
            found = event(tokens=100, model=model, type=side)
            assert (found.provider, found.model) == ("openai", model)


@pytest.mark.parametrize(
    ("different", "reason", "place"),
    [
        ({"specversion": "0.3"}, "specversion", "specversion"),
        ({"specversion": None}, "specversion", "specversion"),
        ({"id": ""}, "missing_field", "id"),
        ({"id": 7}, "wrong_type", "id"),
        ({"source": None}, "missing_field", "source"),
        ({"type": ""}, "missing_field", "type"),
        ({"subject": ""}, "missing_field", "subject"),
        ({"time": "yesterday"}, "invalid_time", "time"),
        ({"time": 5}, "wrong_type", "time"),
        ({"datacontenttype": "text/plain"}, "datacontenttype", "datacontenttype"),
        ({"data": "tokens"}, "wrong_type", "data"),
        ({"data": None, "data_base64": "§"}, "wrong_type", "data_base64"),
        ({"data": None}, "missing_field", "model"),
        ({"time": "2026-11-25T00:00:00Z"}, "future_time", ""),
        ({"time": "2026-10-03T12:00:00"}, "time_without_zone", ""),
    ],
)
def test_cloud_events_that_cannot_be_read(
    different: dict[str, Any], reason: str, place: str
) -> None:
    found = cloud(**different)
    assert isinstance(found, Rejection), found
    assert (found.reason, found.place) == (reason, f"index 0, {place}" if place else "index 0")


# ---------------------------------------------------------------- Lago's envelope


def test_an_event_is_a_call_of_its_subscription() -> None:
    found = told(metered())
    assert (found.tenant_id, found.external_request_id) == ("sub_42", "txn-1")
    assert found.occurred_at == datetime(2026, 10, 2, 12, tzinfo=UTC)
    wrapped = lago.parse(
        json.dumps({"event": LAGO}).encode(), place="index 0", source="lg", received_at=NOW
    )
    assert wrapped == found


def test_a_transaction_is_unique_within_its_subscription() -> None:
    assert event_key(told(metered(external_subscription_id="sub_7"))) != event_key(told(metered()))
    assert event_key(told(metered(transaction_id="t" * 190))) != event_key(told(metered()))


@pytest.mark.parametrize(
    ("timestamp", "at"),
    [
        (1790942400, datetime(2026, 10, 2, 12, tzinfo=UTC)),
        (1790942400.25, datetime(2026, 10, 2, 12, 0, 0, 250_000, tzinfo=UTC)),
        ("1790942400.123", datetime(2026, 10, 2, 12, 0, 0, 123_000, tzinfo=UTC)),
        (None, NOW),
    ],
)
def test_timestamps_are_seconds(timestamp: object, at: datetime) -> None:
    found = told(metered(timestamp=timestamp))
    assert found.occurred_at == at
    assert found.time_reported is (timestamp is not None)


def test_the_code_may_name_the_side() -> None:
    found = told(metered(code="output_tokens", properties={"model": "gpt-4o", "tokens": 3}))
    assert (found.input_tokens, found.output_tokens) == (None, 3)


@pytest.mark.parametrize(
    ("different", "reason", "member"),
    [
        ({"transaction_id": None}, lago.MANDATORY, "transaction_id"),
        ({"transaction_id": ""}, lago.MANDATORY, "transaction_id"),
        ({"code": ""}, lago.MANDATORY, "code"),
        ({"external_subscription_id": None}, lago.MANDATORY, "external_subscription_id"),
        ({"timestamp": "2026-10-02T12:00:00Z"}, lago.INVALID, "timestamp"),
        ({"timestamp": -1}, lago.INVALID, "timestamp"),
        ({"timestamp": True}, lago.INVALID, "timestamp"),
        ({"timestamp": 1790942400000}, "future_time", "timestamp"),
        ({"timestamp": 5}, "past_time", "timestamp"),
        ({"properties": []}, lago.INVALID, "properties"),
        ({"properties": None}, "missing_field", "properties"),
        ({"transaction_id": {"a": 1}}, lago.INVALID, "transaction_id"),
    ],
)
def test_what_lago_refuses_and_what_we_do(
    different: dict[str, Any], reason: str, member: str
) -> None:
    found = metered(**different)
    assert isinstance(found, Rejection), found
    assert (found.reason, lago.member_of(found)) == (reason, member)


def test_the_senders_own_price_is_not_read() -> None:
    assert metered(precise_total_amount_cents="1234.56") == metered()
