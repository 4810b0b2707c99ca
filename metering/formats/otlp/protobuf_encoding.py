"""Spans from OTLP's protobuf encoding, by OpenTelemetry's own message classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from metering.formats.attribute_map import TAG_PREFIX
from metering.formats.otlp.spans import (
    NO_SPAN,
    NO_TRACE,
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


def spans(body: bytes, vocabulary: Vocabulary) -> Iterator[Span]:
    """The spans in the order of sending. Raises `UndecodableExport` before the first of them."""
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise UndecodableExport(
            "the body is no ExportTraceServiceRequest in protobuf; if it is JSON, say so with"
            " Content-Type: application/json"
        ) from error
    return _spans(request, vocabulary)


def _spans(request: ExportTraceServiceRequest, vocabulary: Vocabulary) -> Iterator[Span]:
    for i, of_resource in enumerate(request.resource_spans):
        resource = pick(of_resource.resource.attributes, vocabulary).own
        for j, of_scope in enumerate(of_resource.scope_spans):
            scope = Scope(of_scope.scope.name, of_scope.scope.version)
            for k, span in enumerate(of_scope.spans):
                trace_id, span_id = span.trace_id.hex(), span.span_id.hex()
                parent_id = span.parent_span_id.hex()
                picked = pick(span.attributes, vocabulary)
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
                    picked.facts,
                    picked.own,
                    partial(_texts, span),
                )


def pick(attributes: Sequence[Any], vocabulary: Vocabulary) -> Picker:
    """What a list of `KeyValue` tells. This is where most of an export's time goes: a value is
    asked for as what it most often is, and only then for what it is."""
    picker = Picker()
    facts, own, ranks = picker.facts, picker.own, picker.ranks
    meanings_of, rank_of = vocabulary.get, picker.ranks.get
    for attribute in attributes:
        key = attribute.key
        meanings = meanings_of(key)
        if meanings is None:
            meanings = meanings_of_tag(key) if key.startswith(TAG_PREFIX) else ()
            if not meanings:
                continue
        held = attribute.value
        value = held.string_value or held.int_value or value_of(held)
        if value is None or value == "":
            continue
        for fact, rank, is_own in meanings:  # as `Picker.take`, which costs a call each
            known = rank_of(fact)
            if known is None or rank < known:
                ranks[fact] = rank
                if is_own:
                    own[fact] = value
                else:
                    facts[fact] = value
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
        yield attribute.key, value_of(attribute.value)
    for event in span.events:
        for attribute in event.attributes:
            yield f"{event.name}:{attribute.key}", value_of(attribute.value)
