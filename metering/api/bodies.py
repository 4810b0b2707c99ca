"""The body of a request: read whole, unpacked, and never more of it than is allowed.

Works behind any way of sending: with a length, in chunks, plain, packed by gzip or zstd. The limit
holds for what is sent and for what it unpacks to, and nothing beyond it is ever in memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol, cast

import zstandard
from django.http import HttpRequest

MAX_BODY: Final = 10_000_000
"""Bytes, as sent and as unpacked."""

_CHUNK: Final = 1 << 16
_MAX_MEMBERS: Final = 1_000
"""A gzip file may consist of several; more than this is made to keep us busy."""
_GZIP: Final = zlib.MAX_WBITS | 16
_ZSTD_STEP: Final = 256
_ZSTD_WINDOW: Final = 1 << 23
"""Bytes. What RFC 8878 asks every decoder to hold; more is asked for by nobody who packs a body."""


class BodyRefused(ValueError):
    """The body cannot be taken: an HTTP status, a stable type, and what to do about it."""

    def __init__(self, status: int, type: str, detail: str) -> None:  # noqa: A002 - as in problems
        super().__init__(detail)
        self.status = status
        self.type = type
        self.detail = detail


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def read_body(request: HttpRequest, *, limit: int = MAX_BODY) -> bytes:
    """The body, unpacked. Raises `BodyRefused`."""
    unpacked = _packing(request)
    sent = _read(request, limit)
    return sent if unpacked is None else unpacked(sent, limit)


def _packing(request: HttpRequest) -> Callable[[bytes, int], bytes] | None:
    named = [
        part.strip().lower() for part in request.META.get("HTTP_CONTENT_ENCODING", "").split(",")
    ]
    encodings = [name for name in named if name not in ("", "identity")]
    if not encodings:
        return None
    if encodings in (["gzip"], ["x-gzip"]):
        return unpack
    if encodings == ["zstd"]:
        return unpack_zstd
    raise BodyRefused(
        415,
        "unsupported-encoding",
        f"Content-Encoding {', '.join(encodings)!r:.80} is not understood; send the body plain,"
        " or packed once by gzip or zstd",
    )


def _read(request: HttpRequest, limit: int) -> bytes:
    chunked = bool(request.META.get("HTTP_TRANSFER_ENCODING"))
    declared = int(request.META.get("CONTENT_LENGTH") or 0) if not chunked else None
    if declared is not None and declared > limit:
        raise _too_large(f"the body has {declared} bytes", limit)
    # Django takes a body without a declared length for none; the server's own stream has an end.
    ends = chunked and request.META.get("wsgi.input_terminated")
    stream = cast("_Readable", request.META["wsgi.input"] if ends else request)
    pieces = []
    size = 0
    try:
        for piece in _pieces(stream, limit):
            size += len(piece)
            if size > limit:
                raise _too_large("the body is longer", limit)
            pieces.append(piece)
    except OSError as error:
        # (Django wraps what its stream raises.)
        if isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError):
            raise BodyRefused(
                408, "slow-body", "the body did not come in good time; send it again"
            ) from error
        raise BodyRefused(
            400, "incomplete-body", "the body broke off before its end; send it again"
        ) from error
    if declared is not None and size < declared:
        raise BodyRefused(
            400, "incomplete-body", f"the body ends after {size} of {declared} bytes; send it again"
        )
    return b"".join(pieces)


def _pieces(stream: _Readable, limit: int) -> Iterator[bytes]:
    while piece := stream.read(limit + 1):
        yield piece


def unpack(packed: bytes, limit: int) -> bytes:
    """Unpack gzip, up to the limit of what comes out. Raises `BodyRefused`."""
    view = memoryview(packed)
    out: list[bytes] = []
    size = position = members = 0
    while position < len(view) or not members:
        members += 1
        if members > _MAX_MEMBERS:
            raise _malformed(f"more than {_MAX_MEMBERS} members in one body")
        unpacker = zlib.decompressobj(_GZIP)
        while not unpacker.eof:
            chunk = view[position : position + _CHUNK]
            if not chunk:
                raise _malformed("it ends in the middle")
            try:
                piece = unpacker.decompress(chunk, limit + 1 - size)
            except zlib.error as error:
                raise _malformed(str(error)) from error
            size += len(piece)
            if size > limit:
                raise _too_large("the body unpacks to more", limit)
            out.append(piece)
            position += len(chunk) - len(unpacker.unused_data)
    return b"".join(out)


def unpack_zstd(packed: bytes, limit: int) -> bytes:
    """Unpack zstd, up to the limit of what comes out. Raises `BodyRefused`.

    Four bytes can stand for 128 kB, and nothing bounds what one step puts out but what it takes
    in, so steps are short.
    """
    view = memoryview(packed)
    out: list[bytes] = []
    size = position = frames = 0
    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    while position < len(view) or not frames:
        frames += 1
        if frames > _MAX_MEMBERS:
            raise _malformed(f"more than {_MAX_MEMBERS} frames in one body", "zstd")
        frame = unpacker.decompressobj()
        while not frame.eof:
            step = view[position : position + _ZSTD_STEP]
            if not step:
                raise _malformed("it ends in the middle", "zstd")
            try:
                piece = frame.decompress(step)
            except zstandard.ZstdError as error:
                raise _malformed(str(error), "zstd") from error
            size += len(piece)
            if size > limit:
                raise _too_large("the body unpacks to more", limit)
            out.append(piece)
            position += len(step) - len(frame.unused_data)
    return b"".join(out)


def _malformed(said: str, packing: str = "gzip") -> BodyRefused:
    return BodyRefused(
        400,
        f"malformed-{packing}",
        f"the body is no whole {packing}: {said}; nothing was taken, send it again",
    )


def _too_large(said: str, limit: int) -> BodyRefused:
    return BodyRefused(
        413,
        "body-too-large",
        f"{said}; {limit} bytes are the limit, as sent and as unpacked: send several batches",
    )
