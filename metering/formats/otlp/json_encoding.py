"""Spans from OTLP's JSON encoding: ids in hex, 64-bit numbers as decimal text (plain numbers are
taken too), enumerations as numbers; fields that are not known are passed over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Final

import msgspec

from metering.formats.malformed import UNDECODABLE
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

_ERROR: Final = 2
_LATEST: Final = 1 << 63
"""Nanoseconds since 1970 are unsigned and less than this until the year 2262."""
_MAX_DIGITS: Final = 20
"""Of a 64-bit number; a longer text is none, and is not turned into one."""


class KeyValue(msgspec.Struct, gc=False):
    """An attribute. Its value stays undecoded until somebody names it."""

    key: str
    value: msgspec.Raw = msgspec.Raw(b"null")


class Attributed(msgspec.Struct):
    """A resource: the program that made what is sent."""

    attributes: list[KeyValue] | None = None


class _Scope(msgspec.Struct):
    name: str | None = None
    version: str | None = None


class _Status(msgspec.Struct):
    code: int | str | None = None


class _Event(msgspec.Struct):
    name: str | None = None
    attributes: list[KeyValue] | None = None


class _Span(msgspec.Struct, rename="camel"):
    name: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    start_time_unix_nano: int | str | None = None
    end_time_unix_nano: int | str | None = None
    status: _Status | None = None
    attributes: list[KeyValue] | None = None
    events: list[_Event] | None = None


class _OfScope(msgspec.Struct, rename="camel"):
    scope: _Scope | None = None
    spans: list[_Span] | None = None


class _OfResource(msgspec.Struct, rename="camel"):
    resource: Attributed | None = None
    scope_spans: list[_OfScope] | None = None


class _Request(msgspec.Struct, rename="camel"):
    resource_spans: list[_OfResource] | None = None


_decode: Final = msgspec.json.Decoder(_Request).decode
_decode_value: Final = msgspec.json.Decoder(float_hook=Decimal).decode


def decode(body: bytes, vocabulary: Vocabulary) -> Export:
    """Raises `UndecodableExport`."""
    try:
        refuse_other_text(body)
        request = _decode(body)
    except UNDECODABLE as error:
        raise undecodable(error, "resourceSpans") from error
    size = sum(
        len(scope.spans or ())
        for each in request.resource_spans or ()
        for scope in each.scope_spans or ()
    )
    return Export(size, partial(_spans, request, vocabulary))


def refuse_other_text(body: bytes) -> None:
    """Raises `UnicodeDecodeError` for what is not UTF-8: values are decoded when somebody names
    them, and one that cannot be would be taken for one that was not told."""
    if not body.isascii():
        body.decode()


def undecodable(error: Exception, root: str) -> UndecodableExport:
    """Why JSON is no export request, without any of its values."""
    if isinstance(error, RecursionError):
        return UndecodableExport("the JSON is nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return UndecodableExport("the body is not UTF-8; send it as UTF-8")
    return UndecodableExport(
        f"the body is no OTLP/JSON ({error}); it is one object with {root}, ids in hex"
    )


def _spans(request: _Request, vocabulary: Vocabulary) -> Iterator[Span]:
    for i, of_resource in enumerate(request.resource_spans or ()):
        said = of_resource.resource.attributes if of_resource.resource else None
        resource = pick(said, vocabulary).own
        for j, of_scope in enumerate(of_resource.scope_spans or ()):
            named = of_scope.scope or _Scope()
            scope = Scope(named.name or "", named.version or "")
            for k, span in enumerate(of_scope.spans or ()):
                picked = pick(span.attributes, vocabulary)
                yield Span(
                    (i, j, k),
                    span.name or "",
                    hex_id(span.trace_id, NO_TRACE),
                    hex_id(span.span_id, NO_SPAN),
                    hex_id(span.parent_span_id, NO_SPAN),
                    nanoseconds(span.start_time_unix_nano),
                    nanoseconds(span.end_time_unix_nano),
                    span.status is not None and span.status.code == _ERROR,
                    scope,
                    resource,
                    picked.facts,
                    picked.own,
                    partial(_texts, span),
                )


def hex_id(text: str | None, none: str) -> str:
    """The id in lower case; empty for none and for what is no id of that length in hex."""
    if not text or len(text) != len(none) or text == none:
        return ""
    try:
        return bytes.fromhex(text).hex() if text.isalnum() else ""
    except ValueError:
        return ""


def nanoseconds(value: int | str | None) -> int:
    """An instant; 0 for none and for what cannot be one."""
    if isinstance(value, str):
        value = int(value) if value.isdecimal() and len(value) <= _MAX_DIGITS else 0
    return value if value is not None and 0 < value < _LATEST else 0


def pick(attributes: Sequence[KeyValue] | None, vocabulary: Vocabulary) -> Picker:
    """What a list of attributes tells."""
    picker = Picker()
    for attribute in attributes or ():
        meanings = vocabulary.get(attribute.key) or meanings_of_tag(attribute.key)
        if meanings:
            picker.take(meanings, value_of(attribute.value))
    return picker


def value_of(raw: msgspec.Raw) -> object:
    """An `AnyValue` as a plain one; `None` for bytes and for what is none."""
    try:
        return _plain(_decode_value(raw))
    except (*UNDECODABLE, ArithmeticError):
        return None


def _plain(value: object) -> object:
    if not isinstance(value, Mapping):
        return None
    for kind, convert in _CONVERT.items():
        if kind in value:
            return convert(value[kind])
    return None


def _integer(value: object) -> object:
    """What is no integer stays as it was written, so that a count that cannot be is doubted rather
    than taken for one that nobody told."""
    if isinstance(value, str):
        digits = value.removeprefix("-")
        if len(digits) > _MAX_DIGITS or not digits.isdecimal():
            return value
        return int(value)
    return value if isinstance(value, int | Decimal) else None


def _number(value: object) -> object:
    if isinstance(value, str):
        try:
            value = Decimal(value) if len(value) <= 2 * _MAX_DIGITS else None
        except InvalidOperation:
            return None
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    return value if isinstance(value, int) else None


def _list(value: object) -> object:
    values = value.get("values") if isinstance(value, Mapping) else None
    return [_plain(each) for each in values] if isinstance(values, list) else None


def _mapping(value: object) -> object:
    pairs = value.get("values") if isinstance(value, Mapping) else None
    if not isinstance(pairs, list):
        return None
    return {
        pair["key"]: _plain(pair.get("value"))
        for pair in pairs
        if isinstance(pair, Mapping) and isinstance(pair.get("key"), str)
    }


_CONVERT: Final[Mapping[str, Callable[[object], object]]] = {
    "stringValue": lambda value: value if isinstance(value, str) else None,
    "intValue": _integer,
    "boolValue": lambda value: value if isinstance(value, bool) else None,
    "doubleValue": _number,
    "arrayValue": _list,
    "kvlistValue": _mapping,
}


def _texts(span: _Span) -> Iterator[tuple[str, object]]:
    for attribute in span.attributes or ():
        yield attribute.key, value_of(attribute.value)
    for event in span.events or ():
        for attribute in event.attributes or ():
            yield f"{event.name or ''}:{attribute.key}", value_of(attribute.value)
