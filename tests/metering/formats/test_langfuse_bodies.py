"""Langfuse's events that cannot be read: what is wrong with one is its own matter."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.call_reports import CallReport
from metering.domain.usage import Rejection
from metering.formats.batches import UnreadableBatch
from metering.formats.langfuse import Sent, parse_batch, parse_event, parse_export
from tests.metering.formats.langfuse_events import NOW, generation, sent


def refusal(payload: bytes) -> Rejection:
    item = parse_event(payload, place="batch 0").item
    assert isinstance(item, Rejection)
    assert item.place == "batch 0"
    assert item.message
    return item


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (sent("generation-create", generation(), at="yesterday"), "timestamp"),
        (sent("generation-create", generation(startTime="yesterday")), "invalid_time"),
        (sent("span-update", generation(endTime="9999-12-31T23:59:59-14:00")), "invalid_time"),
        (sent("generation-create", generation(model=5)), "wrong_type"),
        (sent("generation-create", generation(id=None)), "missing_field"),
        (sent("generation-create", generation(id="")), "wrong_type"),
        (sent("generation-delete", generation()), "type"),
        (sent("generation-create", generation(usageDetails={"input": -1})), "unreadable_usage"),
        (sent("generation-create", generation(usageDetails={"input": 1.5})), "unreadable_usage"),
        (sent("generation-create", generation(usageDetails=[1])), "unreadable_usage"),
        (sent("trace-create", {"name": "no id"}), "missing_field"),
    ],
)
def test_what_is_wrong_with_an_event_is_said_with_its_id(
    event: dict[str, Any], reason: str
) -> None:
    found = refusal(json.dumps(event).encode())
    assert (found.reason, found.key) == (reason, "evt-1")


@pytest.mark.parametrize(
    "usage",
    ['{"input": 1e400}', '{"input": NaN}', '{"input": ' + "9" * 400 + "}", '{"input": "12"}'],
)
def test_numbers_that_are_no_counts_are_refused(usage: str) -> None:
    event = json.dumps(sent("generation-create", generation(usageDetails="~")))
    refusal(event.replace('"~"', usage).encode())


def test_a_body_that_is_no_batch_is_refused_as_a_whole() -> None:
    for body in (b"", b"[]", b"{}", b'{"batch": 5}', b'{"batch": [', b"\xff", b"[" * 100_000):
        with pytest.raises(UnreadableBatch):
            parse_batch(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        *("id", "traceId", "type", "startTime", "endTime", "model", "usage", "usageDetails"),
        *("metadata", "level", "statusMessage", "tags", "userId", "promptVersion", "input"),
        *("output", "environment", "modelParameters", "parentObservationId"),
    ]
)


@given(st.dictionaries(NAMES, JSON, max_size=8))
def test_whatever_a_body_holds_has_an_answer(body: dict[str, Any]) -> None:
    for kind in ("generation-create", "trace-create", "observation-update"):
        found = parse_event(json.dumps(sent(kind, body)).encode(), place="x")
        assert isinstance(found.item, CallReport | Rejection)
    exported = parse_export(json.dumps(body).encode(), place="x", received_at=NOW)
    assert all(isinstance(item, CallReport | Rejection) for item in exported)


@given(st.binary(max_size=60))
def test_garbage_has_an_answer(payload: bytes) -> None:
    assert isinstance(parse_event(payload, place="x"), Sent)
    assert parse_export(payload, place="x", received_at=NOW)
    with suppress(UnreadableBatch):
        assert parse_batch(payload) == []
