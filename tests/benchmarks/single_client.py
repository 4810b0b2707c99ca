"""A process that sends a file of usage one event a request, over connections that stay open, and
prints how many were accepted, in how many seconds, and how long the answers took, as JSON.

One thread waits for all connections at once, so that the client takes little of the machine that
it shares with the server.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

WARM: Final = 6
"""One event in so many goes ahead of the clock."""
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Connection:
    """One connection, with at most one request under way."""

    def __init__(self, host: str, port: int) -> None:
        self.link = socket.create_connection((host, port))
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self.received = b""
        self.sent_at = perf_counter()
        self.link.sendall(request)

    def answer(self) -> bytes | None:
        """The answer's body once it is whole, `None` before."""
        self.received += self.link.recv(65_536)
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return None
        if b" 200 " not in head[:20]:
            raise RuntimeError(f"the server answered {head[:200]!r}")
        length = _LENGTH.search(head)
        return body if length is not None and len(body) >= int(length[1]) else None


def run(connections: list[Connection], requests: list[bytes]) -> tuple[int, list[float]]:
    """Send them all; how many were accepted, and each answer's seconds."""
    waiting = iter(requests)
    selector = selectors.DefaultSelector()
    for connection, request in zip(connections, islice(waiting, len(connections)), strict=False):
        selector.register(connection.link, selectors.EVENT_READ, connection)
        connection.send(request)
    accepted = 0
    took: list[float] = []
    while len(took) < len(requests):
        for ready, _ in selector.select():
            connection = ready.data
            body = connection.answer()
            if body is None:
                continue
            took.append(perf_counter() - connection.sent_at)
            accepted += body.startswith(b'{"accepted":1,')
            following = next(waiting, None)
            if following is not None:
                connection.send(following)
    selector.close()
    return accepted, took


def main(url: str, key: str, path: str, events: int, connections: int) -> None:
    address = urlsplit(url)
    head = f"POST /api/v1/usage HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {key}"
    requests = []
    with Path(path).open("rb") as lines:
        for line in islice(lines, events):
            about = f"Content-Type: application/json\r\nContent-Length: {len(line)}"
            requests.append(f"{head}\r\n{about}\r\n\r\n".encode() + line)
    links = [Connection(str(address.hostname), int(address.port or 80)) for _ in range(connections)]
    ahead = len(requests) // WARM
    run(links, requests[:ahead])
    started = perf_counter()
    accepted, took = run(links, requests[ahead:])
    seconds = perf_counter() - started
    took.sort()
    found = {"sent": len(took), "accepted": accepted, "seconds": seconds}
    print(json.dumps({**found, "p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100]}))


main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
