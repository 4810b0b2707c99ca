"""Whatever a payload holds, a format answers: with an event, or a rejection that says where."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.usage import COUNTS, MAX_TOKENS, Rejection, UsageEvent
from metering.formats import lago, litellm, native, openmeter, opsmeter, provider_responses
from tests.metering.formats.anything import changed, places, spoilings
from tests.metering.formats.litellm_records import RECORD
from tests.metering.formats.test_metered_events import CLOUD, LAGO
from tests.metering.formats.test_opsmeter import DOCUMENTED
from tests.metering.formats.test_provider_responses import CHAT

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
Parse = Callable[..., UsageEvent | Rejection]

USAGE: Mapping[str, Any] = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "total_tokens": 1200,
    "prompt_tokens_details": {"cached_tokens": 300, "audio_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 50},
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "server_tool_use": {"web_search_requests": 1},
}
NATIVE: Mapping[str, Any] = {
    "externalRequestId": "req-1",
    "eventId": "e-1",
    "attempt": 1,
    "provider": "openai",
    "model": "gpt-4o-mini",
    "modelExecuted": "gpt-4o-mini-2024-07-18",
    "occurredAt": "2026-10-03T12:00:00.123Z",
    "inputTokens": 1000,
    "cachedInputTokens": 300,
    "outputTokens": 200,
    "units": {"web_search": 1},
    "usage": USAGE,
    "usageFormat": "openai",
    "serviceTier": "standard",
    "batch": False,
    "tenantId": "acme",
    "userId": "u-1",
    "costCenter": "CC-1",
    "status": "success",
    "latencyMs": 892,
    "dataMode": "real",
    "tags": {"team": "growth"},
    "shares": [
        {"tenantId": "acme", "inputTokens": 300, "outputTokens": 100},
        {"tenantId": "globex", "inputTokens": 240, "outputTokens": 80},
    ],
    "traceId": "t-1",
}
PROPERTIES: Mapping[str, Any] = {
    "model": "gpt-4o-mini",
    "provider": "openai",
    "usage": USAGE,
    "tags": {"team": "growth"},
    "user_id": "u-1",
    "environment": "prod",
    "shares": {"acme": 3, "globex": 1},
}
NOISY: Mapping[str, Any] = {
    **RECORD,
    "metadata": {**RECORD.get("metadata", {}), "usage_object": USAGE, "tags": ["a:b", "c"]},
    "request_tags": ["team:growth", 7],
}
NOISY_EVENT: Mapping[str, Any] = {
    **CLOUD,
    "data": PROPERTIES,
    "traceparent": "00-5b8efff798038103d269b633813fc60c-0123456789abcdef-01",
}

FORMATS: Mapping[str, tuple[Parse, Mapping[str, Any]]] = {
    "native": (native.parse, NATIVE),
    "opsmeter": (opsmeter.parse, DOCUMENTED),
    "litellm": (litellm.parse, RECORD),
    "litellm, all of it": (litellm.parse, NOISY),
    "openmeter": (openmeter.parse, CLOUD),
    "lago": (lago.parse, LAGO),
    "openmeter, all of it": (openmeter.parse, NOISY_EVENT),
    "lago, a usage object": (lago.parse, {**LAGO, "properties": PROPERTIES}),
    "provider_responses": (provider_responses.parse, CHAT),
    "a batch's line": (
        provider_responses.parse,
        {"custom_id": "c-1", "response": {"status_code": 200, "body": CHAT}, "error": None},
    ),
}
"""Each format whose message is a whole call, with good ones."""

by_format = pytest.mark.parametrize("name", FORMATS)


def parse(name: str, payload: bytes) -> UsageEvent | Rejection:
    return FORMATS[name][0](payload, place="line 17", source="app", received_at=NOW)


def expect(found: UsageEvent | Rejection) -> None:
    assert isinstance(found, UsageEvent | Rejection)
    if isinstance(found, Rejection):
        assert found.place.startswith("line 17")
        assert found.reason
        assert found.message


@by_format
def test_a_good_payload_is_an_event(name: str) -> None:
    good = json.dumps(FORMATS[name][1]).encode()
    assert isinstance(parse(name, good), UsageEvent)


@by_format
@given(payload=st.binary(max_size=200))
def test_bytes(name: str, payload: bytes) -> None:
    assert isinstance(parse(name, payload), Rejection)


@by_format
@given(data=st.data())
def test_a_good_payload_with_anything_in_any_place(name: str, data: Any) -> None:
    found = parse(name, data.draw(spoilings(dict(FORMATS[name][1]))))
    expect(found)
    if isinstance(found, UsageEvent):
        expect_storable(found)


def expect_storable(event: UsageEvent) -> None:
    """What the database can hold: texts without marks of its own, counts that are some."""
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, str):
            value.encode()
            assert "\0" not in value, name
            assert name == "usage" or len(value) <= native.MAX_TEXT, name
    for name in COUNTS:
        count = getattr(event, name)
        assert count is None or (type(count) is int and 0 <= count <= MAX_TOKENS), name
    assert event.occurred_at.utcoffset() == timedelta(0)
    assert event.occurred_at <= NOW + native.FUTURE
    assert all(isinstance(tag, str) for pair in (event.tags or {}).items() for tag in pair)


@by_format
@given(data=st.data())
def test_a_good_payload_with_bytes_changed(name: str, data: Any) -> None:
    good = bytearray(json.dumps(FORMATS[name][1]).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    expect(parse(name, bytes(good)))


DEEP = 100_000
MONSTERS: Mapping[str, bytes] = {
    "deep arrays": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"data":' * DEEP + b"1" + b"}" * DEEP,
    "1e400": b'{"id":1e400,"timestamp":1e400,"startTime":1e400,"created":1e400}',
    "1e99999999": b'{"metadata":{},"prompt_tokens":1e99999999,"data":{"tokens":1e99999999}}',
    "NaN": b'{"data":{"tokens":NaN}}',
    "20 digits": b'{"data":{"tokens":12345678901234567890},"prompt_tokens":12345678901234567890}',
    "invalid UTF-8": b'{"id":"\xff\xfe"}',
    "lone surrogate": b'{"id":"\\ud800","model":"\\ud800"}',
    "NUL": b'{"id":"\\u0000","transaction_id":"\\u0000"}',
    "truncated": b'{"id":"a","data":{',
    "null": b"null",
    "number": b"5",
    "array": b"[]",
    "nothing": b"",
}


@by_format
@pytest.mark.parametrize("monster", MONSTERS)
def test_monsters(name: str, monster: str) -> None:
    found = parse(name, MONSTERS[monster])
    assert isinstance(found, Rejection), found
    expect(found)


@by_format
@pytest.mark.parametrize(
    "number", [b"1e400", b"1e99999999", b"-1", b"123456789012345678901", b"0.5"]
)
def test_numbers_that_no_call_used(name: str, number: bytes) -> None:
    """Anywhere that a good payload has a number, a number that cannot be is refused or doubted."""
    good = dict(FORMATS[name][1])
    for path in sorted(set(places(good)), key=repr):
        inner: Any = good
        for step in path:
            inner = inner[step]
        if isinstance(inner, bool) or not isinstance(inner, int | float):
            continue
        payload = json.dumps(changed(good, path, "§")).encode().replace(b'"\\u00a7"', number)
        found = parse(name, payload)
        expect(found)
        if isinstance(found, UsageEvent):
            assert all(count is None or 0 <= count <= 10**9 for count in (found.input_tokens,))
