"""`manage.py demo`: a whole month, from raw usage to a closed month and draft invoices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich.console import Console

from allocation.allocation_run import NoBills
from allocation.bill_checks import BillRefused
from allocation.domain.statements import Statement
from allocation.period_close import CloseRefused
from billing.demo import companions
from billing.demo.bill_documents import CSV_COLUMNS
from billing.demo.checks import checks
from billing.demo.companions import Companion, CompanionEnded
from billing.demo.documents import MadeMonth, write_month
from billing.demo.journey import BillFile, Inputs, WorkFailed, travel
from billing.demo.month import EVENTS
from billing.demo.own_database import DatabaseRefused, demo_database
from billing.demo.owners import SOURCE
from billing.demo.papers import write_papers
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
            with (
                _made_beside(console, out / "in", options) as made,
                demo_database() as name,
                companions.stripe() as stripe,
                companions.worker(name, stripe) as worker,
            ):
                failed = self._run(console, out, options, made, worker, pushes=stripe is not None)
        except REFUSALS as error:
            raise CommandError(str(error)) from error
        console.print(f"Documents are under {out}/, the database is {name}.")
        if failed:
            raise CommandError("something does not hold; see what must hold, above")

    def _run(
        self,
        console: Console,
        out: Path,
        options: dict[str, Any],
        making: Future[MadeMonth] | None,
        worker: Companion,
        *,
        pushes: bool,
    ) -> bool:
        """Take the journey and print what it found; whether something does not hold."""
        started = perf_counter()
        made = None if making is None else making.result()
        waited = perf_counter() - started
        if made is not None:
            inputs, now = made_inputs(made), MONTH_END_WORK
        else:
            bill = BillFile(options["bill"], options["provider"], _columns(options["map"]))
            inputs = Inputs(options["usage"], (bill,), source="file")
            now = timezone.now()
        journey = travel(inputs, now=now, worker=worker, pushes=pushes, said=console.print)
        statements: dict[str, Sequence[Statement]] = {}
        with journey.step("write documents"):
            for closed in journey.months:
                statements[str(closed.month)] = write_papers(closed, out)
        if made is not None:
            journey.seconds = {"wait for the made-up month": waited, **journey.seconds}
        found = list(checks(journey, made))
        print_summary(console, journey, made, statements, found)
        return not all(check.holds for check in found)


@contextmanager
def _made_beside(
    console: Console, folder: Path, options: dict[str, Any]
) -> Iterator[Future[MadeMonth] | None]:
    """The month, being made up by another process while the database is; nothing where the
    usage is the user's own."""
    if options["usage"] is not None:
        yield None
        return
    console.print(f"making up a month of {options['events']:,} calls")
    with ProcessPoolExecutor(1) as pool:
        yield pool.submit(write_month, folder, options["events"])


def made_inputs(made: MadeMonth) -> Inputs:
    """The made-up month's files, as the journey wants them."""
    return Inputs(
        usage=made.usage,
        bills=(
            BillFile(made.openai_bill, "openai"),
            BillFile(made.anthropic_bill, "anthropic", CSV_COLUMNS),
        ),
        source=SOURCE,
        owners=made.owners,
        seats=made.seats,
        rule=made.rule,
        plans=made.plans,
    )


def _columns(pairs: list[str]) -> dict[str, str]:
    columns = {}
    for pair in pairs:
        field, separator, column = pair.partition("=")
        if not (field and separator and column):
            raise CommandError(f"--map {pair}: write it as FIELD=COLUMN, like amount=cost_usd")
        columns[field] = column
    return columns
