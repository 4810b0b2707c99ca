"""Small posts of usage, answered by the server's event loop: no thread waits for a commit.

A thread for each request that waits costs more than the request, once they contend for the
interpreter. Here a post is read and parsed, handed to the process's committer, and answered when
its group has been committed. Only what is in order is answered here: whatever is not (another
content type or encoding, a key that this process has not met, a host or a scheme that is refused,
a body that cannot be read) goes the usual way, which refuses it in its own words, and so does what
is large.
"""

from __future__ import annotations

import io
import logging
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from time import monotonic
from typing import Final, NamedTuple, Protocol, cast

from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.middleware.security import SecurityMiddleware

from config.wsgi_in_threads import Exchange, Headers, Scope
from metering.api import small_opsmeter, small_usage
from metering.api.problems import fault
from metering.group_commit import PATIENCE_SECONDS, Overloaded, Unanswered
from metering.outcomes import Outcome
from metering.small_intake import Sent, hand_in


class Post(Protocol):
    """A post that is in order: its events with whose key they came, and how it is answered."""

    @property
    def sent(self) -> Sent: ...
    def answer(self, outcomes: Sequence[Outcome], /) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        ...


class Dialect(Protocol):
    """How an endpoint's small posts are read and answered."""

    def read(self, secret: str, kind: str, query: str, body: bytes, now: datetime) -> Post | None:
        """The post sent with this key, of this content type; `None` unless all is in order."""
        ...

    def refusal(self, error: Exception) -> HttpResponse | None:
        """How it is said that nothing was taken in; `None` for what nobody foresaw."""
        ...


DIALECTS: Final[Mapping[str, Dialect]] = {
    "/api/v1/usage": small_usage,
    "/v1/ingest/llm-request": small_opsmeter,
}
"""By the path that is posted to. Every answer but a refusal is `application/json`."""
MOST_BYTES: Final = 1 << 15
"""Of a body that the loop parses itself: a few milliseconds, in which it does nothing else."""
_LOOK_SECONDS: Final = 1.0
_REMEMBERED: Final = 1_000
_UNUSUAL: Final = frozenset({"content-encoding", "transfer-encoding", "x-forwarded-host", "expect"})

Answer = list[Outcome] | Exception
logger = logging.getLogger(__name__)


class _Place(NamedTuple):
    """Where a request says that it was sent to."""

    scheme: str
    host: str
    forwarded_scheme: str


class SmallPosts:
    """Those of one process. All of it runs in the event loop, but for `_tell`."""

    def __init__(self) -> None:
        self._headers: dict[_Place, Headers | None] = {}
        self._waiting: deque[tuple[float, Future[Answer]]] = deque()
        self._told: deque[tuple[Future[Answer], Answer]] = deque()
        self._is_called = False
        self._loop: AbstractEventLoop | None = None

    def begin(self, loop: AbstractEventLoop) -> None:
        """Serve in this loop from now on."""
        self._loop = loop
        loop.call_later(_LOOK_SECONDS, self._look)

    def are_at(self, scope: Scope) -> bool:
        """Whether this may be a small post: its body is then to be read as a whole."""
        if scope.path not in DIALECTS or scope.method != "POST":
            return False
        length = scope.headers.get("content-length", "")
        return (
            len(length) <= len(str(MOST_BYTES))
            and length.isdecimal()
            and (int(length) <= MOST_BYTES)
        )

    async def answer(self, scope: Scope, exchange: Exchange, body: bytes) -> bool:
        """Answer the post, unless it must go the usual way: then False."""
        post, headers = self._read(scope, body)
        if post is None or headers is None:
            return False
        waiting = self._waits(post.sent)
        said = await waiting if isinstance(waiting, Future) else waiting
        if isinstance(said, Exception):
            refused = _refusal(scope.path, said)
            more = [(name.lower(), value) for name, value in refused.items()]
            replaced = {name for name, _ in more}
            fixed = [each for each in headers if each[0] not in replaced]
            exchange.response_bytes(refused.status_code, [*fixed, *more], refused.content)
        else:
            status, content = post.answer(said)
            if status >= HTTPStatus.BAD_REQUEST:
                logger.warning("%s: %s", HTTPStatus(status).phrase, scope.path)
            exchange.response_bytes(status, headers, content)
        return True

    def _read(self, scope: Scope, body: bytes) -> tuple[Post | None, Headers | None]:
        headers = scope.headers
        names = headers.keys()
        # (a name that comes twice is among the names once, and has two values)
        if not _UNUSUAL.isdisjoint(names) or len(names) != len(headers.values()):
            return None, None
        authorization = headers.get("authorization")
        key = headers.get("x-api-key")
        if authorization is not None and key is None:
            kind, _, key = authorization.strip().partition(" ")
            if kind.lower() != "bearer":
                return None, None
        elif key is None or authorization is not None:
            return None, None
        fixed = self._fixed(
            _Place(
                scope.scheme,
                headers.get("host") or "",
                headers.get("x-forwarded-proto") or "",
            )
        )
        if fixed is None:
            return None, None
        kind = headers.get("content-type") or ""
        dialect = DIALECTS[scope.path]
        return dialect.read(key.strip(), kind, scope.query_string, body, datetime.now(UTC)), fixed

    def _fixed(self, place: _Place) -> Headers | None:
        """The headers of every answer to what was sent there; `None` if it must not be."""
        if place not in self._headers:
            if len(self._headers) >= _REMEMBERED:
                self._headers.clear()
            self._headers[place] = _headers_at(place)
        return self._headers[place]

    def _waits(self, sent: Sent) -> Future[Answer] | Answer:
        if not sent.items:
            return []
        assert self._loop is not None, "a server begins before it answers"
        future: Future[Answer] = self._loop.create_future()
        try:
            hand_in(sent, lambda said: self._tell(future, said))
        except Overloaded as error:
            return error
        self._waiting.append((monotonic() + PATIENCE_SECONDS, future))
        return future

    def _tell(self, future: Future[Answer], said: Answer) -> None:
        """Called by the committer, once for each request of a group; wakes the loop once."""
        self._told.append((future, said))
        if not self._is_called:
            self._is_called = True
            assert self._loop is not None, "a server begins before it answers"
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._is_called = False
        while self._told:
            future, said = self._told.popleft()
            if not future.done():
                future.set_result(said)

    def _look(self) -> None:
        """Tell those that have waited for too long."""
        now = monotonic()
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= now):
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(Unanswered(f"not answered within {PATIENCE_SECONDS} seconds"))
        assert self._loop is not None, "a server begins before it looks"
        self._loop.call_later(_LOOK_SECONDS, self._look)


def _refusal(path: str, error: Exception) -> HttpResponse:
    refused = DIALECTS[path].refusal(error)
    if refused is None:
        logger.error("a group of small posts failed", exc_info=error)
        return fault()
    logger.warning("%s: %s", refused.reason_phrase, path)
    return refused


def _headers_at(place: _Place) -> Headers | None:
    """As Django would answer: its host must be known, and plain HTTP may be redirected."""
    request = WSGIRequest(
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": next(iter(DIALECTS)),
            "SERVER_NAME": "",
            "SERVER_PORT": "",
            "HTTP_HOST": place.host,
            "HTTP_X_FORWARDED_PROTO": place.forwarded_scheme,
            "wsgi.url_scheme": place.scheme,
            "wsgi.input": io.BytesIO(),
        }
    )
    try:
        request.get_host()
    except DisallowedHost:
        return None
    guarded = SecurityMiddleware(lambda _: HttpResponse(content_type="application/json"))
    response = cast("HttpResponse", guarded(request))
    if response.status_code != 200:  # noqa: PLR2004 - it is redirected
        return None
    return [(name.lower(), value) for name, value in response.items()]
