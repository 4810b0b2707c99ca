"""A WSGI application meets the requests that granian's RSGI interface brings, in few threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import pytest

from config import wsgi_in_threads
from config.senders_door import Environ, Start
from config.wsgi_in_threads import READ_AHEAD, Headers, InThreads, environ_of


@dataclass
class SentHeaders:
    pairs: Sequence[tuple[str, str]]

    def get(self, key: str, default: Any = None) -> Any:
        return dict(reversed(self.pairs)).get(key, default)

    def __contains__(self, key: str) -> bool:
        return key in dict(self.pairs)

    def items(self) -> Iterable[tuple[str, str]]:
        return self.pairs

    def keys(self) -> list[str]:
        return [*dict(self.pairs)]

    def values(self) -> list[str]:
        return [value for _, value in self.pairs]


@dataclass
class Scope:
    headers: SentHeaders
    path: str = "/a"
    method: str = "POST"
    query_string: str = "q=1"
    authority: str | None = None
    proto: str = "http"
    http_version: str = "1.1"
    server: str = "127.0.0.1:8000"
    client: str = "127.0.0.1:41"
    scheme: str = "http"


@dataclass
class Stream:
    pieces: list[bytes]

    async def send_bytes(self, data: bytes) -> None:
        self.pieces.append(data)


@dataclass
class Exchange:
    """What granian hands over: a body in pieces, and where the answer goes."""

    body: Sequence[bytes] = ()
    status: int = 0
    headers: Headers = field(default_factory=list)
    answer: list[bytes] = field(default_factory=list)
    breaks: bool = False
    stalls: bool = False

    async def __call__(self) -> bytes:
        await self._end()
        return b"".join(self.body)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.body:
            yield piece
        await self._end()

    async def _end(self) -> None:
        if self.breaks:
            raise RuntimeError("the sender has gone")
        if self.stalls:
            await asyncio.Event().wait()

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        self.status, self.headers, self.answer = status, headers, [body]

    def response_stream(self, status: int, headers: Headers) -> Stream:
        self.status, self.headers = status, headers
        return Stream(self.answer)


def scope(*headers: tuple[str, str], **different: Any) -> Scope:
    return Scope(SentHeaders(headers), **different)


def length(body: Sequence[bytes]) -> tuple[str, str]:
    return "content-length", str(sum(map(len, body)))


def refusal(_: object, over_share: bool) -> tuple[int, Headers, bytes]:  # noqa: FBT001 - as it is called
    return 429 if over_share else 503, [("retry-after", "1")], b"full"


def echo(environ: Environ, start: Start) -> Iterable[bytes]:
    start("201 Created", [("X-Echo", environ["REQUEST_METHOD"])])
    return [environ["wsgi.input"].read()]


def answered(
    application: Callable[[Environ, Start], Iterable[bytes]], at: Scope, exchange: Exchange
) -> Exchange:
    threads = InThreads(application, refusal, threads=1)
    asyncio.run(threads.answer(at, exchange))
    threads.close()
    return exchange


@pytest.mark.parametrize(
    ("body", "header"),
    [
        pytest.param((), None, id="none"),
        pytest.param((b"small",), length((b"small",)), id="read ahead"),
        pytest.param(
            (b"", b"a" * READ_AHEAD, b"", b"b"), length((b"a" * READ_AHEAD, b"b")), id="l"
        ),
        pytest.param((b"in", b"", b"chunks"), ("transfer-encoding", "chunked"), id="chunked"),
    ],
)
def test_a_body_arrives_however_it_is_sent(
    body: Sequence[bytes], header: tuple[str, str] | None
) -> None:
    got = answered(echo, scope(*([header] if header else [])), Exchange(body))
    assert (got.status, got.headers) == (201, [("X-Echo", "POST")])
    assert got.answer == [b"".join(body)]


def failing(error: type[OSError], said: str) -> Callable[[Environ, Start], Iterable[bytes]]:
    """An application that must not be able to read its body."""

    def reading(environ: Environ, start: Start) -> Iterable[bytes]:
        with pytest.raises(error, match=said):
            environ["wsgi.input"].read()
        start("200 OK", [])
        return [b"seen"]

    return reading


CHUNKED = ("transfer-encoding", "chunked")
LONG = ("content-length", str(READ_AHEAD + 1))
SHORT = ("content-length", "9")


@pytest.mark.parametrize("header", [CHUNKED, LONG, SHORT])
def test_a_sender_that_goes_away_is_an_error_of_reading(header: tuple[str, str]) -> None:
    gone = Exchange((b"a",), breaks=True)
    assert answered(failing(OSError, "too early"), scope(header), gone).answer == [b"seen"]


@pytest.mark.parametrize("header", [CHUNKED, LONG, SHORT])
def test_one_that_stalls_holds_no_thread_for_ever(
    header: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wsgi_in_threads, "PIECE_SECONDS", 0.01)
    stalled = Exchange((b"a",), stalls=True)
    assert answered(failing(TimeoutError, "^$"), scope(header), stalled).answer == [b"seen"]


def test_nor_one_that_is_never_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsgi_in_threads, "BODY_SECONDS", 0.01)
    steady = Exchange([b"a"] * 9, stalls=True)
    assert answered(failing(TimeoutError, "^$"), scope(CHUNKED), steady).answer == [b"seen"]


def test_chunks_that_break_off_are_told_from_those_that_end() -> None:
    """As granian tells it: an empty piece at the end, two at a breach, or before a trailer."""
    broken, ended = Exchange((b"a", b"", b"")), Exchange((b"a", b""))
    assert answered(failing(OSError, "too early"), scope(CHUNKED), broken).answer == [b"seen"]
    assert answered(echo, scope(CHUNKED), ended).answer == [b"a"]
    trailed = scope(CHUNKED, ("trailer", "x-sum"))
    assert answered(echo, trailed, Exchange((b"a", b"", b""))).answer == [b"a"]


class Streaming:
    """A response that comes piece by piece; knows whether it was closed."""

    streaming = True
    closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield b"one"
        yield b"two"

    def close(self) -> None:
        self.closed = True


def test_what_comes_in_pieces_goes_out_in_pieces() -> None:
    response = Streaming()

    def application(_environ: Environ, start: Start) -> Iterable[bytes]:
        start("200 OK", [])
        return response

    assert answered(application, scope(), Exchange()).answer == [b"one", b"two"]
    assert response.closed


def test_more_than_may_wait_is_refused_at_once() -> None:
    go_on = Event()

    def waiting(_environ: Environ, start: Start) -> Iterable[bytes]:
        assert go_on.wait(10)
        start("200 OK", [])
        return [b"done"]

    async def three() -> list[Exchange]:
        threads = InThreads(waiting, refusal, threads=1, waiting=1)
        exchanges = [Exchange() for _ in range(3)]
        first = [asyncio.create_task(threads.answer(scope(), each)) for each in exchanges[:2]]
        await asyncio.sleep(0)
        await threads.answer(scope(), exchanges[2])
        go_on.set()
        await asyncio.gather(*first)
        return exchanges

    *taken, refused = asyncio.run(three())
    assert [each.answer for each in taken] == [[b"done"]] * 2
    assert (refused.status, refused.headers) == (503, [("retry-after", "1")])
    assert refused.answer == [b"full"]


def test_a_sender_that_opens_many_connections_leaves_room_for_others() -> None:
    go_on = Event()

    def waiting(_environ: Environ, start: Start) -> Iterable[bytes]:
        assert go_on.wait(10)
        start("200 OK", [])
        return [b"done"]

    async def statuses() -> dict[str, list[int]]:
        threads = InThreads(waiting, refusal, threads=1, waiting=11)
        exchanges: dict[str, list[Exchange]] = {}
        at_work = []
        for sender, count in (("first", 10), ("second", 10), ("", 1), ("third", 2)):
            exchanges[sender] = [Exchange() for _ in range(count)]
            of = [("x-api-key" if sender == "second" else "authorization", sender)]
            for each in exchanges[sender]:
                at_work.append(asyncio.create_task(threads.answer(scope(*of), each)))
                await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(*at_work)
        again = Exchange()
        await threads.answer(scope(("authorization", "first")), again)
        return {**{n: [e.status for e in of] for n, of in exchanges.items()}, "": [again.status]}

    told = asyncio.run(statuses())
    assert told["first"] == [200] * 6 + [429] * 4
    assert told["second"] == [200] * 4 + [429] * 6
    assert told["third"] == [200, 503]
    assert told[""] == [200]


def test_the_request_is_as_wsgi_has_it() -> None:
    environ = environ_of(
        scope(
            ("host", "example.com"),
            ("x-two", "a"),
            ("x-two", "b"),
            ("cookie", "c=1"),
            ("cookie", "d=2"),
            ("x_api_key", "not a header that a proxy would have let through"),
            ("content-type", "text/plain"),
            path="/ü b",
        )
    )
    said = {name: value for name, value in environ.items() if not name.startswith("wsgi.")}
    assert said == {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/ü b".encode().decode("latin-1"),
        "QUERY_STRING": "q=1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "example.com",
        "HTTP_X_TWO": "a,b",
        "HTTP_COOKIE": "c=1; d=2",
        "CONTENT_TYPE": "text/plain",
    }
    assert environ["wsgi.url_scheme"] == "http"
    assert environ_of(scope(authority="h2.example"))["HTTP_HOST"] == "h2.example"
