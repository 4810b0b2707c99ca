"""The native event: what is read, what is refused and why, and that nothing raises."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.usage import COUNTS, MAX_TOKENS, Rejection, Share, UsageEvent
from metering.formats import native

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
LEAST: dict[str, Any] = {
    "externalRequestId": "req_1",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "inputTokens": 540,
    "outputTokens": 180,
}


def parse(sent: dict[str, Any] | bytes | str) -> UsageEvent | Rejection:
    if isinstance(sent, dict):
        sent = json.dumps(sent)
    payload = sent.encode() if isinstance(sent, str) else sent
    return native.parse(payload, place="line 17", source="app", received_at=NOW)


def accepted(**fields: Any) -> UsageEvent:
    event = parse({**LEAST, **fields})
    assert isinstance(event, UsageEvent), event
    return event


def refused(**fields: Any) -> Rejection:
    rejection = parse({**LEAST, **fields})
    assert isinstance(rejection, Rejection), rejection
    assert rejection.place == "line 17"
    return rejection


def test_the_least_event_takes_the_time_of_receipt_and_the_defaults() -> None:
    event = parse(LEAST)
    assert type(event) is UsageEvent
    assert event == UsageEvent(
        source="app",
        external_request_id="req_1",
        provider="openai",
        model="gpt-4o-mini",
        occurred_at=NOW,
        time_reported=False,
        input_tokens=540,
        output_tokens=180,
    )
    assert event.cached_input_tokens is None


def test_the_documented_event_is_read_whole() -> None:
    event = accepted(
        eventId=None,
        attempt=None,
        occurredAt="2026-10-03T14:00:00.123+02:00",
        modelExecuted="gpt-4o-mini-2024-07-18",
        providerRequestId="chatcmpl-1",
        cachedInputTokens=300,
        cacheWriteTokens=0,
        cacheWrite1hTokens=0,
        reasoningTokens=0,
        audioInputTokens=0,
        audioOutputTokens=0,
        imageInputTokens=0,
        imageOutputTokens=0,
        units={"web_search": 1},
        serviceTier="standard",
        batch=False,
        region=None,
        endpointTag="checkout.ai_summary",
        promptVersion="summary_v3",
        tenantId="acme",
        userId="u_5f",
        costCenter=None,
        status="success",
        errorCode=None,
        latencyMs=892,
        dataMode="real",
        environment="prod",
        tags={"team": "growth"},
        shares=[
            {"tenantId": "acme", "inputTokens": 300, "outputTokens": 100},
            {"tenantId": "globex", "inputTokens": 240, "outputTokens": 80},
        ],
        anonId="a",
        ipHash="i",
        agentHash="g",
        traceId="t",
        workflow="w",
        servedFrom="caller_cache",
    )
    assert event.occurred_at == datetime(2026, 10, 3, 12, 0, 0, 123000, tzinfo=UTC)
    assert event.occurred_at.tzinfo is UTC
    assert event.time_reported
    assert event.units == {"web_search": Decimal(1)}
    assert event.shares == (
        Share(tenant_id="acme", input_tokens=300, output_tokens=100),
        Share(tenant_id="globex", input_tokens=240, output_tokens=80),
    )
    assert type(event.shares[0]) is Share
    assert (event.workflow, event.served_from, event.trace_id) == ("w", "caller_cache", "t")


def test_every_field_of_an_event_can_be_sent_but_three() -> None:
    ours = set(UsageEvent.__struct_fields__)
    assert ours - set(native.FIELDS.values()) == {"source", "time_reported", "usage_quality"}
    assert native.FIELDS["cacheWrite1hTokens"] == "cache_write_1h_tokens"


@pytest.mark.parametrize("name", ["source", "timeReported", "usageQuality", "cacheWrite1HTokens"])
def test_what_a_sender_cannot_set_is_an_unknown_field(name: str) -> None:
    rejection = refused(**{name: "x"})
    assert rejection.reason == "unknown_field"
    assert f"`{name}`" in rejection.message
    assert rejection.key == "req_1"


def test_a_sender_who_guesses_an_inner_name_sets_nothing() -> None:
    event = accepted(**{"~source": "other", "~timeReported": True, "~usageQuality": "missing"})
    assert (event.source, event.time_reported, event.usage_quality) == ("app", False, "reported")


@pytest.mark.parametrize("name", ["externalRequestId", "provider", "model"])
def test_required_fields(name: str) -> None:
    without = {key: value for key, value in LEAST.items() if key != name}
    absent = parse(without)
    assert isinstance(absent, Rejection)
    assert absent.reason == "missing_field"
    assert name in absent.message
    assert refused(**{name: ""}).reason == "empty_field"
    assert refused(**{name: " \u3000"}).reason == "empty_field"
    assert refused(**{name: None}).reason == "wrong_type"
    assert refused(**{name: "x" * 201}).reason == "too_long"
    assert refused(**{name: "a\x00b"}).reason == "control_character"
    assert refused(**{name: "a\nb"}).reason == "control_character"
    assert refused(**{name: "a\nb"}).message.startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"cachedInputTokens": 541}, "cached_exceeds_input"),
        ({"cacheWriteTokens": 541}, "cache_write_exceeds_input"),
        ({"cachedInputTokens": 300, "cacheWriteTokens": 241}, "cache_exceeds_input"),
        (
            {"cacheWriteTokens": 10, "cacheWrite1hTokens": 11},
            "cache_write_1h_exceeds_cache_write",
        ),
        ({"cacheWrite1hTokens": 1}, "cache_write_tokens_missing"),
        ({"audioInputTokens": 541}, "audio_exceeds_input"),
        ({"imageInputTokens": 541}, "image_exceeds_input"),
        ({"audioInputTokens": 270, "imageInputTokens": 271}, "media_exceed_input"),
        ({"reasoningTokens": 181}, "reasoning_exceeds_output"),
        ({"audioOutputTokens": 181}, "audio_exceeds_output"),
        ({"imageOutputTokens": 181}, "image_exceeds_output"),
        ({"inputTokens": None, "cachedInputTokens": 1}, "input_tokens_missing"),
        ({"outputTokens": None, "reasoningTokens": 1}, "output_tokens_missing"),
        ({"inputTokens": -1}, "out_of_range"),
        ({"inputTokens": MAX_TOKENS + 1}, "out_of_range"),
        ({"inputTokens": 10**40}, "out_of_range"),
        ({"inputTokens": "540"}, "wrong_type"),
        ({"inputTokens": 540.5}, "wrong_type"),
        ({"inputTokens": True}, "wrong_type"),
        ({"inputTokens": None, "outputTokens": None}, "no_usage"),
        ({"occurredAt": "2026-10-03T12:00:00"}, "time_without_zone"),
        ({"occurredAt": "yesterday"}, "invalid_time"),
        ({"occurredAt": 1790000000}, "wrong_type"),
        ({"occurredAt": "1970-01-21T00:00:00Z"}, "past_time"),
        ({"occurredAt": "0001-01-01T00:00:00+14:00"}, "past_time"),
        ({"occurredAt": "9999-12-31T23:59:59-14:00"}, "future_time"),
        ({"status": "ok"}, "invalid_value"),
        ({"dataMode": "fake"}, "invalid_value"),
        ({"environment": "production"}, "invalid_value"),
        ({"tags": {"a": 1}}, "wrong_type"),
        ({"tags": {str(i): "x" for i in range(51)}}, "too_long"),
        ({"tags": {"a\u0001": "x"}}, "control_character"),
        ({"tags": {"a": "x\u0000"}}, "control_character"),
        ({"units": {"web search": 1}}, "unit_name"),
        ({"units": {"web_search": -1}}, "unit_quantity"),
        ({"units": {"web_search": "NaN"}}, "unit_quantity"),
        ({"units": {"web_search": "Infinity"}}, "unit_quantity"),
        ({"units": {"web_search": "1e999999"}}, "unit_quantity"),
        ({"units": {"web_search": "0." + "0" * 18 + "1"}}, "unit_quantity"),
        ({"latencyMs": -1}, "out_of_range"),
        ({"shares": [{"tenantId": "a", "inputTokens": 541}]}, "shares_exceed_input"),
        (
            {"shares": [{"tenantId": t, "outputTokens": 91} for t in "ab"]},
            "shares_exceed_output",
        ),
        ({"shares": [{"tenantId": "a"}, {"tenantId": "a"}]}, "share_tenant_repeated"),
        ({"shares": [{"tenantId": " "}]}, "share_tenant"),
        ({"shares": [{"tenantId": "a", "inputTokens": -1}]}, "out_of_range"),
        ({"usage": [1]}, "unreadable_usage"),
        ({"usage": {"prompt_tokens": "many"}}, "unreadable_usage"),
        ({"usage": {"prompt_tokens": -1}}, "unreadable_usage"),
        ({"usage": {"prompt_tokens": 1.5}}, "unreadable_usage"),
        ({"usage": {"words": 3}}, "unreadable_usage"),
        ({"usage": {"prompt_tokens": 3}, "usageFormat": "esperanto"}, "unreadable_usage"),
        ({"usage": {"prompt_tokens": 3}, "usageFormat": "anthropic"}, "unreadable_usage"),
    ],
)
def test_what_cannot_be_true_is_refused_with_its_reason(
    fields: dict[str, Any], reason: str
) -> None:
    rejection = refused(**fields)
    assert rejection.reason == reason, rejection.message
    assert rejection.key == "req_1"


def test_a_message_names_the_field_the_numbers_and_the_remedy() -> None:
    said = refused(cachedInputTokens=541).message
    assert said.startswith("cachedInputTokens 541 is more than inputTokens 540")
    assert "send the sum" in said
    said = refused(inputTokens=-3).message
    assert "`$.inputTokens`" in said
    assert "(it is -3)" in said
    said = refused(shares=[{"tenantId": "a", "inputTokens": "7"}]).message
    assert "$.shares[0].inputTokens" in said
    assert "(it is '7')" in said


def test_parts_may_fill_their_whole_and_overlap() -> None:
    event = accepted(
        cachedInputTokens=340, cacheWriteTokens=200, cacheWrite1hTokens=200, audioInputTokens=540
    )
    assert event.cache_write_1h_tokens == 200
    assert accepted(inputTokens=None, cachedInputTokens=0).cached_input_tokens == 0


def test_a_time_may_be_a_day_ahead_and_no_more() -> None:
    edge = NOW + timedelta(hours=24)
    assert accepted(occurredAt=edge.isoformat()).occurred_at == edge
    beyond = edge + timedelta(microseconds=1)
    assert refused(occurredAt=beyond.isoformat()).reason == "future_time"


def test_null_and_empty_text_are_absent() -> None:
    texts = dict.fromkeys(["tenantId", "userId", "region", "eventId", "serviceTier"], "")
    rest = dict.fromkeys(["tags", "units", "shares", "batch", "status", "usage", "servedFrom"])
    assert accepted(**texts, **rest) == parse(LEAST)


def test_units_are_exact_and_written_one_way() -> None:
    payload = json.dumps(LEAST)[:-1] + ', "units": {"audio_seconds": 1.10, "images": 1e2}}'
    event = parse(payload)
    assert isinstance(event, UsageEvent)
    assert {name: str(q) for name, q in event.units.items()} == {
        "audio_seconds": "1.1",
        "images": "100",
    }


def test_units_alone_are_usage() -> None:
    event = accepted(inputTokens=None, outputTokens=None, units={"images": 2})
    assert event.input_tokens is None


@pytest.mark.parametrize(
    ("tier", "stored", "batch"),
    [
        ("default", "standard", False),
        ("on_demand", "standard", False),
        ("Flex", "flex", False),
        ("batch", "standard", True),
    ],
)
def test_tiers_have_one_name(tier: str, stored: str, *, batch: bool) -> None:
    event = accepted(serviceTier=tier)
    assert (event.service_tier, event.batch) == (stored, batch)


USAGE = {
    "prompt_tokens": 540,
    "completion_tokens": 180,
    "total_tokens": 720,
    "prompt_tokens_details": {"cached_tokens": 300},
    "cost": 0.1,
}


def test_the_providers_usage_wins_and_is_kept_canonical() -> None:
    event = accepted(inputTokens=None, outputTokens=None, usage=USAGE)
    assert (event.input_tokens, event.cached_input_tokens, event.output_tokens) == (540, 300, 180)
    assert event.usage_quality == "provider_reported"
    assert event.usage_format == "openai"
    assert event.usage == (
        '{"completion_tokens":180,"cost":0.1,"prompt_tokens":540,'
        '"prompt_tokens_details":{"cached_tokens":300},"total_tokens":720}'
    )


def test_counts_that_differ_from_the_usage_are_kept_apart_as_inconsistent() -> None:
    event = accepted(inputTokens=240, usage=USAGE)
    assert event.input_tokens == 540
    assert event.usage_quality == "inconsistent"
    assert accepted(usage=USAGE).usage_quality == "provider_reported"


def test_a_count_the_usage_is_silent_about_stays_if_it_can_be_true() -> None:
    assert accepted(usage=USAGE, reasoningTokens=100).reasoning_tokens == 100
    event = accepted(usage=USAGE, reasoningTokens=181)
    assert event.reasoning_tokens is None
    assert event.usage_quality == "inconsistent"


def test_units_of_the_usage_win_too() -> None:
    usage = {"input_tokens": 5, "output_tokens": 1, "server_tool_use": {"web_search_requests": 2}}
    event = accepted(
        inputTokens=5, outputTokens=1, usage=usage, usageFormat="anthropic", units={"images": 1}
    )
    assert event.units == {"images": 1, "web_search": 2}
    assert event.usage_quality == "provider_reported"
    event = accepted(usage=usage, usageFormat="anthropic", units={"web_search": 3})
    assert event.units == {"web_search": 2}
    assert event.usage_quality == "inconsistent"


def test_a_usage_that_contradicts_itself_is_refused() -> None:
    usage = {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6}}
    assert refused(inputTokens=None, usage=usage).reason == "cached_exceeds_input"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b"not json", "malformed_json"),
        (json.dumps(LEAST).encode() * 2, "malformed_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b"17", "not_an_object"),
        (b'{"model":"\xff"}', "invalid_utf8"),
        (b'{"model":"\\ud800"}', "malformed_json"),
        (b'{"usage":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too_deep"),
    ],
)
def test_bytes_that_are_no_event(payload: bytes, reason: str) -> None:
    rejection = parse(payload)
    assert isinstance(rejection, Rejection)
    assert rejection.reason == reason, rejection.message


@given(st.binary(max_size=200))
def test_no_bytes_raise(payload: bytes) -> None:
    assert isinstance(parse(payload), Rejection)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(native.FIELDS)), json_values, max_size=6))
def test_no_json_raises(fields: dict[str, Any]) -> None:
    assert isinstance(parse({**LEAST, **fields}), UsageEvent | Rejection)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("prompt_tokens", "input_tokens", "completion_tokens", "prompt_tokens_details"),
                *("cache_creation", "iterations", "promptTokenCount", "promptTokensDetails"),
                *("inputTokens", "cacheDetails", "x_groq", "seconds", "server_tool_use"),
            ]
        ),
        json_values | st.integers(0, 10),
        max_size=5,
    ),
    st.sampled_from([None, "openai", "anthropic", "gemini", "groq", "bedrock"]),
)
def test_no_usage_object_raises(usage: dict[str, Any], dialect: str | None) -> None:
    result = parse({**LEAST, "usage": usage, "usageFormat": dialect})
    assert isinstance(result, UsageEvent | Rejection)


texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=40
).filter(lambda text: bool(text.strip()))
quantities = st.decimals(0, 1000, places=3, allow_nan=False)


@st.composite
def events(draw: st.DrawFn) -> UsageEvent:
    """Events that can be true, with every field that a sender can set and no usage object."""
    into, out = draw(st.integers(0, MAX_TOKENS)), draw(st.integers(0, MAX_TOKENS))
    written = draw(st.integers(0, into))
    optional: dict[str, Any] = {
        name: draw(st.none() | texts)
        for name in (
            *("event_id", "model_executed", "provider_request_id", "region", "endpoint_tag"),
            *("tenant_id", "user_id", "anon_id", "cost_center", "error_code", "workflow"),
        )
    }
    units = draw(st.dictionaries(st.sampled_from(["web_search", "images"]), quantities))
    return UsageEvent(
        source="app",
        external_request_id=draw(texts),
        provider=draw(texts),
        model=draw(texts),
        occurred_at=draw(
            st.datetimes(datetime(2000, 1, 1), datetime(2026, 11, 2), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis adds the zone
        ),
        attempt=draw(st.none() | st.integers(0, 9)),
        input_tokens=into,
        cache_write_tokens=written,
        cache_write_1h_tokens=draw(st.none() | st.integers(0, written)),
        cached_input_tokens=draw(st.none() | st.integers(0, into - written)),
        audio_input_tokens=draw(st.none() | st.integers(0, into)),
        output_tokens=out,
        reasoning_tokens=draw(st.none() | st.integers(0, out)),
        units={name: Decimal(f"{quantity.normalize():f}") for name, quantity in units.items()},
        batch=draw(st.booleans()),
        status=draw(st.sampled_from(["success", "error"])),
        data_mode=draw(st.sampled_from(["real", "test", "demo"])),
        environment=draw(st.sampled_from(["prod", "staging", "dev"])),
        tags=draw(st.dictionaries(texts, texts, max_size=3)),
        shares=tuple(
            Share(tenant_id=tenant, input_tokens=into // 4, output_tokens=out // 4)
            for tenant in draw(st.lists(texts, max_size=4, unique=True))
        ),
        **optional,
    )


def on_the_wire(event: UsageEvent) -> dict[str, Any]:
    sent = {wire: getattr(event, name) for wire, name in native.FIELDS.items()}
    sent["shares"] = [
        {
            "tenantId": share.tenant_id,
            "inputTokens": share.input_tokens,
            "outputTokens": share.output_tokens,
        }
        for share in event.shares
    ]
    return sent


@given(events())
def test_an_event_comes_back_as_it_was_sent(event: UsageEvent) -> None:
    assert parse(msgspec.json.encode(on_the_wire(event))) == event


@given(events(), st.randoms(use_true_random=False))
def test_the_order_of_keys_means_nothing(event: UsageEvent, random: Any) -> None:
    sent = list(on_the_wire(event).items())
    random.shuffle(sent)
    assert parse(msgspec.json.encode(dict(sent))) == event


@given(st.fixed_dictionaries({name: st.none() | st.integers(0, 5) for name in COUNTS}))
def test_what_is_accepted_divides_into_parts_that_are_not_negative(
    counts: dict[str, int | None],
) -> None:
    wire = {ours: sent for sent, ours in native.FIELDS.items()}
    event = parse({**LEAST, **{wire[name]: count for name, count in counts.items()}})
    if isinstance(event, Rejection):
        return
    into, out = event.input_tokens or 0, event.output_tokens or 0
    assert into - (event.cached_input_tokens or 0) - (event.cache_write_tokens or 0) >= 0
    assert (event.cache_write_tokens or 0) - (event.cache_write_1h_tokens or 0) >= 0
    assert into - (event.audio_input_tokens or 0) - (event.image_input_tokens or 0) >= 0
    assert out - (event.audio_output_tokens or 0) - (event.image_output_tokens or 0) >= 0
    assert out - (event.reasoning_tokens or 0) >= 0
