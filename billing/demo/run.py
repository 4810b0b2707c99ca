"""The demo from an empty database to what must hold, with the programs beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Final

import django
from django.db import connections
from django.utils import timezone
from rich.console import Console

from allocation.allocation_run import NoBills
from allocation.bill_checks import BillRefused
from allocation.domain.statements import Statement
from allocation.models import AllocationRun
from allocation.period_close import CloseRefused
from allocation.reconciliation import ProviderResult
from billing.demo import companions
from billing.demo.bill_documents import CSV_COLUMNS
from billing.demo.checks import checks
from billing.demo.companions import CompanionEnded
from billing.demo.documents import MonthFiles
from billing.demo.journey import BillFile, Inputs, Journey, WorkFailed, travel
from billing.demo.making import Making, MakingFailed, end_without
from billing.demo.own_database import DatabaseRefused, demo_database, migrating, point_at
from billing.demo.owners import SOURCE
from billing.demo.papers import make_ready, write_invoices, write_papers
from billing.demo.summary import print_summary
from metering.files.usage_files import UnreadableFile

MONTH_END_WORK: Final = datetime(2026, 11, 2, 9, tzinfo=UTC)
"""When the made-up month is worked on, whatever the machine's clock says."""

REFUSALS: Final = (
    DatabaseRefused,
    UnreadableFile,
    BillRefused,
    NoBills,
    CloseRefused,
    WorkFailed,
    CompanionEnded,
    MakingFailed,
    OSError,
)


def show_made(month: Making, out: Path) -> bool:
    """Take the made-up month through the product, print what was found, leave documents in the
    folder; whether all holds. Raises the `REFUSALS`."""
    return _show(made_inputs(month.files()), MONTH_END_WORK, month, out)


def show_own(usage: Path, bill: Path, provider: str, columns: Mapping[str, str], out: Path) -> bool:
    """`show_made` of a usage file and a bill of one's own; `columns`: which column of a bill in
    CSV holds which field."""
    inputs = Inputs(usage, (BillFile(bill, provider, columns),), source="file")
    return _show(inputs, timezone.now(), None, out)


def _show(inputs: Inputs, now: datetime, month: Making | None, out: Path) -> bool:
    console = Console()
    with (
        companions.worker() as worker,
        _process() as beside,
        demo_database() as name,
        migrating() as migrated,
        companions.stripe() as stripe,
    ):
        worker.begin(name, stripe)
        migrated()
        desk = _Desk(beside, name, out)
        journey = travel(
            inputs,
            now=now,
            worker=worker,
            pushes=stripe is not None,
            said=console.print,
            taken_in=desk.make_ready,
            settled=desk.write,
            written=(lambda: None) if month is None else month.wait,
        )
        made = None if month is None else month.made()
        with journey.step("wait for the documents"):
            statements = desk.statements(journey)
        found = list(checks(journey, made))
        print_summary(console, journey, made, statements, found)
    console.print(f"Documents are under {out}/, the database is {name}.")
    return all(check.holds for check in found)


@contextmanager
def _process() -> Iterator[Executor]:
    """A process beside this one, which writes the documents."""
    with ProcessPoolExecutor(1, initializer=_begin, initargs=(os.getpid(),)) as pool:
        pool.submit(os.getpid).result()  # it starts now, when there are no connections to share
        yield pool


def _begin(parent: int) -> None:
    Thread(target=end_without, args=(parent,), daemon=True).start()
    django.setup()


@dataclass(frozen=True)
class _Desk:
    """Has the documents of a month written, beside what is done after its close."""

    process: Executor
    database: str
    folder: Path
    writing: dict[str, Future[list[Statement]]] = field(default_factory=dict)

    def make_ready(self) -> None:
        self.process.submit(make_ready)

    def write(self, run: AllocationRun, results: Sequence[ProviderResult]) -> None:
        self.writing[run.month] = self.process.submit(
            _papers_from, self.database, run, results, self.folder
        )

    def statements(self, journey: Journey) -> dict[str, Sequence[Statement]]:
        """Write the invoices too, and wait for the rest: the cost centres' statements by month."""
        for closed in journey.months:
            write_invoices(closed.invoices, self.folder)
        return {month: written.result() for month, written in self.writing.items()}


def _papers_from(
    database: str, run: AllocationRun, results: Sequence[ProviderResult], folder: Path
) -> list[Statement]:
    """`write_papers` in another process, from that database."""
    point_at(database)
    try:
        return write_papers(run, results, folder)
    finally:
        connections.close_all()


def made_inputs(files: MonthFiles) -> Inputs:
    """The made-up month's files, as the journey wants them."""
    return Inputs(
        usage=files.usage,
        bills=(
            BillFile(files.openai_bill, "openai"),
            BillFile(files.anthropic_bill, "anthropic", CSV_COLUMNS),
        ),
        source=SOURCE,
        owners=files.owners,
        seats=files.seats,
        rule=files.rule,
        plans=files.plans,
    )
