"""CloudEvents 1.0 in JSON: what stands around the data, and what makes two of them the same.

An event is known by its source and id together. Extensions have names of lower-case letters and
digits (`tenantid`, `traceparent`); `traceparent` is W3C's. In HTTP's binary mode the context stands
in headers (`ce-id`, `ce-source`, …) and the body is the data.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import msgspec

from metering.formats.malformed import UNDECODABLE
from metering.formats.spelt_out import Unreadable, name_of

_OWN: Final = frozenset(
    {
        *("specversion", "id", "source", "type", "subject", "time", "datacontenttype"),
        *("dataschema", "data", "data_base64"),
    }
)
_VERSION: Final = "1.0"
_JSON_TYPE: Final = re.compile(r"application/([a-z0-9.+-]+\+)?json\s*(;.*)?", re.IGNORECASE)
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_raw: Final = msgspec.json.Decoder(msgspec.Raw).decode
_encode: Final = msgspec.json.Encoder().encode


class CloudEvent(NamedTuple):
    """One event's context and data. `time` is `None` where none is told; `extensions` are all
    other members, with the trace's id under `trace_id`."""

    id: str
    source: str
    type: str
    subject: str | None
    time: datetime | None
    data: Mapping[str, Any]
    extensions: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """Source and id, which are one event's name: as they are where they fit a name, else what
        stands for them."""
        return name_of(self.source, self.id)


def cloud_event(sent: Mapping[str, Any]) -> CloudEvent:
    """Read a decoded event in structured mode. Raises `Unreadable`, naming the member."""
    version = sent.get("specversion")
    if version != _VERSION:
        raise Unreadable(
            "specversion",
            f"specversion is {version!r:.40}; CloudEvents are read in version {_VERSION}",
            "specversion",
        )
    return CloudEvent(
        id=_required(sent, "id"),
        source=_required(sent, "source"),
        type=_required(sent, "type"),
        subject=_text(sent, "subject"),
        time=_time(sent),
        data=_data(sent),
        extensions=_extensions(sent),
    )


def structured(context: Mapping[str, str], kind: str, body: bytes) -> bytes:
    """An event that came in binary mode, as it is written in structured mode. `context` are the
    headers without their `ce-`, percent-encoded as they came; `kind` is the content type, that of
    the data. Raises `Unreadable`."""
    sent: dict[str, Any] = {}
    for name, value in context.items():
        try:
            sent[name] = unquote(value, errors="strict")
        except UnicodeDecodeError:
            raise Unreadable(
                "invalid_utf8", f"ce-{name} is not UTF-8, percent-encoded", f"ce-{name}"
            ) from None
    if kind:
        sent["datacontenttype"] = kind
    if body.strip():
        if kind and not _JSON_TYPE.fullmatch(kind):
            sent["data_base64"] = ""  # of a type that is refused by its name
        else:
            sent["data"] = _of_body(body)
    return _encode(sent)


def _of_body(body: bytes) -> msgspec.Raw:
    try:
        return _raw(body)
    except UNDECODABLE as error:
        raise Unreadable("malformed_json", f"the data is no JSON: {error!s:.200}", "data") from None


def _required(sent: Mapping[str, Any], name: str) -> str:
    value = _text(sent, name)
    if value is None:
        raise Unreadable("missing_field", f"{name} is required, and no empty text", name)
    return value


def _text(sent: Mapping[str, Any], name: str) -> str | None:
    value = sent.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Unreadable("wrong_type", f"{name} is no text", name)
    return value


def _time(sent: Mapping[str, Any]) -> datetime | None:
    said = _text(sent, "time")
    if said is None:
        return None
    try:
        return msgspec.convert(said, datetime)
    except msgspec.ValidationError:
        raise Unreadable(
            "invalid_time", f"time is {said!r:.60}; write it like 2026-10-03T12:00:00.123Z", "time"
        ) from None


def _data(sent: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = _text(sent, "datacontenttype")
    if kind is not None and not _JSON_TYPE.fullmatch(kind):
        raise Unreadable(
            "datacontenttype",
            f"datacontenttype is {kind!r:.60}; data is read as application/json",
            "datacontenttype",
        )
    data = sent.get("data")
    packed = sent.get("data_base64")
    if data is None and packed is not None:
        data = _unpacked(packed)
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise Unreadable("wrong_type", "data is no JSON object", "data")
    return data


def _unpacked(packed: object) -> object:
    try:
        return _decode(b64decode(str(packed), validate=True))
    except (NoBase64, *UNDECODABLE, ArithmeticError, ValueError):
        raise Unreadable("wrong_type", "data_base64 holds no JSON", "data_base64") from None


def _extensions(sent: Mapping[str, Any]) -> dict[str, Any]:
    extensions = {name: value for name, value in sent.items() if name not in _OWN}
    traced = _TRACEPARENT.fullmatch(str(extensions.get("traceparent", "")))
    if traced is not None:
        extensions["trace_id"] = traced[1]
    return extensions
