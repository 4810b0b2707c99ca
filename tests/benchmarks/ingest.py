"""How fast a file of usage comes in, against the database's own speed, and in how much memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from django.db import connection, transaction

from billing.demo.documents import write_usage
from metering import bulk
from metering.api_keys import create
from metering.domain.periods import Month
from metering.event_rows import COLUMNS
from metering.files.file_ingestion import BLOCK as BATCH
from metering.files.file_ingestion import ingest_file
from metering.files.usage_files import open_usage
from metering.ingestion import Books, prepare_batch
from metering.prepared_events import PreparedEvent, copy_line
from tests.benchmarks import raw_writers
from tests.benchmarks.databases import own_database
from tests.benchmarks.measured import FLAT, Asked, Benchmark, Measured, stopwatch
from tests.benchmarks.peak import peak_of
from tests.serving import serving

EVENTS: Final = 60_000
NOW: Final = datetime(2026, 11, 2, tzinfo=UTC)
MONTH: Final = Month.of(NOW).previous()
ROUNDS: Final = 3
HTTP_BATCH: Final = 1_000
CONNECTIONS: Final = 16
"""Enough that both of the server's processes have work, however it parts the connections."""

LIVE: Final = timedelta(hours=1)
"""The time that what is sent live covers: still longer than it takes to send."""
_TIME: Final = re.compile(rb'("occurredAt":")([^"]+)')

SINGLES: Final = 20_000
SINGLE_CONNECTIONS: Final = 64


@contextmanager
def usage_file(events: int, *, within: timedelta | None = None) -> Iterator[Path]:
    """The demo's month of traffic, as a native JSONL file; `within` the time that has just passed
    if one is given: as busy as what is sent live."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "usage.jsonl"
        write_usage(path, events)
        yield path if within is None else _pressed(path, within)


def _pressed(path: Path, within: timedelta) -> Path:
    month = MONTH.period.end - MONTH.period.start
    begun = datetime.now(UTC) - within
    live = path.with_name("live.jsonl")
    with path.open("rb") as lines, live.open("wb") as file:
        for line in lines:
            file.write(_TIME.sub(lambda told: _told(begun, told, within / month), line))
    return live


def _told(begun: datetime, told: re.Match[bytes], share: float) -> bytes:
    passed = datetime.fromisoformat(told[2].decode()) - MONTH.period.start
    instant = begun + passed * share
    return told[1] + instant.isoformat(timespec="milliseconds").encode()


def batch() -> Iterator[Measured]:
    """Files through the whole of ingestion, against stage-COPY and insert-once of the same rows
    into the same partitioned table, `BATCH` a commit: the best of `ROUNDS` of each."""
    with usage_file(EVENTS) as path:
        rates = [_whole(path) for _ in range(ROUNDS)]
        raw = [_raw(path) for _ in range(ROUNDS)]
    yield Measured(
        "ingest.batch",
        max(rates),
        "events/s",
        EVENTS,
        "stage-COPY and insert-once of the same rows",
        max(raw),
        Asked("ratio", "least", 0.20),
    )


def _whole(path: Path) -> float:
    with own_database():
        connection.ensure_connection()
        with stopwatch() as seconds:
            usage = open_usage(path, source="bench", received_at=NOW)
            result = ingest_file(usage, now=NOW)
            rate = result.total / seconds()
        assert result.accepted > result.total // 2, "the file is not what was meant to be measured"
        return rate


def _raw(path: Path) -> float:
    with own_database():
        events = _prepared(path)
        _make_partitions()
        chunks = [
            "".join([copy_line(p, None) for p in events[i : i + BATCH]])
            for i in range(0, len(events), BATCH)
        ]
        columns = ", ".join(COLUMNS)
        with bulk.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE stage (LIKE usage_event)")
            with stopwatch() as seconds:
                for chunk in chunks:
                    with transaction.atomic():
                        bulk.copy_text("stage", COLUMNS, chunk)
                        cursor.execute(
                            f"INSERT INTO usage_event ({columns}) SELECT {columns} FROM stage"
                            " ON CONFLICT DO NOTHING"
                        )
                        cursor.execute("TRUNCATE stage")
                return len(events) / seconds()


def http() -> Iterator[Measured]:
    """HTTP batches of `HTTP_BATCH` through granian, sent by a process of its own over connections
    that stay open, against two writers that claim the same keys and COPY the same rows: once with
    what is sent live, all of the last hour, and once with a month that is sent afterwards. Both
    stand beside the yardstick of files too. The days' partitions have been made before."""
    for name, within in (("ingest.http", LIVE), ("ingest.http_backfill", None)):
        with usage_file(EVENTS, within=within) as path:
            rates = [_over_http(path) for _ in range(ROUNDS)]
            raw = [_two_writers(path) for _ in range(ROUNDS)]
            staged = [_raw(path) for _ in range(ROUNDS)]
        for yardstick, found, least in (
            (
                f"two writers that claim the keys and COPY the rows, {HTTP_BATCH:,} a commit",
                raw,
                0.35,
            ),
            ("stage-COPY and insert-once of the same rows", staged, 0.20),
        ):
            asked = Asked("ratio", "least", least)
            yield Measured(name, max(rates), "events/s", EVENTS, yardstick, max(found), asked)


def _two_writers(path: Path) -> float:
    with own_database():
        events = _prepared(path)
        _make_partitions()
        return raw_writers.rate(events, HTTP_BATCH)


def _prepared(path: Path) -> list[PreparedEvent]:
    """What the file's events come to, each once."""
    now = datetime.now(UTC)
    usage = open_usage(path, source="bench", received_at=now)
    prepared = prepare_batch([i.item for i in usage.items], Books.load(), now)
    return list({p.key: p for p in prepared if isinstance(p, PreparedEvent)}.values())


def _make_partitions() -> None:
    now = datetime.now(UTC)
    found = {*MONTH.period.days(), (now - LIVE).date(), now.date()}
    days = bulk.array(sorted(day.isoformat() for day in found))
    with bulk.cursor() as cursor:
        cursor.execute("SELECT ensure_event_partitions(%s::date[])", [days])


def _over_http(path: Path) -> float:
    with own_database() as name, serving(name, workers=2) as server:
        _, secret = create("bench", "ingest", source="bench", now=NOW)
        _make_partitions()
        client = [sys.executable, "-m", "tests.benchmarks.http_client", server.url, secret]
        done = subprocess.run(
            [*client, str(path), str(HTTP_BATCH), str(CONNECTIONS)],
            check=True,
            capture_output=True,
            text=True,
        )
    found = json.loads(done.stdout)
    assert found["accepted"] > found["sent"] // 2, "not what was meant to be measured"
    return float(found["sent"] / found["seconds"])


def single() -> Iterator[Measured]:
    """One live event a request over `SINGLE_CONNECTIONS` connections, each answered after its
    commit, beside the rate at which one writer stages and inserts such rows."""
    with usage_file(SINGLES, within=LIVE) as path:
        found = [_one_by_one(path) for _ in range(ROUNDS)]
        raw = [_raw(path) for _ in range(ROUNDS)]
    best = max(found, key=lambda run: run["sent"] / run["seconds"])
    yield Measured(
        "ingest.single",
        best["sent"] / best["seconds"],
        f"events/s (answers p50 {best['p50'] * 1000:.0f} ms, p99 {best['p99'] * 1000:.0f} ms)",
        SINGLES,
        "stage-COPY and insert-once of the same rows",
        max(raw),
        Asked("value", "least", 3_000),
    )


def _one_by_one(path: Path) -> dict[str, float]:
    with own_database() as name, serving(name, workers=2) as server:
        _, secret = create("bench", "ingest", source="bench", now=NOW)
        _make_partitions()
        client = [sys.executable, "-m", "tests.benchmarks.single_client", server.url, secret]
        done = subprocess.run(
            [*client, str(path), str(SINGLES), str(SINGLE_CONNECTIONS)],
            check=True,
            capture_output=True,
            text=True,
        )
    found: dict[str, float] = json.loads(done.stdout)
    assert found["accepted"] > found["sent"] // 2, "not what was meant to be measured"
    return found


def memory() -> Iterator[Measured]:
    """Peak memory of an import of four times as many events, against that of the fewer."""
    few, many = _peak_kib(EVENTS // 4), _peak_kib(EVENTS)
    yield Measured(
        "ingest.memory",
        many / 1024,
        "MiB",
        EVENTS,
        f"with {EVENTS // 4:,} events",
        few / 1024,
        FLAT,
    )


def _peak_kib(events: int) -> int:
    with usage_file(events) as path, own_database() as name:
        return peak_of("tests.benchmarks.import_child", name, str(path))


BENCHMARKS: Final[dict[str, Benchmark]] = {
    "ingest.batch": batch,
    "ingest.http": http,
    "ingest.single": single,
    "ingest.memory": memory,
}
