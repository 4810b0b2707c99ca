"""A provider's stream, read to its end or to where it was cut off."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

_DECODE: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_MAX_TEXT: Final = 2_000_000
_NOTHING: Final[Mapping[str, object]] = {}


class StreamedAnswer(NamedTuple):
    """`usage` is in the provider's dialect, empty where the stream brought none; `ended` says that
    the stream came to its end, so that no count is a placeholder.

    `texts` are what was answered (each choice apart, tools' names and arguments included), as far
    as it came: to estimate tokens from where none were reported, and for nothing else. They are
    the customer's, so nobody stores or logs them.
    """

    model: str | None
    usage: Mapping[str, object]
    ended: bool
    service_tier: str | None = None
    response_id: str | None = None
    texts: tuple[str, ...] = ()


class Texts:
    """What was answered, gathered by choice. Beyond two million characters nothing more is kept:
    no model answers so much."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: dict[str, list[str]] = {}
        self._size = 0

    def add(self, choice: object, said: object) -> None:
        """Add what a chunk says, if it is text. `choice` is what the stream itself calls it, which
        may be anything that JSON can say."""
        if isinstance(said, str) and said and self._size < _MAX_TEXT:
            self._size += len(said)
            self._parts.setdefault(str(choice), []).append(said)

    def joined(self) -> tuple[str, ...]:
        """Each choice's text, in the order in which they began."""
        return tuple("".join(parts) for parts in self._parts.values())


def server_sent_events(body: str) -> Iterator[Mapping[str, object]]:
    """The JSON objects of a body of server-sent events, in order; of a JSON array of chunks
    (Gemini without `alt=sse`), its objects.

    An event of several `data:` lines is one object. What is none (`[DONE]`, a comment, the last
    event of a stream that was cut off) is left out.
    """
    if body.lstrip()[:1] == "[":
        yield from _array(body)
        return
    lines: list[str] = []
    for line in [*body.splitlines(), ""]:
        if line.startswith("data:"):
            lines.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and lines:
            event = _object("\n".join(lines))
            lines = []
            if event is not None:
                yield event


def _array(body: str) -> Iterator[Mapping[str, object]]:
    """The objects of an array, as many as are whole."""
    decoder, at = json.JSONDecoder(parse_float=Decimal), body.index("[") + 1
    while True:
        while at < len(body) and body[at] in " \t\r\n,":
            at += 1
        try:
            event, at = decoder.raw_decode(body, at)
        except (ValueError, RecursionError):
            return
        if isinstance(event, dict):
            yield event


def _object(text: str) -> Mapping[str, object] | None:
    try:
        event = _DECODE(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def mapping(value: object) -> Mapping[str, object]:
    """The object, or an empty one: a stream is read as far as it can be understood."""
    return value if isinstance(value, Mapping) else _NOTHING


def mappings(value: object) -> Iterable[Mapping[str, object]]:
    """The objects of a list; none where there is no list."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else ()


def said(usage: Mapping[str, object]) -> dict[str, object]:
    """What a usage object says, without what it leaves open."""
    return {key: value for key, value in usage.items() if value is not None}
