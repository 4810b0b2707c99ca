"""The demo's month end to end: made up, ingested, priced, reconciled, allocated, closed, billed
and verified."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Final

from billing.demo.month import EVENTS
from tests.benchmarks.measured import Benchmark, Measured, stopwatch

ASKED_S: Final = 60.0


def month() -> Iterator[Measured]:
    """`manage.py demo` as anyone runs it, against the minute that it may take."""
    with TemporaryDirectory() as out, stopwatch() as seconds:
        subprocess.run(
            [sys.executable, "manage.py", "demo", "--out", out],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        took = seconds()
    yield Measured("demo.month", took, "s", EVENTS, "the time it may take", ASKED_S)


BENCHMARKS: Final[dict[str, Benchmark]] = {"demo.month": month}
