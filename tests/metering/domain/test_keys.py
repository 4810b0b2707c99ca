from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.keys import event_key
from metering.domain.usage import COUNTS, Share, UsageEvent
from tests.metering.events import NOON, call, claim_of


@dataclass
class Pair:
    first: dict[str, Any]
    second: dict[str, Any]
    verdict: Literal["the same", "conflict", "another"]


PAIRS = {
    "the same report again": Pair({}, {}, "the same"),
    "another time of the same report": Pair(
        {}, {"occurred_at": NOON + timedelta(hours=1)}, "the same"
    ),
    "another tokens count: the next attempt": Pair({}, {"output_tokens": 201}, "another"),
    "another status: the next attempt": Pair({}, {"status": "error"}, "another"),
    "another latency: the next attempt": Pair({}, {"latency_ms": 801}, "another"),
    "another tag on the same report": Pair({}, {"endpoint_tag": "x"}, "conflict"),
    "attempts by number": Pair({"attempt": 1}, {"attempt": 2}, "another"),
    "one attempt with two contents": Pair(
        {"attempt": 1}, {"attempt": 1, "output_tokens": 9}, "conflict"
    ),
    "one event id with two contents": Pair(
        {"event_id": "e1"}, {"event_id": "e1", "output_tokens": 9}, "conflict"
    ),
    "one event id under two request ids": Pair(
        {"event_id": "e1"}, {"event_id": "e1", "external_request_id": "other"}, "conflict"
    ),
    "two sources": Pair({}, {"source": "another"}, "another"),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_what_is_a_resend_and_what_is_another_event(pair: Pair) -> None:
    first, second = call(**pair.first), call(**pair.second)
    assert (event_key(first) == event_key(second)) is (pair.verdict != "another")
    same_content = claim_of(first, None) == claim_of(second, None)
    assert same_content is (pair.verdict == "the same")


def test_an_event_id_is_not_taken_for_a_request_id() -> None:
    by_event = call("x", event_id="1")
    by_attempt = call("1", attempt=1)
    assert event_key(by_event) != event_key(by_attempt)


def test_keys_are_uuids_of_version_8() -> None:
    key = UUID(event_key(call()))
    assert (key.version, key.variant) == (8, RFC_4122)


@given(st.text(min_size=1), st.text(min_size=1))
def test_keys_do_not_run_into_each_other(source: str, request: str) -> None:
    one = call(source=source, external_request_id=request)
    other = call(source=source + request[0], external_request_id=request[1:])
    assert event_key(one) != event_key(other)


def test_the_digest_does_not_know_the_person() -> None:
    known, erased = call(user_id="u1"), call(user_id="u2")
    assert claim_of(known, b"h") == claim_of(erased, b"h")
    assert claim_of(known, b"h") != claim_of(known, b"i")


def test_every_field_of_a_report_is_content_but_its_time() -> None:
    plain = call(attempt=1)
    different: dict[str, Any] = {
        name: f"another {name}"
        for name in UsageEvent.__struct_fields__
        if isinstance(getattr(plain, name), str | None) and name not in COUNTS
    }
    different |= dict.fromkeys((*COUNTS, "attempt", "latency_ms"), 77)
    different |= {"units": {"searches": Decimal(1)}, "tags": {"a": "b"}, "batch": True}
    different |= {"shares": (Share(tenant_id="acme", input_tokens=1, output_tokens=1),)}
    no_content = {"occurred_at", "time_reported", "user_id", "anon_id", "ip_hash", "agent_hash"}
    assert set(different) | no_content == set(UsageEvent.__struct_fields__)
    for name, value in different.items():
        same = claim_of(call(**{"attempt": 1, name: value}), None) == claim_of(plain, None)
        assert same is (name in no_content), name
