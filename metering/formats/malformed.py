"""Payloads that cannot be decoded: which field, which value, and how to mend it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from metering.domain.usage import MAX_TOKENS, Rejection
from metering.formats.problems import PRIVATE

UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are no event."""

_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_PATH: Final = re.compile(r" - at `(?:key in )?(\$[^`]*)`")
_MEND: Final = {
    "unknown_field": "check the spelling, or put what is your own under tags",
    "missing_field": "externalRequestId, provider and model are required",
    "empty_field": "externalRequestId, provider and model cannot be empty",
    "too_long": "shorten it",
    "out_of_range": f"counts are whole numbers from 0 to {MAX_TOKENS}",
    "invalid_value": "use one of the values that the field's documentation lists",
    "time_without_zone": "write the zone, like 2026-10-03T12:00:00Z or +02:00 at the end",
    "invalid_time": "write it like 2026-10-03T12:00:00.123Z",
    "not_an_object": 'an event is one JSON object: {"externalRequestId": …}',
    "wrong_type": "send the JSON type that is expected",
}


def refuse(payload: bytes, error: Exception, *, place: str) -> Rejection:
    """The rejection for an error out of `UNDECODABLE`."""
    if isinstance(error, msgspec.ValidationError):
        return _misfit(payload, str(error), place)
    if isinstance(error, UnicodeDecodeError):
        reason, message = "invalid_utf8", "the text is not UTF-8; save or send it as UTF-8"
    elif isinstance(error, RecursionError):
        reason, message = "too_deep", "the JSON is nested too deeply; send flat values"
    else:
        said = str(error).removeprefix("JSON is malformed: ")
        reason = "malformed_json"
        message = f"this is no JSON ({said}); send one complete JSON object"
    return Rejection(place=place, reason=reason, message=message)


def _misfit(payload: bytes, said: str, place: str) -> Rejection:
    """JSON it is, but not of this shape. The error's own path is kept, the value is added."""
    reason = _reason(said)
    whole = _loose(payload)
    value = _value_at(whole, said)
    shown = "" if value is None else f" (it is {value!r:.80})"
    return Rejection(
        place=place,
        reason=reason,
        message=f"{said}{shown}; {_MEND[reason]}",
        key=_key(whole),
    )


def _reason(said: str) -> str:  # noqa: PLR0911 - one line a kind of error
    if said.startswith("Object contains unknown field"):
        return "unknown_field"
    if said.startswith("Object missing required field"):
        return "missing_field"
    if "of length >= 1" in said:
        return "empty_field"
    if "of length <=" in said:
        return "too_long"
    if "Integer value out of range" in said or "` >= " in said or "` <= " in said:
        return "out_of_range"
    if said.startswith("Invalid enum value"):
        return "invalid_value"
    if "with a timezone component" in said:
        return "time_without_zone"
    if said.startswith("Invalid RFC3339"):
        return "invalid_time"
    if said.startswith("Expected `object`") and _PATH.search(said) is None:
        return "not_an_object"
    return "wrong_type"


def _loose(payload: bytes) -> object:
    try:
        return msgspec.json.decode(payload)
    except UNDECODABLE:
        return None


def _value_at(whole: object, said: str) -> object:
    path = _PATH.search(said)
    if path is None or path[1].rpartition(".")[2] in PRIVATE:
        return None
    value = whole
    for name, index in _STEP.findall(path[1]):
        if name and isinstance(value, Mapping):
            value = value.get(name)
        elif index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        else:
            return None
    return None if isinstance(value, Mapping | list) else value


def _key(whole: object) -> str | None:
    if isinstance(whole, Mapping):
        for name in ("eventId", "externalRequestId"):
            if isinstance(whole.get(name), str) and whole[name]:
                return str(whole[name])[:200]
    return None
