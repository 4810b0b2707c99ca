"""How fast OpenTelemetry's spans come in over HTTP, against native events of the same calls."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from metering import bulk
from metering.api_keys import create
from tests.benchmarks.databases import own_database
from tests.benchmarks.ingest import CONNECTIONS, HTTP_BATCH, MONTH, usage_file
from tests.benchmarks.measured import Asked, Benchmark, Measured
from tests.serving import serving

CALLS: Final = 30_000
SPANS: Final = 512
"""Of an export: what OpenTelemetry's SDKs send at once."""
ROUNDS: Final = 2


def spans() -> Iterator[Measured]:
    """Exports of `SPANS` spans in protobuf through granian by two processes, against native batches
    of the same calls: the best of `ROUNDS` of each."""
    with usage_file(CALLS) as path:
        rates = [_rate("otlp_client", path, SPANS) for _ in range(ROUNDS)]
        native = [_rate("http_client", path, HTTP_BATCH) for _ in range(ROUNDS)]
    yield Measured(
        "ingest.otlp",
        max(rates),
        "spans/s",
        CALLS,
        f"native events of the same calls, {HTTP_BATCH:,} a request",
        max(native),
        Asked("ratio", "least", 0.40),
    )


def _rate(client: str, path: Path, size: int) -> float:
    with own_database() as name, serving(name, workers=2) as server:
        _, secret = create("bench", "ingest", source="bench", now=datetime.now(UTC))
        with bulk.cursor() as cursor:
            days = bulk.array([day.isoformat() for day in MONTH.period.days()])
            cursor.execute("SELECT ensure_event_partitions(%s::date[])", [days])
        arguments = [server.url, secret, str(path), str(size), str(CONNECTIONS)]
        done = subprocess.run(
            [sys.executable, "-m", f"tests.benchmarks.{client}", *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        found = json.loads(done.stdout)
        with bulk.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM usage_event")
            (stored,) = cursor.fetchone() or (0,)
    assert stored > found["sent"] // 2, "not what was meant to be measured"
    return float(found["sent"] / found["seconds"])


BENCHMARKS: Final[dict[str, Benchmark]] = {"ingest.otlp": spans}
