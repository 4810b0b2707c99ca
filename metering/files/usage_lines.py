"""Files of lines, plain or gzipped, read in blocks: memory holds one block and one line."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Final, NamedTuple

from metering.domain.usage import Rejection
from metering.files.input_files import regular_size

MAX_LINE: Final = 1 << 20
"""Bytes of one line; a longer one is no event but a file without line ends."""
MAX_SKIPPED: Final = 10 << 20
"""How far the end of such a line is looked for; whatever goes on for longer is no file of lines."""
BLOCK: Final = 1 << 18
BOM: Final = b"\xef\xbb\xbf"

_GZIP: Final = b"\x1f\x8b"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_DAMAGED: Final = (EOFError, gzip.BadGzipFile, zlib.error)


class UnreadableText(ValueError):
    """The file as a whole is no UTF-8 text: nothing in it can be read."""


class Line(NamedTuple):
    """A line without its end, counted from 1, or why it could not be read."""

    number: int
    content: bytes | Rejection


class TextFile:
    """An open file of lines. `.gz` is recognised by content, a byte order mark is left out."""

    def __init__(self, path: Path) -> None:
        """Raises `UnreadableText`, `UnreadableInput`, or the `OSError` of opening it."""
        self.size = regular_size(path)
        self._raw = path.open("rb")
        self._stream: BufferedReader | gzip.GzipFile = self._raw
        try:
            if self._raw.read(2) == _GZIP:
                self._stream = gzip.GzipFile(fileobj=self._raw)
            elif self.size:
                _refuse_misnamed(path)
            self._raw.seek(0)
            self.head = self._look_ahead()
        except BaseException:
            self.close()
            raise

    def _look_ahead(self) -> bytes:
        """The first bytes, which stay to be read."""
        try:
            head: bytes = self._stream.peek(BLOCK)
        except _DAMAGED as error:
            raise UnreadableText(
                f"the file is no whole gzip file ({error}); transfer it again"
            ) from error
        if head.startswith(_UTF16):
            raise UnreadableText("the file is UTF-16; save it as UTF-8")
        if not head.strip():
            raise UnreadableText("the file is empty; there is nothing to import")
        return head.removeprefix(BOM).lstrip()

    def position(self) -> int:
        """Bytes of the file on disk that were read so far."""
        return self._raw.tell()

    def close(self) -> None:
        self._raw.close()

    def read(self, limit: int) -> bytes:
        """The whole content, or `UnreadableText` if it is longer than `limit` bytes."""
        try:
            content = self._stream.read(limit + 1)
        except _DAMAGED as error:
            raise UnreadableText(
                f"the file is no whole gzip file ({error}); transfer it again"
            ) from error
        if len(content) > limit:
            raise UnreadableText(
                f"the file is one JSON array of more than {limit >> 20} MiB; "
                "write one object a line instead (JSON Lines), which is read without holding it"
            )
        return content.removeprefix(BOM)

    def lines(self) -> Iterator[Line]:
        """The lines in order. Too long a line is a rejection in its place; a gzip that ends early
        or is damaged, and a line without any end, are a rejection at the end, after all lines
        before it."""
        number = 0
        rest = b""
        overlong, skipped = False, 0
        try:
            while block := self._stream.read1(BLOCK):
                pieces = (rest + block).split(b"\n")
                rest = pieces.pop()
                for piece in pieces:
                    number += 1
                    yield _line(number, piece, overlong=overlong)
                    overlong, skipped = False, 0
                if len(rest) > MAX_LINE:
                    skipped += len(rest)
                    rest, overlong = b"", True
                    if skipped > MAX_SKIPPED:
                        yield Line(number + 1, _endless(number + 1))
                        return
        except _DAMAGED as error:
            yield Line(number + 1, _cut_off(number + 1, error))
            return
        finally:
            self.close()
        if rest or overlong:
            yield _line(number + 1, rest, overlong=overlong)


def _refuse_misnamed(path: Path) -> None:
    if path.suffix.lower() == ".gz":
        raise UnreadableText(
            "the name ends in .gz, but the content is not gzip; transfer the file again, or name "
            "it for what it is"
        )


def _line(number: int, piece: bytes, *, overlong: bool) -> Line:
    if overlong or len(piece) > MAX_LINE:
        return Line(
            number,
            Rejection(
                place=f"line {number}",
                reason="line_too_long",
                message=f"the line is longer than {MAX_LINE >> 20} MiB; write one event a line",
            ),
        )
    if number == 1:
        piece = piece.removeprefix(BOM)
    return Line(number, piece)


def _endless(number: int) -> Rejection:
    return Rejection(
        place=f"line {number}",
        reason="no_line_end",
        message=f"the line has no end within {MAX_SKIPPED >> 20} MiB, so reading stops here; the "
        "lines before it were read. Is this a file of lines? Write one event a line",
    )


def _cut_off(number: int, error: Exception) -> Rejection:
    return Rejection(
        place=f"line {number}",
        reason="damaged_file",
        message=f"the gzip file is cut off or damaged here ({error}); the lines before it were "
        "read. Transfer it again and import it whole: what is known already counts once",
    )
