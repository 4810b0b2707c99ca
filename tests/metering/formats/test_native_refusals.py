"""Native events that are refused: each with a stable reason, the place and the remedy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from metering.domain.usage import Rejection
from tests.metering.formats.native_events import LEAST, parse, refused


@pytest.mark.parametrize("name", ["source", "timeReported", "usageQuality", "cacheWrite1HTokens"])
def test_what_a_sender_cannot_set_is_an_unknown_field(name: str) -> None:
    rejection = refused(**{name: "x"})
    assert rejection.reason == "unknown_field"
    assert f"`{name}`" in rejection.message
    assert rejection.key == "req_1"


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
        ({"shares": [{"tenantId": " ", "weight": 1}]}, "share_tenant"),
        ({"shares": [{"tenantId": "a", "weight": 1}, {"tenantId": "b"}]}, "unreadable_shares"),
        ({"shares": [{"tenantId": "a", "weight": 1, "inputTokens": 1}]}, "unreadable_shares"),
        ({"shares": [{"tenantId": "a", "weight": -1}]}, "unreadable_shares"),
        ({"shares": [{"tenantId": "a", "weight": 0}]}, "unreadable_shares"),
        ({"shares": [{"tenantId": "a", "weight": "NaN"}]}, "unreadable_shares"),
        ({"shares": [{"tenantId": "a", "weight": 1}] * 2}, "unreadable_shares"),
        ({"shares": [{"tenantId": "a", "weight": {}}]}, "wrong_type"),
        ({"shares": [{"tenantId": "a", "inputTokens": -1}]}, "out_of_range"),
        ({"usage": [1]}, "unreadable_usage"),
        ({"usage": {"prompt_tokens": "many"}}, "unreadable_usage"),
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
    said = refused(latencyMs=-3).message
    assert "`$.latencyMs`" in said
    assert "(it is -3)" in said
    said = refused(shares=[{"tenantId": "a", "inputTokens": "7"}]).message
    assert "$.shares[0].inputTokens" in said
    assert "(it is '7')" in said


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


NAMES = [
    *("eventId", "modelExecuted", "providerRequestId", "region", "endpointTag", "promptVersion"),
    *("tenantId", "userId", "anonId", "ipHash", "agentHash", "costCenter", "errorCode"),
    *("traceId", "workflow", "externalRequestId", "provider", "model"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("blank", [" ", "   ", "\t", "\u00a0", "\u3000 "])
@pytest.mark.parametrize("plain", [True, False])
def test_a_blank_name_is_refused(name: str, blank: str, *, plain: bool) -> None:
    payload = json.dumps({**LEAST, name: blank}, ensure_ascii=plain, separators=(",", ":"))
    rejection = parse(payload)
    assert isinstance(rejection, Rejection)
    assert rejection.reason in ("empty_field", "control_character")
    assert rejection.message.startswith(name)
    assert "remove it" in rejection.message or "leave the field out" in rejection.message


UNSEEN = [
    *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x200B, 0x200C, 0x200D, 0xFEFF,
]  # fmt: skip


@pytest.mark.parametrize("code", UNSEEN, ids=lambda code: f"U+{code:04X}")
@pytest.mark.parametrize("escaped", [True, False])
def test_what_cannot_be_seen_in_a_name_is_refused(code: int, *, escaped: bool) -> None:
    for name in NAMES:
        sent = {**LEAST, name: f"ac{chr(code)}me"}
        rejection = parse(json.dumps(sent, ensure_ascii=escaped))
        assert isinstance(rejection, Rejection)
        assert rejection.reason == "invisible_character"
        assert rejection.message.startswith(f"{name}: ")
        assert f"U+{code:04X}" in rejection.message
        assert "remove it" in rejection.message
        assert rejection.message.isprintable()
    assert refused(tags={f"te{chr(code)}am": "x"}).reason == "invisible_character"
    shares = [{"tenantId": f"ac{chr(code)}me", "inputTokens": 1}]
    assert refused(shares=shares).reason == "share_tenant"


def test_names_of_other_scripts_are_names() -> None:
    for name in ("Ümläut", "東京支店", "مستأجر", "a b"):
        event = parse({**LEAST, "tenantId": name})
        assert not isinstance(event, Rejection)
        assert event.tenant_id == name


def test_del_and_c1_are_control_characters() -> None:
    assert refused(tenantId="a\x7fb").reason == "control_character"
    assert refused(tenantId="a\x85b").reason == "control_character"


@pytest.mark.parametrize("name", ["userId", "anonId", "ipHash", "agentHash"])
def test_no_message_repeats_what_names_a_person(name: str) -> None:
    for value in ("jane@example.com\u200b", "jane@example.com\u0007", "jane@" * 50, ["jane@"]):
        rejection = refused(**{name: value})
        assert name in rejection.message
        assert "jane" not in rejection.message
