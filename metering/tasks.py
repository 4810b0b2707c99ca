"""What Celery calls in metering: each calls one function that a command or a test calls too."""

from __future__ import annotations

from time import monotonic
from typing import Final

from django.utils import timezone

from config.celery import app
from metering import partitions, rollups
from metering.background import hints, workers
from metering.calls import call_upkeep
from metering.pricing import rerating_work

__all__ = ["rerating_work"]  # importing it makes the flow known to a worker

FOLD_ROWS: Final = 20_000
"""Tail rows of each rollup that are folded in one transaction."""
FOLD_SECONDS: Final = 60
"""After so long the rest is left to the next time."""


@app.task(name=hints.TASK)
def do_part(part_id: int) -> str:
    return workers.perform(part_id, now=timezone.now())


@app.task(name="metering.sweep_work")
def sweep_work() -> int:
    return workers.sweep(now=timezone.now())


@app.task(name="metering.fold_rollups")
def fold_rollups() -> int:
    started, total = monotonic(), 0
    while monotonic() - started < FOLD_SECONDS:
        folded = rollups.fold(FOLD_ROWS)
        total += sum(folded.values())
        if max(folded.values(), default=0) < FOLD_ROWS:
            break
    return total


@app.task(name="metering.keep_up_calls")
def keep_up_calls() -> dict[str, int]:
    return call_upkeep.keep_up(now=timezone.now())._asdict()


@app.task(name="metering.make_partitions")
def make_partitions() -> int:
    return partitions.make_ahead(now=timezone.now())
