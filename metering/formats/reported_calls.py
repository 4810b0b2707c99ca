"""A call that was told in reports, as a usage event: through the native event's own checks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, get_args

import msgspec

from metering.domain.traces import NAMES_OF_USER, Call
from metering.domain.usage import Rejection, UsageEvent, UsageQuality
from metering.formats import native

_WIRE: Final = {name: wire for wire, name in native.FIELDS.items() if name not in NAMES_OF_USER}
_OWN: Final = frozenset({"source", "time_reported", "usage_quality", "event_id", "attempt"})
"""Fields of an event that are decided here, whatever was told of them."""
_QUALITIES: Final[dict[object, UsageQuality]] = {name: name for name in get_args(UsageQuality)}
_WORSE: Final = frozenset({"inconsistent", "missing"})
_SHORT: Final = 40
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


def event_of(
    call: Call, *, source: str, trace_id: str, span_id: str, version: int, first_said_at: datetime
) -> UsageEvent | Rejection:
    """The event that the call is, in its `version` (counted from 1). What names the user is left
    out: it is known by its keyed hash only.

    A call whose time nobody told is dated when it was first told of. A field that no event has is
    refused by its name.
    """
    told = {name: value for name, value in call.fields.items() if name not in _OWN}
    unknown = sorted(told.keys() - _WIRE.keys() - set(NAMES_OF_USER))
    place = f"trace {trace_id}, span {span_id}"
    if unknown:
        return Rejection(
            place=place,
            reason="unknown_field",
            message=f"{unknown[0]!r:.80} is no field of a usage event; put it under tags",
            key=span_id,
        )
    timed = told.get("occurred_at") is not None
    if not timed:
        told["occurred_at"] = first_said_at
    told.setdefault("external_request_id", _short(f"{trace_id}/{span_id}", span_id))
    told.setdefault("trace_id", _short(trace_id))
    if not call.has_usage:
        told["input_tokens"] = 0
    payload = _encode({_WIRE[name]: told[name] for name in told if name in _WIRE})
    event = native.parse(
        payload, place=place, source=source, received_at=_instant(told["occurred_at"])
    )
    if isinstance(event, Rejection):
        return msgspec.structs.replace(event, key=span_id)
    changes: dict[str, Any] = {
        "event_id": event_id(trace_id, span_id, version),
        "time_reported": timed,
        "usage_quality": _quality(event, call.fields),
    }
    if not call.has_usage:
        changes |= {"input_tokens": None, "usage_quality": "missing"}
    return msgspec.structs.replace(event, **changes)


def event_id(trace_id: str, span_id: str, version: int) -> str:
    """The id of a call's event: its trace and span, and which version of it, after the first."""
    return f"span:{trace_id}/{span_id}" + (f"#{version}" if version > 1 else "")


def _quality(event: UsageEvent, fields: Mapping[str, Any]) -> UsageQuality:
    """What the checks found wrong holds; else what the format knows of where counts come from."""
    if event.usage_quality in _WORSE:
        return event.usage_quality
    return _QUALITIES.get(fields.get("usage_quality"), event.usage_quality)


def _instant(told: Any) -> datetime:
    """The event's own time as the measure of its future: whether it lies too far ahead was asked
    when it was told."""
    if isinstance(told, datetime):
        return told
    try:
        return msgspec.convert(told, datetime)
    except msgspec.ValidationError:
        return native.EARLIEST


def _short(*texts: str) -> str:
    """The first text that fits a name; else what stands for the last one."""
    for text in texts:
        if len(text) <= native.MAX_TEXT:
            return text
    return sha256(texts[-1].encode()).hexdigest()[:_SHORT]
