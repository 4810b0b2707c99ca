"""A WSGI application under granian's RSGI interface: each request in one of a few threads.

Of what is sent, what is small is read before a thread has to do with it, so that a slow sender
holds none; the rest is read by the thread as it comes. More requests than may wait for a thread
are refused at once. Where half of the room is taken, so is a sender (told by its key) that has
more of it than an equal share among those that are there and one more: so there is room left for
the others, however many connections one of them opens.
"""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, Final, Protocol

from config.senders_door import Application, Environ

THREADS: Final = 32
"""Requests at work in a process; each may hold a connection of the database."""
WAITING: Final = 256
"""Requests that may wait for a thread."""
READ_AHEAD: Final = 1 << 16
"""Bytes of a body that are read before it is a request's turn."""
PIECE_SECONDS: Final = 20.0
"""How long the next piece of a body is waited for: a thread waits, and a sender whose machine has
gone says nothing of it."""
BODY_SECONDS: Final = 300.0
"""How long a body is, however steadily its pieces come."""

Headers = list[tuple[str, str]]
logger = logging.getLogger(__name__)


class SentHeaders(Protocol):
    """A request's headers, by their names in small letters; of a name that came more than once
    `get` knows the first value and `keys` one."""

    def get(self, key: str, default: Any = None, /) -> Any: ...
    def __contains__(self, key: str, /) -> bool: ...
    def items(self) -> Iterable[tuple[str, str]]: ...
    def keys(self) -> list[str]: ...
    def values(self) -> list[str]: ...


class Scope(Protocol):
    """What granian says of a request. `path` is unquoted, `server` and `client` are `host:port`."""

    proto: str
    http_version: str
    server: str
    client: str
    scheme: str
    method: str
    path: str
    query_string: str
    authority: str | None

    @property
    def headers(self) -> SentHeaders: ...


class Stream(Protocol):
    def send_bytes(self, data: bytes, /) -> Awaitable[None]: ...


class Exchange(Protocol):
    """A request's body, and its answer, which may be given by any thread."""

    def __call__(self) -> Awaitable[bytes]: ...
    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def response_bytes(self, status: int, headers: Headers, body: bytes, /) -> None: ...
    def response_stream(self, status: int, headers: Headers, /) -> Stream: ...


Body = bytes | OSError
"""What was sent, or why it cannot be read."""
Refusing = Callable[[Scope, bool], tuple[int, Headers, bytes]]
"""The answer (status, headers and body) to a request that there is no room for; whether it is its
sender that has more than its share."""


class InThreads:
    """Answers requests by `application`; `refusing` words what is said where too many wait."""

    def __init__(
        self,
        application: Application,
        refusing: Refusing,
        *,
        threads: int = THREADS,
        waiting: int = WAITING,
    ) -> None:
        self._application = application
        self._refusing = refusing
        self._most = threads + waiting
        self._inside = 0
        self._of: Counter[str] = Counter()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="web")

    async def answer(self, scope: Scope, exchange: Exchange, body: Body | None = None) -> None:
        """Answer a request, of which `body` has been read if it is given."""
        sender = scope.headers.get("authorization") or scope.headers.get("x-api-key") or ""
        over_share = self._has_its_share(sender)
        if over_share or self._inside >= self._most:
            exchange.response_bytes(*self._refusing(scope, over_share))
            return
        self._inside += 1
        self._of[sender] += 1
        try:
            loop = asyncio.get_running_loop()
            environ = environ_of(scope)
            environ["wsgi.input"] = await _input(environ, exchange, loop, body)
            await loop.run_in_executor(self._pool, self._run, environ, exchange, loop)
        finally:
            self._inside -= 1
            self._of[sender] -= 1
            if not self._of[sender]:
                del self._of[sender]

    def _has_its_share(self, sender: str) -> bool:
        """Whether one more of this sender's would be too many; who brings no key (people, who have
        sessions) has no share."""
        if not sender or self._inside < self._most // 2:
            return False
        held = self._of[sender]
        return bool(held) and held >= self._most // (len(self._of) + 1)

    def close(self) -> None:
        """Begin no more of what waits."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, environ: Environ, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        said: list[Any] = []

        def start(status: str, headers: Headers, *_: object) -> None:
            said[:] = (int(status[:3]), headers)

        pieces: Any = self._application(environ, start)
        try:
            if getattr(pieces, "streaming", False):
                stream = exchange.response_stream(*said)
                for piece in pieces:
                    asyncio.run_coroutine_threadsafe(_send(stream, piece), loop).result()
            else:
                status, headers = said
                exchange.response_bytes(status, headers, b"".join(pieces))
        finally:
            if hasattr(pieces, "close"):
                pieces.close()


async def _send(stream: Stream, piece: bytes) -> None:
    await stream.send_bytes(piece)


def environ_of(scope: Scope) -> Environ:
    """The request as WSGI (PEP 3333) has it, without its body."""
    server, _, port = scope.server.rpartition(":")
    environ: Environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": server,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.input_terminated": True,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        if "_" in name:
            continue  # it would be taken for the header that is spelt with a dash
        key = _NAMES.get(name) or f"HTTP_{name.upper().replace('-', '_')}"
        if key in environ:
            value = f"{environ[key]}{'; ' if name == 'cookie' else ','}{value}"  # noqa: PLW2901
        environ[key] = value
    if scope.authority:
        environ.setdefault("HTTP_HOST", scope.authority)
    return environ


_NAMES: Final = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


async def _input(
    environ: Environ, exchange: Exchange, loop: asyncio.AbstractEventLoop, body: Body | None
) -> io.IOBase:
    chunked = "HTTP_TRANSFER_ENCODING" in environ
    length = environ.get("CONTENT_LENGTH", "0")
    if body is None and length == "0" and not chunked:
        body = b""
    elif body is None and not chunked and length.isdecimal() and int(length) <= READ_AHEAD:
        body = await whole_body(exchange)
    if isinstance(body, OSError):
        return _Unreadable(body)
    if body is not None:
        return io.BytesIO(body)
    ends_once = chunked and "HTTP_TRAILER" not in environ
    return io.BufferedReader(_Incoming(exchange, loop, ends_once=ends_once), READ_AHEAD)


async def whole_body(exchange: Exchange) -> Body:
    """All of a body that is small."""
    try:
        async with asyncio.timeout(PIECE_SECONDS):
            return await exchange()
    except TimeoutError as slow:
        return slow
    except RuntimeError:  # what granian raises where the sender has gone
        return OSError(_TOO_EARLY)


_TOO_EARLY: Final = "the body has ended too early"


class _Unreadable(io.RawIOBase):
    """A body that did not come."""

    def __init__(self, why: OSError) -> None:
        self._why = why

    def readable(self) -> bool:
        return True

    def readinto(self, _: Any, /) -> int:
        raise self._why


class _Incoming(io.RawIOBase):
    """A body as it comes in, read by a thread that is not the loop's. Reading raises `TimeoutError`
    where it comes too slowly, another `OSError` where it breaks off.

    `ends_once`: it is in chunks, and nothing follows them. Of these granian does not tell an end
    from a breach, but by one empty piece more than the one at every end.
    """

    def __init__(
        self, exchange: Exchange, loop: asyncio.AbstractEventLoop, *, ends_once: bool
    ) -> None:
        self._exchange = exchange
        self._pieces: AsyncIterator[bytes] | None = None
        self._loop = loop
        self._ends_once = ends_once
        self._until = monotonic() + BODY_SECONDS
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._rest:
            following = asyncio.run_coroutine_threadsafe(self._following(), self._loop)
            self._rest = memoryview(following.result())
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    async def _following(self) -> bytes:
        """The next piece that is not empty; nothing at the end."""
        if self._pieces is None:
            self._pieces = aiter(self._exchange)
        empty = 0
        try:
            async with asyncio.timeout(min(PIECE_SECONDS, self._until - monotonic())):
                while not (piece := await anext(self._pieces)):
                    empty += 1
        except StopAsyncIteration:
            if empty > 1 and self._ends_once:
                raise OSError(_TOO_EARLY) from None
            return b""
        except RuntimeError as gone:  # as in `whole_body`
            raise OSError(_TOO_EARLY) from gone
        return bytes(piece)
