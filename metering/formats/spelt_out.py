"""What a format has read of a call, spelt out as the native event that says the same.

The formats whose message is a whole call (LiteLLM's logs, metered events, a provider's own answers)
differ in where things stand, not in what can be true. So each gathers the fields of an event, and
the native event's own checks decide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

import msgspec

from metering.domain.usage import COUNTS, Rejection, UsageEvent
from metering.formats import native
from metering.formats.malformed import UNDECODABLE, refuse
from metering.formats.shares import by_tokens
from metering.providers.counts import shown

WIRE: Final[Mapping[str, str]] = {name: wire for wire, name in native.FIELDS.items()}
"""The fields of an event → the native event's names for them."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS: Final = 1_000_000
_MAX_SECONDS: Final = Decimal(10**11)
"""Far beyond any event, and still an instant: it is refused as `future_time`."""
_MAX_DIGITS: Final = 30
_WHOLE: Final = re.compile(r"\+?\d{1,30}(\.0+)?", re.ASCII)
_YEAR_END: Final = datetime(9999, 12, 31, tzinfo=UTC)

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode


class Unreadable(ValueError):
    """Why a payload is no usage: a stable reason, a message with the remedy, and the field."""

    def __init__(self, reason: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field


def object_of(payload: bytes, *, place: str) -> dict[str, Any] | Rejection:
    """The JSON object that the payload is, its numbers exact; nothing in it makes this raise."""
    try:
        sent = _decode(payload)
    except UNDECODABLE as error:
        return refuse(payload, error, place=place)
    except ArithmeticError:
        return Rejection(
            place=place,
            reason="out_of_range",
            message="a number is too large to be one; send counts as whole numbers",
        )
    if isinstance(sent, dict):
        return sent
    return Rejection(
        place=place,
        reason="not_an_object",
        message=f"one JSON object is expected, this is {_kind(sent)}",
    )


def spell_out(
    fields: Mapping[str, Any], *, place: str, source: str, received_at: datetime
) -> UsageEvent | Rejection:
    """The event of these fields: names of `UsageEvent`, JSON values, those that are `None` left
    out. `shares` are as `AttributeMap` reads them; weights become tokens here."""
    told = {name: value for name, value in fields.items() if value is not None}
    shares: Sequence[Mapping[str, Any]] = told.pop("shares", ())
    sent = {WIRE[name]: value for name, value in told.items()}
    event = _parse(sent, place, source, received_at)
    if not shares or isinstance(event, Rejection):
        return event
    divided = by_tokens(shares, event.input_tokens, event.output_tokens)
    if isinstance(divided, str):
        return Rejection(
            place=place,
            reason="unreadable_shares",
            message=f"shares: {divided}",
            key=event.event_id or event.external_request_id,
        )
    sent["shares"] = [
        {
            "tenantId": share["tenant_id"],
            "inputTokens": share["input_tokens"],
            "outputTokens": share["output_tokens"],
        }
        for share in divided
    ]
    return _parse(sent, place, source, received_at)


def _parse(
    sent: Mapping[str, Any], place: str, source: str, received_at: datetime
) -> UsageEvent | Rejection:
    try:
        payload = _encode(sent)
    except (UnicodeEncodeError, ValueError, TypeError, RecursionError) as error:
        return Rejection(
            place=place,
            reason="invalid_utf8",
            message=f"a text cannot be written as UTF-8: {error}",
        )
    return native.parse(payload, place=place, source=source, received_at=received_at)


def spell_out_missing(
    fields: Mapping[str, Any], *, place: str, source: str, received_at: datetime
) -> UsageEvent | Rejection:
    """The event of a call that took place and whose usage nobody told: it is kept, unpriced."""
    untold = {**fields, **dict.fromkeys(COUNTS), "usage": None, "input_tokens": 0}
    event = spell_out(untold, place=place, source=source, received_at=received_at)
    if isinstance(event, Rejection):
        return event
    return msgspec.structs.replace(event, input_tokens=None, usage_quality="missing")


def refused(error: Unreadable, *, place: str, key: str | None) -> Rejection:
    """The rejection of a payload; its place ends with the field, where one is at fault."""
    return Rejection(
        place=f"{place}, {error.field}" if error.field else place,
        reason=error.reason,
        message=error.message,
        key=key[: native.MAX_TEXT] if key else None,
    )


def instant_of_seconds(seconds: int | Decimal) -> datetime | None:
    """The instant so many seconds after 1970, exact to the microsecond (further digits are cut);
    `None` for what is no instant. One too far ahead to be written is put at the end of time, and
    refused there as lying in the future."""
    exact = Decimal(seconds)
    if not exact.is_finite() or exact < 0:
        return None
    if exact > _MAX_SECONDS:
        return _YEAR_END
    return _EPOCH + timedelta(microseconds=int(exact * _MICROSECONDS))


def text_of(value: object) -> str | None:
    """The value if it is a text that says something, without blanks around it."""
    if isinstance(value, str):
        return value.strip() or None
    return None


def whole_of(value: object, name: str) -> int:
    """A count that is written as a number or as a text of digits. Raises `Unreadable`."""
    found = figure_of(value)
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    if (
        isinstance(found, Decimal)
        and found.is_finite()
        and found.adjusted() <= _MAX_DIGITS
        and found == found.to_integral_value()
    ):
        return int(found)
    raise Unreadable("wrong_type", f"{name} is {shown(value)}; a count is a whole number", name)


def figure_of(value: object) -> object:
    """A whole number that is written as text is a number; all else is as it is."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    return value


def name_of(*parts: str) -> str:
    """One name of several, as they are where they fit a name, else what stands for them."""
    name = " ".join(parts)
    if len(name) <= native.MAX_TEXT:
        return name
    return f"sha256:{sha256(name.encode()).hexdigest()}"


def object_in(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object under that name, empty where there is none."""
    value = holder.get(name)
    return value if isinstance(value, Mapping) else {}


def _kind(value: object) -> str:
    if isinstance(value, list):
        return "an array"
    if value is None:
        return "null"
    return "a text" if isinstance(value, str) else "a number or a truth value"
