"""The yardstick of ingestion over HTTP: the database's own speed with two writers.

Each writer is a process that claims the keys of its rows in the ledger and copies the rows into the
partitioned table, so many a commit, and nothing else: nothing is read, worked out or summed up.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

import msgspec
import psycopg
from django.db import connection

from metering import bulk
from metering.event_rows import COLUMNS, NULL
from metering.prepared_events import PreparedEvent, copy_line

WRITERS: Final = 2
_CLAIM: Final = (
    "INSERT INTO event_ledger (event_key, claim_digest, occurred_at, claimed_on)"
    " SELECT event_key, decode(claim_digest, 'hex'), occurred_at, current_date"
    " FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[])"
    "  AS t(event_key, claim_digest, occurred_at)"
    " ON CONFLICT DO NOTHING RETURNING event_key"
)
_COPY: Final = f"COPY usage_event ({', '.join(COLUMNS)}) FROM STDIN (NULL E'{NULL!s}')"


class Chunk(msgspec.Struct):
    """What goes into one commit: the arrays of the ledger's columns, and the rows as COPY text."""

    keys: str
    claims: str
    instants: str
    rows: str


def rate(events: Sequence[PreparedEvent], size: int) -> float:
    """Events a second with `size` a commit, on a database in which their days have partitions."""
    chunks = [_chunk(events[at : at + size]) for at in range(0, len(events), size)]
    with TemporaryDirectory() as folder:
        writers = []
        for number in range(WRITERS):
            path = Path(folder) / f"{number}.chunks"
            path.write_bytes(msgspec.msgpack.encode(chunks[number::WRITERS]))
            arguments = [sys.executable, "-m", "tests.benchmarks.raw_writers", str(path)]
            writer = subprocess.Popen(
                [*arguments, _address()], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            writers.append(writer)
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.readline()
        started = perf_counter()
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.close()
        ended = [writer.wait() for writer in writers]
        seconds = perf_counter() - started
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.close()
    assert ended == [0] * WRITERS, "a writer failed"
    with bulk.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM usage_event), (SELECT count(*) FROM event_ledger)"
        )
        assert cursor.fetchone() == (len(events), len(events)), "not everything was written"
    return len(events) / seconds


def _chunk(events: Sequence[PreparedEvent]) -> Chunk:
    ordered = sorted(events, key=lambda event: event.key)
    return Chunk(
        keys=bulk.array([event.key for event in ordered]),
        claims=bulk.array([event.claim.hex() for event in ordered]),
        instants=bulk.array([event.occurred_at for event in ordered]),
        rows="".join([copy_line(event, None) for event in ordered]),
    )


def _address() -> str:
    connection.ensure_connection()
    parameters = connection.get_connection_params()
    kept = {name: parameters.get(name) for name in ("dbname", "host", "port", "user", "password")}
    return psycopg.conninfo.make_conninfo(**{k: v for k, v in kept.items() if v is not None})


def _write(path: str, address: str) -> None:
    chunks = msgspec.msgpack.decode(Path(path).read_bytes(), type=list[Chunk])
    with psycopg.connect(address, cursor_factory=psycopg.Cursor) as link, link.cursor() as cursor:
        cursor.execute("SELECT 1")
        link.commit()
        print("ready", flush=True)
        sys.stdin.read()
        for chunk in chunks:
            cursor.execute(_CLAIM, [chunk.keys, chunk.claims, chunk.instants])
            assert cursor.rowcount >= 0
            with cursor.copy(_COPY) as copy:
                copy.write(chunk.rows.encode())
            link.commit()


if __name__ == "__main__":
    _write(*sys.argv[1:])
