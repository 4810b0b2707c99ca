"""`manage.py demo`: a whole month, from raw usage to a closed month and draft invoices."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import django
from django.core.management.base import BaseCommand, CommandError, CommandParser
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
from billing.demo.companions import Companion, CompanionEnded
from billing.demo.documents import MadeMonth, MonthFiles, write_terms, write_traffic
from billing.demo.journey import BillFile, Inputs, Journey, WorkFailed, travel
from billing.demo.own_database import DatabaseRefused, demo_database, migrating, point_at
from billing.demo.owners import SOURCE
from billing.demo.papers import make_ready, write_invoices, write_papers
from billing.demo.size import EVENTS
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
    OSError,
)


class Command(BaseCommand):
    help = (
        "Runs the main job on a month of usage, in a database of its own: ingest, price, "
        "reconcile with the provider's bill, allocate, close, draft invoices, verify. Without "
        "files, the month and its bills are made up and what was planted in them must be found."
    )
    requires_system_checks = ()
    """They would import every page, which nobody asks for here."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--usage", type=Path, metavar="FILE", help="usage of your own")
        parser.add_argument("--bill", type=Path, metavar="FILE", help="the bill for that usage")
        parser.add_argument("--provider", default="openai", help="whose bill (default: openai)")
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="FIELD=COLUMN",
            help="for a bill in CSV: which column holds which field",
        )
        parser.add_argument("--out", type=Path, default=Path("out"), help="where documents go")
        parser.add_argument("--events", type=int, default=EVENTS, help="how many calls to make up")

    def handle(self, *_: Any, **options: Any) -> None:
        if (options["usage"] is None) != (options["bill"] is None):
            raise CommandError("usage and bill belong together: give --usage FILE and --bill FILE")
        if options["events"] < 1:
            raise CommandError(f"--events {options['events']}: at least one call is needed")
        console = Console()
        out: Path = options["out"]
        try:
            with companions.worker() as worker, _process() as beside:
                month = _made_by(beside, console, out / "in", options)
                with (
                    demo_database() as name,
                    migrating() as migrated,
                    companions.stripe() as stripe,
                ):
                    worker.begin(name, stripe)
                    migrated()
                    desk = _Desk(beside, name, out)
                    pushes = stripe is not None
                    failed = self._run(console, options, month, worker, desk, pushes=pushes)
        except REFUSALS as error:
            raise CommandError(str(error)) from error
        console.print(f"Documents are under {out}/, the database is {name}.")
        if failed:
            raise CommandError("something does not hold; see what must hold, above")

    def _run(
        self,
        console: Console,
        options: dict[str, Any],
        month: _Making | None,
        worker: Companion,
        desk: _Desk,
        *,
        pushes: bool,
    ) -> bool:
        """Take the journey and print what it found; whether something does not hold."""
        if month is not None:
            inputs, now = made_inputs(month.files), MONTH_END_WORK
        else:
            bill = BillFile(options["bill"], options["provider"], _columns(options["map"]))
            inputs = Inputs(options["usage"], (bill,), source="file")
            now = timezone.now()
        journey = travel(
            inputs,
            now=now,
            worker=worker,
            pushes=pushes,
            said=console.print,
            taken_in=desk.make_ready,
            settled=desk.write,
            written=(lambda: None) if month is None else month.wait,
        )
        made = None if month is None else month.made.result()
        with journey.step("wait for the documents"):
            statements = desk.statements(journey)
        found = list(checks(journey, made))
        print_summary(console, journey, made, statements, found)
        return not all(check.holds for check in found)


@contextmanager
def _process() -> Iterator[Executor]:
    """A process beside this one: it makes up the month, and later writes the documents."""
    with ProcessPoolExecutor(1, initializer=django.setup) as pool:
        pool.submit(os.getpid).result()  # it starts now, when there are no connections to share
        yield pool


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


def _made_by(
    process: Executor, console: Console, folder: Path, options: dict[str, Any]
) -> _Making | None:
    """The month, being made up by another process while the database is; nothing where the
    usage is the user's own."""
    if options["usage"] is not None:
        return None
    console.print(f"making up a month of {options['events']:,} calls")
    files = write_terms(folder)
    return _Making(files, process.submit(write_traffic, files, options["events"]))


class _Making(NamedTuple):
    """The month's files: what was agreed is written, what it brought is being written."""

    files: MonthFiles
    made: Future[MadeMonth]

    def wait(self) -> None:
        self.made.result()


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


def _columns(pairs: list[str]) -> dict[str, str]:
    columns = {}
    for pair in pairs:
        field, separator, column = pair.partition("=")
        if not (field and separator and column):
            raise CommandError(f"--map {pair}: write it as FIELD=COLUMN, like amount=cost_usd")
        columns[field] = column
    return columns
