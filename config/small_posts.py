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
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from time import monotonic
from typing import Final, NamedTuple, cast

from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.middleware.security import SecurityMiddleware

from config.wsgi_in_threads import Exchange, Headers, Scope
from metering.api import small_lago, small_openmeter, small_opsmeter, small_usage
from metering.api.posted import Post, Posted
from metering.api.problems import fault
from metering.group_commit import PATIENCE_SECONDS, Overloaded, Unanswered
from metering.outcomes import Outcome
from metering.small_intake import ReadOtherwise, Sent, hand_in

READERS: Final[Mapping[str, Callable[[Posted], Post | None]]] = {
    "/api/v1/usage": small_usage.small,
    "/v1/ingest/llm-request": small_opsmeter.small,
    "/openmeter/api/v1/events": small_openmeter.small,
    "/lago/api/v1/events": small_lago.small,
}
"""By the path that is posted to: what reads a post, `None` unless all of it is in order."""
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
        if scope.path not in READERS or scope.method != "POST":
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
        outcomes = await waiting if isinstance(waiting, Future) else waiting
        if isinstance(outcomes, ReadOtherwise):
            return False
        if isinstance(outcomes, Exception):
            refused = _refusal(post, outcomes)
            status, content = refused.status_code, refused.content
            more = [(name.lower(), value) for name, value in refused.items()]
        else:
            status, content, kind = post.answer(outcomes)
            more = [("content-type", kind)] if kind else []
        if status >= HTTPStatus.BAD_REQUEST:
            logger.warning("%s: %s", HTTPStatus(status).phrase, scope.path)
        exchange.response_bytes(status, [*headers, *more], content)
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
        posted = Posted(key.strip(), headers, scope.query_string, body, datetime.now(UTC))
        return READERS[scope.path](posted), fixed

    def _fixed(self, place: _Place) -> Headers | None:
        """The headers of every answer to what was sent there, beside its content type; `None` if
        it must not be."""
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


def _refusal(post: Post, error: Exception) -> HttpResponse:
    refused = post.refused(error)
    if refused is None:
        logger.error("a group of small posts failed", exc_info=error)
        return fault()
    return refused


def _headers_at(place: _Place) -> Headers | None:
    """As Django would answer: its host must be known, and plain HTTP may be redirected."""
    request = WSGIRequest(
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": next(iter(READERS)),
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
    guarded = SecurityMiddleware(lambda _: HttpResponse())
    response = cast("HttpResponse", guarded(request))
    if response.status_code != 200:  # noqa: PLR2004 - it is redirected
        return None
    del response["Content-Type"]
    return [(name.lower(), value) for name, value in response.items()]
