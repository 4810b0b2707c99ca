"""A body of several events → the bytes of each, and where it stands.

A body is one JSON object, one JSON array, or one object a line (NDJSON). Where the body as a
whole cannot be taken apart, nothing of it is taken; what is wrong with one event of it is that
event's own matter, found when it is parsed.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

import msgspec

from metering.formats.malformed import UNDECODABLE

Layout = Literal["json", "lines"]

BOM: Final = b"\xef\xbb\xbf"
_BYTES_A_FIELD: Final = 6
"""No event has shorter fields on average. Taking an array of bare numbers apart would cost forty
times its size."""
_LINES_AN_EVENT: Final = 2
_AT: Final = re.compile(r"\s*\(byte (\d+)\)")
_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_whole: Final = msgspec.json.Decoder(msgspec.Raw).decode


class UnreadableBatch(ValueError):
    """The body is no JSON; the message names the line and the byte. `too_many`: it is, but of
    more events than are allowed."""

    def __init__(
        self,
        message: str,
        *,
        line: int | None = None,
        byte: int | None = None,
        too_many: bool = False,
    ) -> None:
        super().__init__(message)
        self.line = line
        self.byte = byte
        self.too_many = too_many


class Placed(NamedTuple):
    """One event as it was sent, and where it stands in the body."""

    place: str
    content: bytes | msgspec.Raw


def take_apart(body: bytes, *, layout: Layout | None = None, limit: int) -> list[Placed]:
    """The events of the body, at most `limit`, in the order of sending.

    `layout` is what the sender says; `None` goes by the look: a body that begins with one whole
    object and goes on is lines. Raises `UnreadableBatch`.
    """
    body = body.removeprefix(BOM)
    first = body[:64].lstrip()[:1] or body.lstrip()[:1]
    if not first:
        raise UnreadableBatch("the body is empty; send one event, an array, or one event a line")
    if layout == "lines":
        return _lines(body, limit)
    if first == b"[":
        return _elements(body, limit)
    if first != b"{":
        raise UnreadableBatch(
            "the body is neither an object nor an array; send one event, an array, or one event"
            " a line",
            line=1,
            byte=0,
        )
    try:
        return [Placed("index 0", _whole(body))]
    except UNDECODABLE as error:
        if layout is None and "trailing characters" in str(error):
            return _lines(body, limit)
        raise _unreadable(body, error) from error


def _elements(body: bytes, limit: int) -> list[Placed]:
    if body.count(b",") > len(body) // _BYTES_A_FIELD + limit:
        raise UnreadableBatch("the body is an array of something smaller than events")
    try:
        elements = _array(body)
    except UNDECODABLE as error:
        raise _unreadable(body, error) from error
    if len(elements) > limit:
        raise _too_many(f"{len(elements)} events", limit)
    return [Placed(f"index {index}", element) for index, element in enumerate(elements)]


def _lines(body: bytes, limit: int) -> list[Placed]:
    if body.rstrip().count(b"\n") > limit * _LINES_AN_EVENT:
        raise _too_many(f"more than {limit * _LINES_AN_EVENT} lines", limit)
    events = [
        Placed(f"line {number}", line)
        for number, line in enumerate(body.split(b"\n"), 1)
        if line and not line.isspace()
    ]
    if len(events) > limit:
        raise _too_many(f"{len(events)} events", limit)
    return events


def _too_many(found: str, limit: int) -> UnreadableBatch:
    return UnreadableBatch(
        f"the body holds {found}; {limit} events are the limit: send several batches",
        too_many=True,
    )


def _unreadable(body: bytes, error: Exception) -> UnreadableBatch:
    if isinstance(error, RecursionError):
        return UnreadableBatch("the JSON is nested too deeply; send flat values")
    if isinstance(error, UnicodeDecodeError):
        return UnreadableBatch("the body is not UTF-8; send it as UTF-8")
    said = str(error).removeprefix("JSON is malformed: ")
    found = _AT.search(said)
    if found is None:
        # the input ended early
        return UnreadableBatch(
            f"the body is no whole JSON: {said}, at its end (byte {len(body)})",
            line=body.count(b"\n") + 1,
            byte=len(body),
        )
    byte = int(found[1])
    line = body.count(b"\n", 0, byte) + 1
    return UnreadableBatch(
        f"the body is no JSON: {_AT.sub('', said)} in line {line}, byte {byte}",
        line=line,
        byte=byte,
    )
