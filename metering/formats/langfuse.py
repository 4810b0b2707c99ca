"""Langfuse: the batches of its ingestion API, and its exports of traces → `CallReport`s.

A batch holds events that create or update observations (generations, spans, …) and the traces above
them, and others that say nothing of usage (scores, logs of the SDK). What stands on a trace (user,
session, tags, metadata, release, environment) is reported of a span that has the trace's own id: it
is above all of the trace's observations, whichever comes first.

A model has no provider here: metadata name it, else it is supposed by the model's name. Costs that
were sent are not believed, and of inputs and outputs nothing is kept but an estimate of their
tokens, for calls of which no usage is ever told.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta, Raw

from metering.domain.call_reports import CallReport
from metering.domain.usage import Rejection
from metering.formats.attribute_map import AttributeMap
from metering.formats.batches import BOM, UnreadableBatch
from metering.formats.langfuse_usage import usage_fields
from metering.formats.malformed import UNDECODABLE, refuse
from metering.formats.span_facts import (
    READ_AS_USUAL,
    Interpretation,
    error_code,
    estimates,
    instant,
    no_time,
    provider,
    provider_request_id,
    served_tier,
    supposed_names,
    written,
)

MAX_EVENTS: Final = 10_000
_CREATED, _UPDATED = 0, 1

Id = Annotated[str, Meta(min_length=1, max_length=200)]


class Observation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An observation or a trace as it is sent, as far as it says something of usage. Older SDKs
    name the observation in `generationId` or `spanId` when they update it."""

    id: Id | None = None
    generation_id: Id | None = None
    span_id: Id | None = None
    trace_id: Id | None = None
    parent_observation_id: Id | None = None
    type: str | None = None
    name: str | None = None
    start_time: Any = None
    end_time: Any = None
    timestamp: Any = None
    updated_at: Any = None
    model: str | None = None
    model_parameters: Any = None
    usage: Any = None
    usage_details: Any = None
    metadata: Any = None
    level: str | None = None
    status_message: Any = None
    environment: str | None = None
    prompt_name: str | None = None
    prompt_version: int | str | None = None
    user_id: str | int | None = None
    session_id: str | int | None = None
    release: str | None = None
    version: str | int | None = None
    tags: Any = None
    input: Raw = Raw(b"null")
    output: Raw = Raw(b"null")
    prompt: Raw = Raw(b"null")
    completion: Raw = Raw(b"null")


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    id: Annotated[str, Meta(min_length=1, max_length=800)]
    timestamp: str
    type: str
    body: Raw = Raw(b"{}")


class _Batch(msgspec.Struct, frozen=True, kw_only=True):
    batch: list[Raw]


class Sent(NamedTuple):
    """One event of a batch: its id, by which the answer names it, and what it comes to; `None`
    for what says nothing of usage (a score)."""

    id: str | None
    item: CallReport | Rejection | None


class _Said(NamedTuple):
    """When a message was made, and whether it creates or updates."""

    at: datetime
    rank: int


_decode_batch: Final = msgspec.json.Decoder(_Batch).decode
_decode_event: Final = msgspec.json.Decoder(_Event).decode
_decode_body: Final = msgspec.json.Decoder(Observation, float_hook=Decimal).decode
_decode_any: Final = msgspec.json.Decoder(float_hook=Decimal).decode

_NO_USAGE: Final = ("score-", "sdk-log", "dataset-run-item-")
_CALLS: Final = frozenset({"GENERATION", "EMBEDDING"})


def parse_batch(body: bytes, *, how: Interpretation = READ_AS_USUAL) -> list[Sent]:
    """The events of a body `{"batch": […]}`, in its order. Raises `UnreadableBatch` for a body
    that is none; what is wrong with one event is that event's own matter."""
    try:
        events = _decode_batch(body.removeprefix(BOM)).batch
    except UNDECODABLE as error:
        refusal = _refused(error, "body", None)
        raise UnreadableBatch(f"the body is no batch: {refusal.message}") from error
    if len(events) > MAX_EVENTS:
        raise UnreadableBatch(
            f"the batch holds {len(events)} events; {MAX_EVENTS} are the limit", too_many=True
        )
    return [
        parse_event(event, place=f"batch {index}", how=how) for index, event in enumerate(events)
    ]


def parse_event(payload: bytes | Raw, *, place: str, how: Interpretation = READ_AS_USUAL) -> Sent:
    """Read one event. Nothing that the bytes hold makes this raise."""
    try:
        event = _decode_event(payload)
    except UNDECODABLE as error:
        return Sent(_id_of(payload), _refused(error, place, None))
    if event.type.startswith(_NO_USAGE):
        return Sent(event.id, None)
    kind, _, act = event.type.rpartition("-")
    at = instant(event.timestamp)
    if not kind or act not in ("create", "update"):
        return Sent(event.id, _refusal(place, event.id, "type", f"{event.type!r:.80} is no type"))
    if at is None:
        told = f"timestamp {event.timestamp!r:.80} is no time; write it like 2026-10-03T12:00:00Z"
        return Sent(event.id, _refusal(place, event.id, "timestamp", told))
    said = _Said(at, _UPDATED if act == "update" else _CREATED)
    return Sent(event.id, _report(event.body, kind, said, place, event.id, how))


def parse_export(
    payload: bytes, *, place: str, received_at: datetime, how: Interpretation = READ_AS_USUAL
) -> list[CallReport | Rejection]:
    """The reports of one exported object: a trace with its observations (beside it, or inside), or
    one observation. Nothing that the bytes hold makes this raise. A row that tells no time of its
    own was said at `received_at`."""
    try:
        sent = msgspec.json.decode(payload, type=dict[str, Raw])
        trace, rows = sent.get("trace"), sent.get("observations")
        if trace is None and rows is None:
            return [_exported(payload, None, place, received_at, how)]
        found = [] if rows is None else msgspec.json.decode(rows, type=list[Raw])
    except UNDECODABLE as error:
        return [_refused(error, place, None)]
    reports = [_exported(trace or payload, "trace", place, received_at, how)]
    reports += [
        _exported(row, None, f"{place}, observation {number}", received_at, how)
        for number, row in enumerate(found, 1)
    ]
    return reports


def _exported(
    row: bytes | Raw, kind: str | None, place: str, received_at: datetime, how: Interpretation
) -> CallReport | Rejection:
    try:
        body = _decode_body(row)
    except (*UNDECODABLE, ArithmeticError) as error:
        return _refused(error, place, None)
    times = map(instant, (body.updated_at, body.end_time, body.start_time, body.timestamp))
    at = next((time for time in times if time is not None), received_at)
    if kind is None and body.type is None:
        return _refusal(place, body.id, "type", "an observation says its type, like GENERATION")
    return _report_of(body, kind or "observation", _Said(at, _UPDATED), place, body.id, how)


def _report(
    payload: Raw, kind: str, said: _Said, place: str, key: str, how: Interpretation
) -> CallReport | Rejection:
    try:
        body = _decode_body(payload)
    except (*UNDECODABLE, ArithmeticError) as error:
        return _refused(error, place, key)
    return _report_of(body, kind, said, place, key, how)


def _report_of(
    body: Observation,
    kind: str,
    said: _Said,
    place: str,
    key: str | None,
    how: Interpretation,
) -> CallReport | Rejection:
    if kind == "trace":
        return _of_trace(body, said, place, key, how)
    span_id = body.id or body.generation_id or body.span_id
    if span_id is None:
        return _refusal(place, key, "missing_field", "body.id is missing; it names the observation")
    problem = no_time(startTime=body.start_time, endTime=body.end_time)
    if problem is not None:
        return _refusal(place, key, "invalid_time", problem)
    trace_id = body.trace_id or span_id
    fields = how.attributes.read(*_layers(body, how.attributes))
    is_call, end = _is_call(body.type or kind), instant(body.end_time)
    if is_call is not False:
        try:
            fields |= _of_call(body, kind, how)
        except ValueError as error:
            return _refusal(place, key, "unreadable_usage", str(error))
    return CallReport(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=_parent(body, trace_id, span_id, said),
        is_call=is_call,
        said_at=said.at,
        rank=said.rank,
        ended=True if end is not None else None,
        ended_at=end if is_call is not False else None,
        fields=fields,
    )


def _is_call(kind: str) -> bool | None:
    """`OBSERVATION` alone does not tell what it observes."""
    kind = kind.upper()
    return None if kind == "OBSERVATION" else kind in _CALLS


def _parent(body: Observation, trace_id: str, span_id: str, said: _Said) -> str | None:
    """Whatever has no observation above it is under its trace; an update leaves the parent out."""
    if body.parent_observation_id is not None:
        return body.parent_observation_id
    is_new = said.rank == _CREATED or body.updated_at is not None
    return trace_id if is_new and trace_id != span_id else None


def _of_trace(
    body: Observation, said: _Said, place: str, key: str | None, how: Interpretation
) -> CallReport | Rejection:
    """A trace's report does not say whether it is a call: SDKs give a root observation its id."""
    if body.id is None:
        return _refusal(place, key, "missing_field", "body.id is missing; it names the trace")
    fields = how.attributes.read(*_layers(body, how.attributes))
    fields |= supposed_names(body.name)
    return CallReport(
        trace_id=body.id,
        span_id=body.id,
        parent_span_id=None,
        is_call=None,
        said_at=said.at,
        rank=said.rank,
        ended=None,
        fields=fields,
    )


def _layers(body: Observation, attributes: AttributeMap) -> list[Mapping[str, object]]:
    """Who the call is for, as the body's own fields say it, then its metadata: a sender's own, what
    an OpenTelemetry span said, and what it was said of (a service)."""
    own = {
        "langfuse.user.id": body.user_id,
        "langfuse.environment": None if body.environment == "default" else body.environment,
        "langfuse.observation.prompt.name": body.prompt_name,
        "langfuse.observation.prompt.version": body.prompt_version,
        "apportion.tag.session": body.session_id,
        "apportion.tag.release": body.release,
        "apportion.tag.version": body.version,
    }
    metadata = _mapping(body.metadata)
    return [
        {name: value for name, value in own.items() if value not in (None, "")},
        metadata,
        attributes.of_tags(body.tags) if isinstance(body.tags, list) else {},
        _mapping(metadata.get("attributes")),
        _service(_mapping(metadata.get("resourceAttributes"))),
    ]


def _service(resource: Mapping[str, object]) -> Mapping[str, object]:
    """OpenTelemetry names a service of which nobody knows the name `unknown_service`."""
    named = resource.get("service.name")
    if isinstance(named, str) and named.startswith("unknown_service"):
        return {key: value for key, value in resource.items() if key != "service.name"}
    return resource


def _mapping(value: object) -> Mapping[str, object]:
    """Metadata, which exports write as text."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = _decode_any(value)
        except (*UNDECODABLE, ArithmeticError):
            return {}
    return value if isinstance(value, Mapping) else {}


def _of_call(body: Observation, kind: str, how: Interpretation) -> dict[str, Any]:
    """What a call's message says of the call itself. Raises `UnreadableUsage`."""
    metadata = _mapping(body.metadata)
    span = _mapping(metadata.get("attributes"))
    parameters = _mapping(body.model_parameters)
    start = instant(body.start_time)
    model = body.model.strip() if body.model else None
    fields: dict[str, Any] = {
        "external_request_id": body.id or body.generation_id or body.span_id,
        "occurred_at": None if start is None else written(start),
        "model": model or None,
        "provider_request_id": provider_request_id(span.get("gen_ai.response.id")),
        "service_tier": served_tier(parameters.get("service_tier")),
        **_status(body),
        **provider(model, how.providers, metadata, span),
    }
    embeds = (body.type or kind).upper() == "EMBEDDING"
    used = usage_fields(body.usage_details, embeds=embeds) or usage_fields(body.usage)
    fields |= used or estimates(model, _value(body.input, body.prompt), _answer(body))
    return {name: value for name, value in fields.items() if value is not None}


def _status(body: Observation) -> dict[str, Any]:
    """A level that is left out says nothing: an earlier message may have told of an error."""
    if body.level is None:
        return {}
    if body.level.upper() != "ERROR":
        return {"status": "success"}
    return {"status": "error", "error_code": error_code(body.status_message)}


def _answer(body: Observation) -> object:
    return _value(body.output, body.completion)


def _value(*sent: Raw) -> object:
    """The first of the values that is there; what cannot be read is none."""
    for each in sent:
        try:
            value = _decode_any(each)
        except (*UNDECODABLE, ArithmeticError):
            continue
        if value is not None:
            return value
    return None


def _id_of(payload: bytes | Raw) -> str | None:
    try:
        sent = msgspec.json.decode(payload, type=dict[str, Raw])
        return msgspec.json.decode(sent["id"], type=str)[:800]
    except (*UNDECODABLE, KeyError):
        return None


def _refused(error: Exception, place: str, key: str | None) -> Rejection:
    if isinstance(error, ArithmeticError):
        return _refusal(place, key, "out_of_range", "a number is far too large to be a count")
    if isinstance(error, msgspec.ValidationError):
        return _refusal(place, key, "wrong_type", f"{error}; send what Langfuse's API documents")
    return msgspec.structs.replace(refuse(b"", error, place=place), key=key)


def _refusal(place: str, key: str | None, reason: str, message: str) -> Rejection:
    return Rejection(place=place, reason=reason, message=message, key=key)
