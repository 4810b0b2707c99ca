"""LangSmith: runs as its SDKs post and patch them, and as it exports them → `CallReport`s.

A run is posted when it begins and patched when it ends; what comes close together is sent as one.
`dotted_order` names all runs above one, with their times. Runs of the types `llm` and `embedding`
are calls; the others carry sums of what is below them, and count for nothing.

Of inputs, outputs and errors nothing is kept but figures, the model's name, and an estimate of the
tokens for calls of which no usage is ever told.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta, Raw

from metering.domain.call_reports import SUPPOSED, CallReport
from metering.domain.usage import Rejection
from metering.formats.attribute_map import AttributeMap
from metering.formats.batches import BOM, UnreadableBatch
from metering.formats.langsmith.form import FormRun, read_form
from metering.formats.langsmith.order import order_of
from metering.formats.langsmith.usage import answer_ids, executed_model, usage_fields
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

MAX_RUNS: Final = 10_000
Act = Literal["post", "patch"]
Item = CallReport | Rejection

Id = Annotated[str, Meta(min_length=1, max_length=200)]
_NONE: Final = Raw(b"null")


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it is sent, as far as it says something of usage."""

    id: Id | None = None
    trace_id: Id | None = None
    parent_run_id: Id | None = None
    dotted_order: str | None = None
    run_type: str | None = None
    name: str | None = None
    start_time: Any = None
    end_time: Any = None
    error: Any = None
    status: Any = None
    session_name: str | None = None
    tags: Any = None
    prompt_tokens: Any = None
    completion_tokens: Any = None
    total_tokens: Any = None
    prompt_token_details: Any = None
    completion_token_details: Any = None
    extra: Raw = _NONE
    inputs: Raw = _NONE
    outputs: Raw = _NONE


class _Batch(msgspec.Struct, frozen=True, kw_only=True):
    post: list[Raw] | None = None
    patch: list[Raw] | None = None


class _Context(NamedTuple):
    place: str
    received_at: datetime
    how: Interpretation


_decode_batch: Final = msgspec.json.Decoder(_Batch).decode
_decode_run: Final = msgspec.json.Decoder(Run, float_hook=Decimal).decode
_decode_any: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_CALLS: Final = frozenset({"llm", "embedding"})
_NO_PROJECT: Final = "default"


def parse_batch(
    body: bytes, *, received_at: datetime, how: Interpretation = READ_AS_USUAL
) -> list[Item]:
    """The runs of a body `{"post": […], "patch": […]}`, of which one may be left out, in that
    order. Raises `UnreadableBatch` for a body that is none; what is wrong with one run is that
    run's own matter."""
    try:
        batch = _decode_batch(body.removeprefix(BOM))
    except UNDECODABLE as error:
        raise UnreadableBatch(f"the body is no batch: {_said(error)}") from error
    if batch.post is None and batch.patch is None:  # LangSmith's own demand; no client sends it
        raise UnreadableBatch(
            'the body is no batch: it has neither "post" nor "patch", of which one must be an array'
            " of runs; a single run goes to /runs"
        )
    acts: tuple[tuple[Act, list[Raw]], ...] = (
        ("post", batch.post or []),
        ("patch", batch.patch or []),
    )
    if sum(len(runs) for _, runs in acts) > MAX_RUNS:
        raise UnreadableBatch(f"more than {MAX_RUNS} runs in one batch", too_many=True)
    return [
        parse_run(run, act, place=f"{act} {index}", received_at=received_at, how=how)
        for act, runs in acts
        for index, run in enumerate(runs)
    ]


def parse_form(
    body: bytes, boundary: bytes, *, received_at: datetime, how: Interpretation = READ_AS_USUAL
) -> list[Item]:
    """The runs of a multipart form, in the order of their first parts. Raises `UnreadableBatch`."""
    runs = read_form(body, boundary)
    if len(runs) > MAX_RUNS:
        raise UnreadableBatch(f"more than {MAX_RUNS} runs in one form", too_many=True)
    return [_of_form(run, received_at, how) for run in runs]


def parse_run(
    payload: bytes | Raw,
    act: Act,
    *,
    place: str,
    received_at: datetime,
    how: Interpretation = READ_AS_USUAL,
    run_id: str | None = None,
) -> Item:
    """Read one run; `run_id` is the one that the address names. Nothing that the bytes hold makes
    this raise."""
    try:
        run = _decode_run(payload)
    except (*UNDECODABLE, ArithmeticError) as error:
        return Rejection(
            place=place, reason=_reason(error), message=_said(error), key=run_id or _id_of(payload)
        )
    if run_id is not None:
        run = msgspec.structs.replace(run, id=run_id)
    return _report(run, act, _Context(place, received_at, how))


def parse_export(
    payload: bytes, *, place: str, received_at: datetime, how: Interpretation = READ_AS_USUAL
) -> list[Item]:
    """The reports of one exported object: a run, or a batch as an SDK sends it. Nothing that the
    bytes hold makes this raise."""
    try:
        keys = msgspec.json.decode(payload, type=dict[str, Raw]).keys()
        if keys & {"post", "patch"}:
            return parse_batch(payload, received_at=received_at, how=how)
    except UNDECODABLE as error:
        return [Rejection(place=place, reason=_reason(error), message=_said(error))]
    except UnreadableBatch as error:
        return [Rejection(place=place, reason="malformed_json", message=str(error))]
    return [parse_run(payload, "patch", place=place, received_at=received_at, how=how)]


def _of_form(sent: FormRun, received_at: datetime, how: Interpretation) -> Item:
    place = f"{sent.act}.{sent.run_id}"
    if sent.run is None:
        return Rejection(
            place=place,
            reason="missing_part",
            message=f"the form has no part {place}, to which {place}.* belong",
            key=sent.run_id,
        )
    try:
        run = _decode_run(sent.run)
        error = None if sent.error is None else _decode_any(sent.error)
    except (*UNDECODABLE, ArithmeticError) as failure:
        return Rejection(
            place=place, reason=_reason(failure), message=_said(failure), key=sent.run_id
        )
    run = msgspec.structs.replace(
        run,
        id=run.id or sent.run_id,
        error=run.error if error is None else error,
        extra=run.extra if sent.extra is None else Raw(sent.extra),
        inputs=run.inputs if sent.inputs is None else Raw(sent.inputs),
        outputs=run.outputs if sent.outputs is None else Raw(sent.outputs),
    )
    return _report(run, sent.act, _Context(place, received_at, how))


def _report(run: Run, act: Act, context: _Context) -> Item:
    how, order = context.how, order_of(run.dotted_order)
    if run.id is None and order.own is not None:
        run = msgspec.structs.replace(run, id=order.own)
    if run.id is None:
        return Rejection(
            place=context.place, reason="missing_field", message="id is missing; it names the run"
        )
    problem = no_time(start_time=run.start_time, end_time=run.end_time)
    if problem is not None:
        return Rejection(place=context.place, reason="invalid_time", message=problem, key=run.id)
    start, end = instant(run.start_time) or order.started_at, instant(run.end_time)
    extra = _mapping(run.extra)
    if extra is None:
        return Rejection(
            place=context.place,
            reason="unreadable_metadata",
            message="extra cannot be read; it is a JSON object in UTF-8, without NaN, and says"
            " which model was called and for whom",
            key=run.id,
        )
    metadata = _inner(extra, "metadata")
    parent = run.parent_run_id or (order.above[-1] if order.above else None)
    fields = how.attributes.read(*_layers(run, metadata, how.attributes))
    if parent is None and act == "post":
        fields |= _supposed(run)
    is_call = None if run.run_type is None else run.run_type.lower() in _CALLS
    if is_call is not False:
        try:
            fields |= _of_call(run, extra, start, how)
        except ValueError as error:
            return Rejection(
                place=context.place, reason="unreadable_usage", message=str(error), key=run.id
            )
    return CallReport(
        trace_id=run.trace_id or (order.above[0] if order.above else run.id),
        span_id=run.id,
        parent_span_id=parent,
        ancestors=order.above,
        is_call=is_call,
        said_at=end or (start if act == "post" else None) or context.received_at,
        rank=1 if act == "patch" else 0,
        ended=True if end is not None else None,
        ended_at=end if is_call is not False else None,
        fields=fields,
    )


def _layers(
    run: Run, metadata: Mapping[str, Any], attributes: AttributeMap
) -> list[Mapping[str, object]]:
    """Who the run is for: its metadata, its tags, and what LangSmith itself keeps beside them."""
    session = next(
        (
            metadata[key]
            for key in ("session_id", "thread_id", "conversation_id")
            if key in metadata
        ),
        None,
    )
    commit = metadata.get("lc_hub_commit_hash")
    own = {
        "gen_ai.prompt.name": metadata.get("lc_hub_repo"),
        "gen_ai.prompt.version": commit[:8] if isinstance(commit, str) else None,
        "apportion.tag.project": None if run.session_name == _NO_PROJECT else run.session_name,
        "apportion.tag.session": session,
        "apportion.tag.revision": metadata.get("revision_id"),
    }
    return [
        metadata,
        attributes.of_tags(run.tags) if isinstance(run.tags, list) else {},
        {name: value for name, value in own.items() if value not in (None, "")},
    ]


def _supposed(run: Run) -> dict[str, str]:
    """A trace is for its project's feature, if the project has a name; else for its root's."""
    supposed = supposed_names(run.name)
    if run.session_name and run.session_name != _NO_PROJECT:
        supposed |= {
            name: value
            for name, value in supposed_names(run.session_name).items()
            if name == f"{SUPPOSED}endpoint_tag"
        }
    return supposed


def _of_call(
    run: Run,
    extra: Mapping[str, Any],
    start: datetime | None,
    how: Interpretation,
) -> dict[str, Any]:
    """What a call's message says of the call itself. Raises `UnreadableUsage`."""
    metadata, outputs, inputs = _inner(extra, "metadata"), _value(run.outputs), _value(run.inputs)
    answer = outputs if isinstance(outputs, dict) else {}
    executed = executed_model(answer)
    model = _requested_model(metadata, extra, inputs) or executed
    fields: dict[str, Any] = {
        "external_request_id": run.id,
        "occurred_at": None if start is None else written(start),
        "model": model,
        "model_executed": executed if executed != model else None,
        "provider_request_id": next(
            filter(None, map(provider_request_id, answer_ids(answer))), None
        ),
        "service_tier": served_tier(answer.get("service_tier")),
        **_status(run),
        **provider(model, how.providers, metadata),
    }
    used = usage_fields(answer, metadata, msgspec.structs.asdict(run))
    fields |= used or estimates(model, inputs, outputs)
    return {name: value for name, value in fields.items() if value is not None}


def _requested_model(
    metadata: Mapping[str, Any], extra: Mapping[str, Any], inputs: object
) -> str | None:
    holders: tuple[tuple[Mapping[str, Any], tuple[str, ...]], ...] = (
        (metadata, ("ls_model_name",)),
        (_inner(extra, "invocation_params"), ("model", "model_name", "model_id", "deployment")),
        (_inner(metadata, "invocation_params"), ("model", "model_name", "model_id")),
        (inputs if isinstance(inputs, Mapping) else {}, ("model",)),
    )
    for holder, keys in holders:
        for key in keys:
            named = holder.get(key)
            if isinstance(named, str) and named.strip():
                return named.strip()[:200]
    return None


def _status(run: Run) -> dict[str, Any]:
    """An error that is left out says nothing: an earlier message may have told one."""
    if run.error or run.status == "error":
        return {"status": "error", "error_code": error_code(run.error)}
    return {"status": "success"} if run.status == "success" else {}


def _value(sent: Raw) -> Any:
    try:
        return _decode_any(sent)
    except (*UNDECODABLE, ArithmeticError):
        return None


def _mapping(sent: Raw) -> Mapping[str, Any] | None:
    """The object; an empty one for another value, and `None` for what is none at all."""
    try:
        value = _decode_any(sent)
    except (*UNDECODABLE, ArithmeticError):
        return None
    return value if isinstance(value, dict) else {}


def _inner(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, dict) else {}


def _id_of(payload: bytes | Raw) -> str | None:
    try:
        sent = msgspec.json.decode(payload, type=dict[str, Raw])
        return msgspec.json.decode(sent["id"], type=str)[:200]
    except (*UNDECODABLE, KeyError):
        return None


def _reason(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return "wrong_type"
    if isinstance(error, ArithmeticError):
        return "out_of_range"
    return refuse(b"", error, place="").reason


def _said(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return f"{error}; send what LangSmith's API documents"
    if isinstance(error, ArithmeticError):
        return "a number is far too large to be a count"
    return refuse(b"", error, place="").message
