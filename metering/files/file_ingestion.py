"""A file of usage, taken in by several processes at once.

One process reads; it hands blocks of lines (or rows) to workers, each with a connection of its
own, which parse, price and store a block in one transaction. Which worker takes which block does
not matter: a key counts once, whoever claims it. If a worker dies, its block has not happened;
importing the file again takes in what is missing.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple

import django
import msgspec
from django.db import connection, connections

from metering.files.usage_files import Unit, UnitParser, UsageFile
from metering.ingestion import Books, Intake
from metering.outcomes import IngestResult, Outcome

BLOCK: Final = 5_000
WORKERS: Final = 2
"""Two workers keep two cores and the database busy; more would wait for each other's commits."""
_AHEAD: Final = 2
"""Blocks that wait for each worker: bounds what is in memory."""


class WorkerDied(RuntimeError):
    """A worker process ended in the middle of its block; what it had committed is stored."""


class Taken(NamedTuple):
    """What became of one block. Outcomes name their place in the file."""

    accepted: int
    others: list[Outcome]


def ingest_file(
    usage: UsageFile,
    *,
    now: datetime | None,
    workers: int | None = None,
    on_progress: Callable[[IngestResult], None] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> IngestResult:
    """Take in the whole file, received at `now`, or (`None`) block by block as it is taken in: what
    is made of the usage meanwhile, an invoice say, then knows of each event whether it was there.
    `on_outcome` hears every outcome but `accepted`, with its `place`.

    `workers`: `None` takes `WORKERS`, but works in this process for a file of one block, where
    there is but one core, and inside a transaction, which no other process could join. Raises
    `WorkerDied`.
    """
    result = IngestResult()
    base = 0
    for size, taken in _blocks(usage, now, workers):
        result.accepted += taken.accepted
        for outcome in taken.others:
            placed = msgspec.structs.replace(outcome, index=base + outcome.index)
            result.count(placed)
            if on_outcome is not None:
                on_outcome(placed)
        base += size
        if on_progress is not None:
            on_progress(result)
    return result


def _blocks(
    usage: UsageFile, now: datetime | None, workers: int | None
) -> Iterator[tuple[int, Taken]]:
    """Each block's size and what became of it, in the file's order."""
    first = list(islice(usage.units, BLOCK))
    if workers is None:
        alone = len(first) < BLOCK or connection.in_atomic_block or (os.cpu_count() or 1) == 1
        workers = 1 if alone else WORKERS
    worker = _Worker(usage.parse, now, {a: connections[a].settings_dict["NAME"] for a in _ALIASES})
    if workers == 1:
        intake = Intake(Books.load(), now)
        block = first
        while block:
            yield len(block), _take(intake, usage.parse, block)
            block = list(islice(usage.units, BLOCK))
        return
    Books.load()  # a fork has read the prices then
    with _pool(workers, worker) as pool:
        waiting: deque[tuple[int, Future[Taken]]] = deque()
        block = first
        while block or waiting:
            while block and len(waiting) < workers * _AHEAD:
                waiting.append((len(block), pool.submit(_take_in_worker, block)))
                block = list(islice(usage.units, BLOCK))
            size, future = waiting.popleft()
            yield size, future.result()


_ALIASES: Final = ("default", "migrator")


@contextmanager
def _pool(workers: int, worker: _Worker) -> Iterator[ProcessPoolExecutor]:
    # A fork has Django and its settings at once; elsewhere a fork is not safe beside system
    # libraries that run threads.
    method = "fork" if sys.platform == "linux" else "spawn"
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context(method), worker.start, ()
    ) as pool:
        try:
            yield pool
        except BrokenProcessPool as error:
            raise WorkerDied(
                "a process that was taking events in has died; what was committed is stored:"
                " import the file again, nothing is counted twice"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Worker:
    """How a worker process begins: on the same databases, with connections of its own."""

    parse: UnitParser
    now: datetime | None
    databases: dict[str, str]

    def start(self) -> None:
        global _working  # noqa: PLW0603 - a pool's initializer has no other way to hand over
        if not django.apps.apps.ready:
            django.setup()
        for alias, name in self.databases.items():
            # The parent's connection came along with a fork; closing it here would end it there.
            connections[alias].connection = None
            connections[alias].settings_dict["NAME"] = name
        _working = (Intake(Books.load(), self.now), self.parse)


_working: tuple[Intake, UnitParser] | None = None


def _take_in_worker(units: list[Unit]) -> Taken:
    assert _working is not None, "the worker was not started"
    return _take(*_working, units)


def _take(intake: Intake, parse: UnitParser, units: list[Unit]) -> Taken:
    accepted, others = intake.take([parse(unit).item for unit in units])
    return Taken(
        accepted,
        [msgspec.structs.replace(outcome, place=units[outcome.index].place) for outcome in others],
    )
