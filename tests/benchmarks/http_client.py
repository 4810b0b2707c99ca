"""A process that sends a file of usage in batches, over connections that stay open, and prints how
many events were taken in and in how many seconds, as JSON.

Requests and answers go over bare sockets, so that what is measured is the server.
"""

from __future__ import annotations

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Barrier
from time import perf_counter
from typing import IO, Final
from urllib.parse import urlsplit

WARM: Final = 6
"""One batch in so many goes ahead of the clock, so that every process has its books in memory."""


def main(url: str, key: str, path: str, size: int, connections: int) -> None:
    address = urlsplit(url)
    batches = []
    with Path(path).open("rb") as lines:
        while batch := list(islice(lines, size)):
            batches.append((_request(address.netloc, key, b"".join(batch)), len(batch)))
    ahead = len(batches) // WARM
    rounds = [SimpleQueue[bytes](), SimpleQueue[bytes]()]
    for number, (request, _) in enumerate(batches):
        rounds[number >= ahead].put(request)
    ready = Barrier(connections + 1)

    def send(_: int) -> int:
        with socket.create_connection((address.hostname, address.port)) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with link.makefile("rb") as answers:
                _send_all(link, answers, rounds[0])
                ready.wait()
                return _send_all(link, answers, rounds[1])

    with ThreadPoolExecutor(connections) as pool:
        sending = pool.map(send, range(connections))
        ready.wait()
        started = perf_counter()
        accepted = sum(sending)
        seconds = perf_counter() - started
    sent = sum(events for _, events in batches[ahead:])
    print(json.dumps({"sent": sent, "accepted": accepted, "seconds": seconds}))


def _send_all(link: socket.socket, answers: IO[bytes], waiting: SimpleQueue[bytes]) -> int:
    accepted = 0
    while True:
        try:
            link.sendall(waiting.get_nowait())
        except Empty:
            return accepted
        accepted += json.loads(_answer(answers))["accepted"]


def _request(host: str, key: str, body: bytes) -> bytes:
    head = (
        f"POST /api/v1/usage HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


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


main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
