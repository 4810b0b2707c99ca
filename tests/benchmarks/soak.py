"""What only shows after millions of events: how much memory a server takes, and how fast it is
where much is stored already.

`SCALE` makes both smaller: 0.05 sends and fills a twentieth of the events.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from metering import bulk
from metering.api_keys import create
from tests.benchmarks import filling
from tests.benchmarks.ingest import CONNECTIONS, HTTP_BATCH, MONTH, NOW, usage_file
from tests.benchmarks.measured import FLAT, Asked, Benchmark, Measured
from tests.benchmarks.peak import resident_kib
from tests.databases import TestDatabases, pointed_at
from tests.serving import serving

ROUND: Final = 60_000
"""Events that are sent at a time."""
SENT: Final = 5_000_000
STORED: Final = 10_000_000
ROUNDS: Final = 3
WORKERS: Final = 2

Send = Callable[[], float]


def _scale() -> float:
    return float(os.environ.get("SCALE") or 1)


@contextmanager
def sender(databases: TestDatabases, name: str, path: Path) -> Iterator[Send]:
    """A server on that database, and a client beside it: each call sends the file's events under
    new ids and gives the rate at which they were taken in, events per second."""
    with pointed_at(name), serving(name, workers=WORKERS) as server:
        _, secret = create("bench", "ingest", source="bench", now=NOW)
        with bulk.cursor() as cursor:
            days = bulk.array([day.isoformat() for day in MONTH.period.days()])
            cursor.execute("SELECT ensure_event_partitions(%s::date[])", [days])
        client = [sys.executable, "-m", "tests.benchmarks.rounds_client", server.url, secret]
        with subprocess.Popen(
            [*client, str(path), str(HTTP_BATCH), str(CONNECTIONS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            told, answers = process.stdin, process.stdout
            assert told is not None
            assert answers is not None
            numbers = count()

            def send() -> float:
                print(next(numbers), file=told, flush=True)
                answered = answers.readline()
                assert answered, "the client has ended"
                found = json.loads(answered)
                assert found["accepted"] > found["sent"] // 2, "not what was meant to be measured"
                return float(found["sent"] / found["seconds"])

            try:
                yield send
            finally:
                told.close()


@contextmanager
def _databases() -> Iterator[TestDatabases]:
    with closing(TestDatabases()) as databases:
        databases.prepare()
        yield databases


@contextmanager
def _own(databases: TestDatabases) -> Iterator[str]:
    name = databases.clone()
    try:
        yield name
    finally:
        databases.drop(name)


def server_memory() -> Iterator[Measured]:
    """Memory of the server's processes after `SENT` events, against that after a fifth of them:
    it grows with what is remembered between requests, which is bounded, and not with the events.
    """
    rounds = max(5, round(SENT * _scale() / ROUND))
    marks = []
    with (
        usage_file(ROUND) as path,
        _databases() as databases,
        _own(databases) as name,
        sender(databases, name, path) as send,
    ):
        for number in range(1, rounds + 1):
            send()
            if number in (rounds // 5, rounds):
                marks.append(resident_kib("granian"))
    first, last = marks
    yield Measured(
        "ingest.server_memory",
        last / 1024,
        f"MiB in {WORKERS} processes and what holds them",
        rounds * ROUND,
        f"after {rounds // 5 * ROUND:,} events",
        first / 1024,
        FLAT,
    )


def filled() -> Iterator[Measured]:
    """The rate at which events come in where `STORED` are stored already, warm and right after a
    checkpoint, against that on empty tables: the best of `ROUNDS` of each but the checkpoint's,
    of which there is one."""
    stored = int(STORED * _scale())
    with usage_file(ROUND) as path, _databases() as databases:
        with _own(databases) as name, sender(databases, name, path) as send:
            send()
            empty = max(send() for _ in range(ROUNDS))
        with _own(databases) as name, sender(databases, name, path) as send:
            send()
            stored = filling.fill(databases, name, stored)
            size = filling.size_of(name)
            filling.checkpoint()
            after_checkpoint = send()
            warm = max(send() for _ in range(ROUNDS))
    unit = f"events/s ({size / 2**30:.2f} GiB on disk)"
    beside = "the same on empty tables"
    asked = Asked("ratio", "least", 0.65)
    yield Measured("ingest.filled", warm, unit, stored, beside, empty, asked)
    yield Measured("ingest.filled.checkpoint", after_checkpoint, unit, stored, beside, empty)


BENCHMARKS: Final[dict[str, Benchmark]] = {
    "ingest.server_memory": server_memory,
    "ingest.filled": filled,
}
