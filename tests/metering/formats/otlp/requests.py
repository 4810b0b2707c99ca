"""OTLP exports for tests, in both encodings from one description."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from math import isfinite
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from metering.domain.call_reports import CallReport
from metering.domain.usage import Rejection
from metering.formats.otlp import traces

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
STARTED = 1_793_606_400_000_000_000
"""2026-11-02 08:00 UTC in nanoseconds."""
TRACE = "5b8efff798038103d269b633813fc60c"

CHAT: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 200,
}

_ids = count(1)


def a_span(
    attributes: Mapping[str, object], *, id: str | None = None, parent: str = "", **more: Any
) -> dict[str, Any]:
    """A span that took 1.82 s and is over, as OTLP/JSON."""
    return {
        "traceId": TRACE,
        "spanId": id or f"{next(_ids):016x}",
        **({"parentSpanId": parent} if parent else {}),
        "name": "a span",
        "startTimeUnixNano": str(STARTED - 1_820_000_000),
        "endTimeUnixNano": str(STARTED),
        "attributes": key_values(attributes),
        **more,
    }


def key_values(attributes: Mapping[str, object]) -> list[dict[str, Any]]:
    return [{"key": key, "value": any_value(value)} for key, value in attributes.items()]


def any_value(value: object) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value if isfinite(value) else str(value)}
        case str():
            return {"stringValue": value}
        case list():
            return {"arrayValue": {"values": [any_value(each) for each in value]}}
        case dict():
            return {"kvlistValue": {"values": key_values(value)}}
        case _:
            raise TypeError(value)


def export(
    *spans: Mapping[str, Any],
    scope: str = "test",
    version: str = "1.0",
    resource: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """An export request of these spans, made by one library in one program."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": key_values(resource or {})},
                "scopeSpans": [
                    {"scope": {"name": scope, "version": version}, "spans": list(spans)}
                ],
            }
        ]
    }


def as_json(request: object) -> bytes:
    return json.dumps(request).encode()


def as_protobuf(request: Mapping[str, Any]) -> bytes:
    """The same export in protobuf, by OpenTelemetry's own classes."""
    made = ExportTraceServiceRequest()
    for of_resource in request["resourceSpans"]:
        resource = made.resource_spans.add()
        _fill(resource.resource.attributes, of_resource.get("resource", {}).get("attributes"))
        for of_scope in of_resource.get("scopeSpans", ()):
            group = resource.scope_spans.add()
            group.scope.name = of_scope.get("scope", {}).get("name") or ""
            group.scope.version = of_scope.get("scope", {}).get("version") or ""
            for said in of_scope["spans"]:
                span = group.spans.add()
                span.trace_id = bytes.fromhex(said.get("traceId") or "")
                span.span_id = bytes.fromhex(said.get("spanId") or "")
                span.parent_span_id = bytes.fromhex(said.get("parentSpanId") or "")
                span.name = said.get("name") or ""
                span.start_time_unix_nano = int(said.get("startTimeUnixNano") or 0)
                span.end_time_unix_nano = int(said.get("endTimeUnixNano") or 0)
                span.status.code = (said.get("status") or {}).get("code") or 0
                _fill(span.attributes, said.get("attributes"))
                for event in said.get("events") or ():
                    made_event = span.events.add()
                    made_event.name = event["name"]
                    _fill(made_event.attributes, event.get("attributes"))
    return bytes(made.SerializeToString())


def _fill(attributes: Any, said: Sequence[Mapping[str, Any]] | None) -> None:
    for pair in said or ():
        made = attributes.add()
        made.key = pair["key"]
        _set(made.value, pair["value"])


def _set(made: Any, value: Mapping[str, Any]) -> None:
    for kind, held in value.items():
        match kind:
            case "stringValue":
                made.string_value = held
            case "intValue":
                made.int_value = int(held)
            case "doubleValue":
                made.double_value = float(held)
            case "boolValue":
                made.bool_value = held
            case "arrayValue":
                made.array_value.SetInParent()
                for each in held["values"]:
                    _set(made.array_value.values.add(), each)
            case "kvlistValue":
                made.kvlist_value.SetInParent()
                _fill(made.kvlist_value.values, held["values"])
            case _:
                raise TypeError(kind)


def read(request: Mapping[str, Any], **more: Any) -> list[CallReport | Rejection]:
    """What both encodings of the request come to, which is the same."""
    by_json = list(traces.read(as_json(request), "json", received_at=NOW, **more))
    by_protobuf = list(traces.read(as_protobuf(request), "protobuf", received_at=NOW, **more))
    assert by_json == by_protobuf
    return by_json


def report(attributes: Mapping[str, object], **more: Any) -> CallReport:
    """What one span with these attributes is taken for."""
    of_export = {name: more.pop(name) for name in ("scope", "version", "resource") if name in more}
    [item] = read(export(a_span(attributes, **more), **of_export))
    assert isinstance(item, CallReport), item
    return item


def spans_in(value: object) -> Iterator[dict[str, Any]]:
    """Every `resourceSpans` element inside a recorded value, with byte ids written as hex."""
    if isinstance(value, list):
        for each in value:
            yield from spans_in(each)
    elif isinstance(value, dict):
        if isinstance(value.get("scopeSpans"), list):
            yield _with_hex_ids(value)
        else:
            for each in value.values():
                yield from spans_in(each)


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_hex_ids(each) for each in value]
    if isinstance(value, dict):
        if set(value) == {"data"} and isinstance(value["data"], list):
            return bytes(value["data"]).hex()
        return {key: _with_hex_ids(each) for key, each in value.items()}
    return value


def refused(span: dict[str, Any]) -> Rejection:
    [item] = read(export(span))
    assert isinstance(item, Rejection)
    return item
