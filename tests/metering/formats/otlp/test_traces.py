"""Exports as they come: times, ids, and what is refused as a whole."""

from __future__ import annotations

import pytest

from metering.domain.call_reports import CallReport
from metering.domain.usage import Rejection
from metering.formats.otlp import traces
from metering.formats.otlp.spans import UndecodableExport
from tests.metering.formats.otlp.requests import (
    CHAT,
    NOW,
    STARTED,
    TRACE,
    a_span,
    as_json,
    export,
    read,
    refused,
    report,
)


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ({"startTimeUnixNano": str(STARTED // 1000)}, "past_time"),
        ({"startTimeUnixNano": str(STARTED + 90_000_000_000_000)}, "future_time"),
        ({"startTimeUnixNano": str(2**63 - 1)}, "future_time"),
    ],
)
def test_a_time_that_cannot_be_is_refused(times: dict[str, str], reason: str) -> None:
    assert refused(a_span(CHAT, **times)).reason == reason


@pytest.mark.parametrize(
    "ids", [{"traceId": "0" * 32}, {"spanId": "0" * 16}, {"traceId": ""}, {"spanId": "ab"}]
)
def test_a_span_without_an_id_is_refused(ids: dict[str, str]) -> None:
    found = refused(a_span(CHAT) | ids)
    assert found.reason == "invalid_id"
    assert found.place == "resourceSpans[0].scopeSpans[0].spans[0]"


def test_ids_in_base64_are_none_in_json() -> None:
    span = a_span(CHAT) | {"traceId": "W47/95gDgQPSabYzgT/GDA=="}
    [item] = traces.read(as_json(export(span)), "json", received_at=NOW)
    assert isinstance(item, Rejection)
    assert item.reason == "invalid_id"


def test_upper_case_ids_are_the_same_ids() -> None:
    span = a_span(CHAT, id="00000000000000AB") | {"traceId": TRACE.upper()}
    [item] = traces.read(as_json(export(span)), "json", received_at=NOW)
    assert isinstance(item, CallReport)
    assert (item.trace_id, item.span_id) == (TRACE, "00000000000000ab")


def test_a_span_without_times_is_dated_by_its_receipt() -> None:
    [item] = read(export(a_span(CHAT, startTimeUnixNano="0", endTimeUnixNano="0")))
    assert isinstance(item, CallReport)
    assert item.said_at == NOW
    assert item.ended is None
    assert "occurred_at" not in item.fields


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"", "json"),
        (b"[]", "json"),
        (b'{"resourceSpans": [{"scopeSpans": 7}]}', "json"),
        (b'{"resourceSpans": [', "json"),
        (b'{"resourceSpans": [{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}]}", "json"),
        (b'{"resourceSpans": "\xff"}', "json"),
        (b"\x0a\xff\xff\xff", "protobuf"),
        (b'{"resourceSpans": []}', "protobuf"),
    ],
)
def test_what_is_no_export_is_refused_as_a_whole(body: bytes, encoding: traces.Encoding) -> None:
    with pytest.raises(UndecodableExport):
        traces.read(body, encoding, received_at=NOW)


@pytest.mark.parametrize("body", [b"{}", b'{"resourceSpans": null, "unknown": [1]}'])
def test_an_export_of_nothing_is_one(body: bytes) -> None:
    assert list(traces.read(body, "json", received_at=NOW)) == []
    assert list(traces.read(b"", "protobuf", received_at=NOW)) == []


def test_numbers_may_be_text_and_text_numbers() -> None:
    told = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": "174",
        "gen_ai.usage.output_tokens": 31.0,
        "tenant.id": 42,
    }
    fields = report(told).fields
    assert (fields["input_tokens"], fields["output_tokens"]) == (174, 31)
    assert fields["tenant_id"] == "42"
