"""Requests sent over connections that stay open, bare sockets, so that what is measured is the
server."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from threading import Barrier
from time import perf_counter
from typing import IO, Final, NamedTuple
from urllib.parse import urlsplit

WARM: Final = 6
"""One batch in so many goes ahead of the clock, so that every process has its books in memory."""


class Batch(NamedTuple):
    """A whole request, and how many events are in it."""

    request: bytes
    events: int


class Done(NamedTuple):
    """How many events were sent while the clock ran, how many answers say were accepted, and how
    long it took."""

    sent: int
    accepted: int
    seconds: float


def send_all(
    url: str, batches: Sequence[Batch], connections: int, accepted: Callable[[bytes], int]
) -> Done:
    """Send every batch; `accepted` reads the body of an answer."""
    address = urlsplit(url)
    ahead = len(batches) // WARM
    rounds = [SimpleQueue[bytes](), SimpleQueue[bytes]()]
    for number, batch in enumerate(batches):
        rounds[number >= ahead].put(batch.request)
    ready = Barrier(connections + 1)

    def send(_: int) -> int:
        with socket.create_connection((address.hostname, address.port)) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with link.makefile("rb") as answers:
                _send_round(link, answers, rounds[0], accepted)
                ready.wait()
                return _send_round(link, answers, rounds[1], accepted)

    with ThreadPoolExecutor(connections) as pool:
        sending = pool.map(send, range(connections))
        ready.wait()
        started = perf_counter()
        taken = sum(sending)
        seconds = perf_counter() - started
    return Done(sum(batch.events for batch in batches[ahead:]), taken, seconds)


def request(url: str, path: str, key: str, kind: str, body: bytes) -> bytes:
    """A POST as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _send_round(
    link: socket.socket,
    answers: IO[bytes],
    waiting: SimpleQueue[bytes],
    accepted: Callable[[bytes], int],
) -> int:
    taken = 0
    while True:
        try:
            link.sendall(waiting.get_nowait())
        except Empty:
            return taken
        taken += accepted(_answer(answers))


def _answer(answers: IO[bytes]) -> bytes:
    status = answers.readline()
    if b" 200 " not in status:
        raise RuntimeError(f"the server answered {status!r}")
    length = 0
    while (line := answers.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return answers.read(length)
