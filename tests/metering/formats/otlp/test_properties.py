"""Whatever is sent: exports are read or refused, and what is read depends on no order."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from metering.domain.call_reports import CallReport
from metering.domain.usage import Rejection
from metering.formats.attribute_map import DEFAULT
from metering.formats.genai_names import vocabulary
from metering.formats.otlp import traces
from metering.formats.otlp.spans import UndecodableExport
from metering.formats.otlp.traces import Encoding
from tests.metering.formats.otlp.requests import (
    NOW,
    a_span,
    as_json,
    as_protobuf,
    export,
    read,
)

NAMES = sorted(vocabulary(DEFAULT))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    texts
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(width=32)
    | st.sampled_from(
        ["{", "[1]", '{"usage": {"inputTokens": 5}}', '{"input": -1}', "chat", "LLM"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
attributes = st.dictionaries(st.sampled_from(NAMES) | texts, values, max_size=12)


def is_right(item: object) -> bool:
    if isinstance(item, Rejection):
        return bool(item.reason and item.message and item.place)
    assert isinstance(item, CallReport)
    return len(item.trace_id) == 32 and len(item.span_id) == 16


@given(attributes, attributes, st.sampled_from(["pydantic-ai", "ai", "", "langfuse-sdk"]))
def test_attributes_of_any_value_are_read_alike_in_both_encodings(
    of_span: dict[str, Any], of_resource: dict[str, Any], scope: str
) -> None:
    request = export(a_span(of_span), scope=scope, resource=of_resource)
    [by_json] = traces.read(as_json(request), "json", received_at=NOW)
    [by_protobuf] = traces.read(as_protobuf(request), "protobuf", received_at=NOW)
    assert is_right(by_json)
    assert is_right(by_protobuf)
    assert type(by_json) is type(by_protobuf)


@given(st.binary(max_size=300), st.sampled_from(["json", "protobuf"]))
def test_garbage_is_read_or_refused(body: bytes, encoding: Encoding) -> None:
    try:
        items = list(traces.read(body, encoding, received_at=NOW))
    except UndecodableExport:
        return
    assert all(map(is_right, items))


@given(st.data())
def test_an_export_that_is_damaged_is_read_or_refused(data: st.DataObject) -> None:
    body = bytearray(as_protobuf(export(a_span({"gen_ai.operation.name": "chat", "a": [1]}))))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    try:
        items = list(traces.read(bytes(body[:cut]), "protobuf", received_at=NOW))
    except UndecodableExport:
        return
    assert all(map(is_right, items))


@given(st.permutations(range(6)), st.integers(1, 6))
def test_what_a_span_says_hangs_on_no_other(order: list[int], size: int) -> None:
    """A tree of six spans, in any order and any batches."""
    spans = [
        a_span(
            {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": number + 1},
            id=f"{number + 1:016x}",
            parent=f"{number:016x}" if number else "",
        )
        for number in range(6)
    ]
    whole = {item.span_id: item for item in read(export(*spans)) if isinstance(item, CallReport)}
    sent = [spans[number] for number in order]
    parts: list[Any] = []
    for start in range(0, len(sent), size):
        parts += read(export(*sent[start : start + size]))
    assert {item.span_id: item for item in parts} == whole


@given(attributes)
def test_only_what_is_named_comes_out(told: dict[str, Any]) -> None:
    secret = "what nobody named"
    unnamed = {f"custom.{name}": secret for name in told}
    [item] = traces.read(as_json(export(a_span({**told, **unnamed}))), "json", received_at=NOW)
    assert secret not in repr(item)
