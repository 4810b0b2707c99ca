"""A call that was told in reports, as a usage event: through the native event's own checks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, cast, get_args, get_type_hints

import msgspec

from metering.domain.call_reports import SUPPOSED, CallReport
from metering.domain.traces import NAMES_OF_USER, USAGE_FIELDS, Call
from metering.domain.usage import Rejection, Share, UsageEvent, UsageQuality
from metering.formats import native
from metering.formats.problems import Problem, name_problem, shares_problem, units_problem
from metering.formats.shares import by_tokens, shares_told

MAX_ID: Final = 500
"""Longer ids of traces and spans are none."""

_WIRE: Final = {name: wire for wire, name in native.FIELDS.items() if name not in NAMES_OF_USER}
_ALL_WIRE: Final = {name: wire for wire, name in native.FIELDS.items()}
_OWN: Final = frozenset({"source", "time_reported", "usage_quality", "event_id", "attempt"})
"""Fields of an event that are decided here, whatever was told of them."""
_TOLD: Final = {name: wire for name, wire in _WIRE.items() if name not in _OWN and name != "shares"}
"""What is handed on to the native event's checks; shares are divided after them."""
_KNOWN: Final = frozenset({*_WIRE, *_OWN, *NAMES_OF_USER})
_ANY_TIME: Final = datetime.max.replace(tzinfo=UTC) - 2 * native.FUTURE
"""As the time of receipt: whether an event's time lies too far ahead was asked when it was told."""
_QUALITIES: Final[dict[object, UsageQuality]] = {name: name for name in get_args(UsageQuality)}
_WORSE: Final = frozenset({"inconsistent", "missing"})
_SHORT: Final = 40
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_set: Final = msgspec.structs.force_setattr


def event_of(
    call: Call,
    *,
    source: str,
    trace_id: str,
    span_id: str,
    scope: str,
    version: int,
    first_said_at: datetime,
) -> UsageEvent | Rejection:
    """The event that the call is, in its `version` (counted from 1). `scope` tells its trace from
    others of that id. What names the user is left out: it is known by its keyed hash only.

    A call whose time nobody told is dated when it was first told of. A field that no event has is
    refused by its name.
    """
    fields = call.fields
    place = f"trace {trace_id}, span {span_id}"
    told: dict[str, Any] = {name: value for name, value in fields.items() if name in _TOLD}
    if len(told) < len(fields) and not fields.keys() <= _KNOWN:
        return _unknown_field(min(fields.keys() - _KNOWN), place, span_id)
    timed = told.get("occurred_at") is not None
    if not timed:
        told["occurred_at"] = first_said_at
    told.setdefault("external_request_id", _short(f"{trace_id}/{span_id}", span_id))
    told.setdefault("trace_id", _short(trace_id))
    if not call.has_usage:
        told["input_tokens"] = 0
    event = _plainly_read(told, source) or _read(told, place, source)
    if isinstance(event, Rejection):
        return msgspec.structs.replace(event, key=span_id)
    _set(event, "event_id", event_id(scope, span_id, version))
    _set(event, "time_reported", timed)
    if "usage_quality" in fields:
        _set(event, "usage_quality", _quality(event, fields))
    if not call.has_usage:
        _set(event, "input_tokens", None)
        _set(event, "usage_quality", "missing")
    if fields.get("shares"):
        divided = _shares(fields["shares"], event)
        if isinstance(divided, Problem):
            return Rejection(
                place=place, reason=divided.reason, message=divided.message, key=span_id
            )
        _set(event, "shares", divided)
    return event


def _read(told: Mapping[str, Any], place: str, source: str) -> UsageEvent | Rejection:
    """The event of these fields by the way of every native event, which words what is wrong."""
    payload = _encode({_TOLD[name]: value for name, value in told.items()})
    return native.parse(payload, place=place, source=source, received_at=_ANY_TIME)


def _plainly_read(told: Mapping[str, Any], source: str) -> UsageEvent | None:
    """What `_read` makes of them, without writing them out first, which costs more than to read
    them; `None` where anything has to be looked at more closely."""
    if "usage" in told:
        return None
    texts = [value for value in told.values() if value.__class__ is str]
    if "tags" in told:
        tags = told["tags"]
        if tags.__class__ is not dict:
            return None
        texts += tags
        texts += [value for value in tags.values() if value.__class__ is str]
    joined = '"'.join(texts)
    if not joined.isascii() or not joined.isprintable() or (" " in joined and '" ' in f'"{joined}'):
        return None
    try:
        event = msgspec.convert(told, _Reported)
    except msgspec.ValidationError:
        return None
    problem = native.finish(event, source=source, received_at=_ANY_TIME)
    return event if problem is None else None


def _unknown_field(name: str, place: str, span_id: str) -> Rejection:
    return Rejection(
        place=place,
        reason="unknown_field",
        message=f"{name!r:.80} is no field of a usage event; put it under tags",
        key=span_id,
    )


def _shares(told: object, event: UsageEvent) -> tuple[Share, ...] | Problem:
    shares = by_tokens(shares_told(told), event.input_tokens, event.output_tokens)
    if isinstance(shares, str):
        return Problem("unreadable_shares", shares)
    divided = tuple(Share(**share) for share in shares)
    return shares_problem(divided, event) or divided


def event_id(scope: str, span_id: str, version: int) -> str:
    """The id of a call's event: its trace and span, and which version of it, after the first."""
    return f"span:{scope}/{span_id}" + (f"#{version}" if version > 1 else "")


def _quality(event: UsageEvent, fields: Mapping[str, Any]) -> UsageQuality:
    """What the checks found wrong holds; else what the format knows of where counts come from."""
    if event.usage_quality in _WORSE:
        return event.usage_quality
    return _QUALITIES.get(fields.get("usage_quality"), event.usage_quality)


def occurred_at(fields: Mapping[str, Any], first_said_at: datetime) -> datetime:
    """When the event of a call with these fields, which has one, occurred (UTC)."""
    told = fields.get("occurred_at")
    return first_said_at if told is None else msgspec.convert(told, datetime).astimezone(UTC)


def _short(*texts: str) -> str:
    """The first text that fits a name; else what stands for the last one."""
    for text in texts:
        if len(text) <= native.MAX_TEXT:
            return text
    return sha256(texts[-1].encode()).hexdigest()[:_SHORT]


def problem_of(report: CallReport, *, source: str, received_at: datetime) -> Rejection | None:
    """What is wrong with a report by itself, so that it is refused alone and spoils nothing that
    is known of its call: a field that no event has, a value that it cannot hold, a time to come."""
    place = f"trace {report.trace_id:.200}, span {report.span_id:.200}"
    named = {"trace_id": report.trace_id, "span_id": report.span_id}
    named |= {"parent_span_id": report.parent_span_id or "none"}
    named |= {f"ancestors[{n}]": each for n, each in enumerate(report.ancestors)}
    for name, text in named.items():
        problem = name_problem(name, text) if text else Problem("empty_field", f"{name} is empty")
        if len(text) > MAX_ID:
            problem = Problem("too_long", f"{name} is longer than {MAX_ID} characters")
        if problem is not None:
            return Rejection(place=place, reason=problem.reason, message=problem.message)
    if report.said_at > received_at + native.FUTURE:
        return Rejection(
            place=place,
            reason="future_time",
            message=f"the message is dated {report.said_at.isoformat()}, more than 24 hours after "
            f"its receipt at {received_at.isoformat()}; check the sender's clock and zone",
            key=report.span_id,
        )
    try:
        told = msgspec.convert(_without_absent(report.fields), _Told)
    except msgspec.ValidationError:
        return _refused(report, place, source, received_at)
    if _is_plain(told, received_at):
        return None
    return _refused(report, place, source, received_at)


def _without_absent(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removeprefix(SUPPOSED): value
        for name, value in fields.items()
        if value is not None and name not in _LATER
    }


def _is_plain(told: Any, received_at: datetime) -> bool:
    """Whether there is nothing to be looked at more closely."""
    at = told.occurred_at
    if at is not None and not native.EARLIEST <= at <= received_at + native.FUTURE:
        return False
    if told.units and units_problem(told.units) is not None:
        return False
    texts = [getattr(told, name) for name in _NAMES]
    texts += told.tags or ()
    return all(text is None or (text.isascii() and text.isprintable()) for text in texts)


def _refused(
    report: CallReport, place: str, source: str, received_at: datetime
) -> Rejection | None:
    """What the native event's own checks say of the fields, as if the rest were there."""
    fields = _without_absent(report.fields)
    unknown = sorted(fields.keys() - _ALL_WIRE.keys())
    if unknown:
        return _unknown_field(unknown[0], place, report.span_id)
    fields = {"provider": "unknown", "model": "unknown", "external_request_id": "unknown"} | fields
    if not any(name in fields for name in USAGE_FIELDS):
        fields["input_tokens"] = 0
    payload = _encode({_ALL_WIRE[name]: value for name, value in fields.items()})
    event = native.parse(payload, place=place, source=source, received_at=received_at)
    if isinstance(event, Rejection):
        return msgspec.structs.replace(event, key=report.span_id)
    return None


def _told_struct() -> type[msgspec.Struct]:
    """Every field that a report can tell, with the native event's limits, none of them required."""
    hints = get_type_hints(native.NativeEvent, include_extras=True)
    fields = [
        (name, hints[name] | None, None)
        for name in native.NativeEvent.__struct_fields__
        if name in _ALL_WIRE and name not in _LATER
    ]
    return msgspec.defstruct("Told", fields, forbid_unknown_fields=True, frozen=True, gc=False)


def _reported_struct() -> type[native.NativeEvent]:
    """The native event under its own names: what it is read as, without the wire's names."""
    hints = get_type_hints(native.NativeEvent, include_extras=True)
    fields = [
        (each.name, hints[each.name])
        if each.required
        else (each.name, hints[each.name], _default_of(each))
        for each in msgspec.structs.fields(native.NativeEvent)
    ]
    made = msgspec.defstruct(
        *("Reported", fields),
        bases=(UsageEvent,),
        forbid_unknown_fields=True,
        frozen=True,
        kw_only=True,
        gc=False,
    )
    return cast("type[native.NativeEvent]", made)


def _default_of(each: msgspec.structs.FieldInfo) -> Any:
    if each.default_factory is msgspec.NODEFAULT:
        return each.default
    return msgspec.field(default_factory=each.default_factory)


_LATER: Final = frozenset({"usage", "shares", *_OWN})
"""What can be read only beside the rest of the call: whose usage object it is, what shares divide;
and what is decided here."""
_Told: Final = _told_struct()
_Reported: Final = _reported_struct()
_NAMES: Final = tuple(
    name for name in _Told.__struct_fields__ if get_type_hints(_Told)[name] == str | None
)
