"""OpenTelemetry's protobuf messages in a file, as the collector's file exporter writes them: each
after its length in four bytes, the highest first. A file that begins otherwise is one message."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Final, NamedTuple, cast

from metering.domain.usage import Rejection
from metering.files.input_files import regular_size

MAX_MESSAGE: Final = 64 << 20
"""Bytes of one message: spans carry prompts."""

_GZIP: Final = b"\x1f\x8b"
_LENGTH: Final = 4
_DAMAGED: Final = (EOFError, gzip.BadGzipFile, zlib.error)
_TEXT: Final = (b"{", b"[")
_IN_NO_TEXT: Final = frozenset(range(9))
"""Control characters. A message may begin with what looks like a line's end and a brace."""


class Frames(NamedTuple):
    """The messages of a file and where each stands; `size` and `position()` are bytes on disk."""

    messages: Iterator[tuple[str, bytes | Rejection]]
    size: int
    position: Callable[[], int]


def open_frames(path: Path) -> Frames | None:
    """The file's messages; `None` if it is a file of text. Raises `UnreadableInput` or the
    `OSError` of opening it."""
    size = regular_size(path)
    raw = path.open("rb")
    packed = raw.peek(2)[:2] == _GZIP
    stream = cast("BufferedReader", gzip.GzipFile(fileobj=raw)) if packed else raw
    try:
        head = stream.peek(64)[:64]
    except _DAMAGED:
        head = b""  # the text's own reader says what is wrong
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(_TEXT)
    if not head or (text and not any(byte in _IN_NO_TEXT for byte in head)):
        raw.close()
        return None
    return Frames(_frames(stream, raw), size, raw.tell)


def _frames(stream: BufferedReader, raw: BufferedReader) -> Iterator[tuple[str, bytes | Rejection]]:
    number = 0
    try:
        while head := stream.read(_LENGTH):
            number += 1
            place = f"message {number}"
            length = int.from_bytes(head, "big")
            if number == 1 and length > MAX_MESSAGE:
                whole = head + stream.read(MAX_MESSAGE)
                yield place, whole if len(whole) <= MAX_MESSAGE else _too_long(place)
                return
            if length > MAX_MESSAGE:
                yield place, _too_long(place)
                return
            content = stream.read(length)
            if len(head) < _LENGTH or len(content) < length:
                yield place, _damaged(place, "it ends before its length")
                return
            yield place, content
    except _DAMAGED as error:
        place = f"message {number + 1}"
        yield place, _damaged(place, str(error))
    finally:
        stream.close()
        raw.close()


def _too_long(place: str) -> Rejection:
    return Rejection(
        place=place,
        reason="message_too_long",
        message=f"it is longer than {MAX_MESSAGE >> 20} MiB, so reading stops here",
    )


def _damaged(place: str, said: str) -> Rejection:
    return Rejection(
        place=place,
        reason="damaged_file",
        message=f"the file is cut off or damaged here ({said}); what comes before it was read."
        " Import it again once it is whole: what is known already counts once",
    )
