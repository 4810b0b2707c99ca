"""Spans from OTLP's protobuf encoding.

OpenTelemetry's own message classes say whether the body is an export at all, and read what is
looked at for the first time; what was seen before is known by its bytes (`lean_messages`,
`attribute_memory`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from metering.formats.otlp.attribute_memory import Memory
from metering.formats.otlp.lean_messages import Request
from metering.formats.otlp.spans import (
    NO_SPAN,
    NO_TRACE,
    Export,
    Picker,
    Scope,
    Span,
    UndecodableExport,
    Vocabulary,
    meanings_of_tag,
)

MAX_DEPTH: Final = 8
"""Of lists and mappings in an attribute's value; what lies deeper is left out."""
_ERROR: Final = 2


def decode(body: bytes, vocabulary: Vocabulary) -> Export:
    """Raises `UndecodableExport`."""
    try:
        ExportTraceServiceRequest.FromString(body)  # attributes and events are no bytes to it
        request = Request.FromString(body)
    except DecodeError as error:
        raise UndecodableExport(
            "the body is no ExportTraceServiceRequest in protobuf; if it is JSON, say so with"
            " Content-Type: application/json"
        ) from error
    size = sum(len(scope.spans) for each in request.resource_spans for scope in each.scope_spans)
    return Export(size, partial(_spans, request, _memory_of(vocabulary)))


def _spans(request: Any, memory: Memory) -> Iterator[Span]:
    for i, of_resource in enumerate(request.resource_spans):
        around = memory.together(of_resource.resource.attributes[:])
        resource = around.own
        for j, of_scope in enumerate(of_resource.scope_spans):
            scope = Scope(of_scope.scope.name, of_scope.scope.version)
            for k, span in enumerate(of_scope.spans):
                trace_id, span_id = span.trace_id.hex(), span.span_id.hex()
                parent_id = span.parent_span_id.hex()
                facts, own, alike = memory.read(span.attributes[:])
                yield Span(
                    (i, j, k),
                    span.name,
                    "" if trace_id == NO_TRACE else trace_id,
                    "" if span_id == NO_SPAN else span_id,
                    "" if parent_id == NO_SPAN else parent_id,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    span.status.code == _ERROR,
                    scope,
                    resource,
                    facts,
                    own,
                    partial(_texts, span),
                    None if alike is None else (alike, around),
                )


_memories: dict[int, Memory] = {}
_MOST_MEMORIES: Final = 64


def _memory_of(vocabulary: Vocabulary) -> Memory:
    """What is remembered of attributes under this vocabulary, of which there are few: one for each
    source that names things its own way."""
    known = _memories.get(id(vocabulary))
    if known is None or known.vocabulary is not vocabulary:
        if len(_memories) >= _MOST_MEMORIES:
            _memories.clear()
        known = _memories[id(vocabulary)] = Memory(vocabulary, _told)
    return known


def _told(attribute: bytes) -> tuple[str, object]:
    """A `KeyValue`, as name and value."""
    held = KeyValue.FromString(attribute)
    value = held.value
    return held.key, value.string_value or value.int_value or value_of(value)


def pick(attributes: Sequence[Any], vocabulary: Vocabulary) -> Picker:
    """What a list of `KeyValue` tells."""
    picker = Picker()
    for attribute in attributes:
        meanings = vocabulary.get(attribute.key) or meanings_of_tag(attribute.key)
        if meanings:
            picker.take(meanings, value_of(attribute.value))
    return picker


def value_of(value: Any, depth: int = 0) -> object:
    """An `AnyValue` as a plain one; `None` for bytes and for what lies too deep."""
    kind = value.WhichOneof("value")
    convert = _CONVERT.get(kind)
    if convert is not None:
        return convert(value)
    if depth >= MAX_DEPTH:
        return None
    if kind == "array_value":
        return [value_of(each, depth + 1) for each in value.array_value.values]
    if kind == "kvlist_value":
        pairs = value.kvlist_value.values
        return {pair.key: value_of(pair.value, depth + 1) for pair in pairs}
    return None


def _number(value: Any) -> Decimal | None:
    number = Decimal(repr(value.double_value))
    return number if number.is_finite() else None


_CONVERT: Final[dict[str | None, Callable[[Any], object]]] = {
    "string_value": lambda value: value.string_value,
    "int_value": lambda value: value.int_value,
    "bool_value": lambda value: value.bool_value,
    "double_value": _number,
}


def _texts(span: Any) -> Iterator[tuple[str, object]]:
    for attribute in span.attributes:
        yield _told(attribute)
    for each in span.events:
        event = SpanMessage.Event.FromString(each)
        for attribute in event.attributes:
            yield f"{event.name}:{attribute.key}", value_of(attribute.value)
