"""The demo's month end to end: made up, ingested, priced, reconciled, allocated, closed, billed
and verified; and the memory that closing it takes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from allocation import allocation_run
from allocation.reconciliation import reconcile
from billing.demo.documents import write_month
from billing.demo.journey import PREPARER, set_up, take_bill
from billing.demo.run import MONTH_END_WORK, made_inputs
from billing.demo.size import EVENTS
from metering.domain.periods import Month
from metering.files.file_ingestion import ingest_file
from metering.files.usage_files import open_usage
from tests.benchmarks.databases import own_database
from tests.benchmarks.measured import FLAT, Asked, Benchmark, Measured, stopwatch
from tests.benchmarks.peak import peak_of

CLOSED: Final = 60_000


_STEPS: Final = re.compile(r"│ all +│ +([0-9.]+) │$", re.MULTILINE)
"""The sum of the steps in the demo's table of them."""


def month() -> Iterator[Measured]:
    """`manage.py demo` as anyone runs it, against the minute that it may take; and what of that are
    steps from usage to proof, without making the month up and setting a database up."""
    with TemporaryDirectory() as out, stopwatch() as seconds:
        demo = [sys.executable, "manage.py", "demo", "--out", out]
        done = subprocess.run(demo, check=True, capture_output=True, text=True)
        took = seconds()
    steps = _STEPS.search(done.stdout)
    assert steps is not None, "the demo prints how long its steps took"
    yield Measured("demo.month", took, "s", EVENTS, asked=Asked("value", "most", 60))
    yield Measured("demo.month.steps", float(steps[1]), "s", EVENTS)


def close_memory() -> Iterator[Measured]:
    """Peak memory of approving and closing a month: of one in which each call was made four times
    against one in which it was made once, so that it has as many cells and four times the events;
    and of a month of four times the calls, which has more cells and so more lines, each of which is
    held."""
    few = _peak_kib(CLOSED // 4) / 1024
    same = _peak_kib(CLOSED // 4, times=4) / 1024
    more = _peak_kib(CLOSED) / 1024
    beside = f"with {CLOSED // 4:,} events"
    yield Measured("close.memory", same, "MiB", CLOSED, f"{beside}, as many cells", few, FLAT)
    yield Measured("close.memory.cells", more, "MiB", CLOSED, f"{beside}, fewer cells", few)


def _peak_kib(calls: int, *, times: int = 1) -> int:
    now = MONTH_END_WORK
    october = Month.of(now).previous()
    with TemporaryDirectory() as folder, own_database() as name:
        inputs = made_inputs(write_month(Path(folder), calls).files)
        set_up(inputs, now)
        for time in range(times):
            usage = _named_anew(inputs.usage, time)
            ingest_file(open_usage(usage, source=inputs.source, received_at=now), now=now)
        for bill in inputs.bills:
            take_bill(bill, now)
        reconcile(october, now=now)
        allocation_run.run(october, rule="company", author=PREPARER, now=now)
        return peak_of("tests.benchmarks.close_child", name)


def _named_anew(usage: Path, time: int) -> Path:
    """The same calls as other ones."""
    anew = usage.with_name(f"{time}-{usage.name}")
    named = b'"externalRequestId":"'
    anew.write_bytes(usage.read_bytes().replace(named, named + b"%d-" % time))
    return anew


BENCHMARKS: Final[dict[str, Benchmark]] = {"demo.month": month, "close.memory": close_memory}
