"""`manage.py demo`: a whole month, from raw usage to a closed month and draft invoices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.demo.making import month_of
from billing.demo.size import EVENTS


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
        if not (self._made(**options) if options["usage"] is None else self._own(**options)):
            raise CommandError("something does not hold; see what must hold, above")

    def _made(self, *, events: int, out: Path, **_: Any) -> bool:
        self.stdout.write(f"making up a month of {events:,} calls")
        self.stdout.flush()
        with month_of(events, out / "in") as month:
            from billing.demo import run  # takes a second: by then the month is well begun

            try:
                return run.show_made(month, out)
            except run.REFUSALS as error:
                raise CommandError(str(error)) from error

    def _own(self, *, usage: Path, bill: Path, provider: str, out: Path, **options: Any) -> bool:
        from billing.demo import run  # as above

        try:
            return run.show_own(usage, bill, provider, _columns(options["map"]), out)
        except run.REFUSALS as error:
            raise CommandError(str(error)) from error


def _columns(pairs: list[str]) -> dict[str, str]:
    columns = {}
    for pair in pairs:
        field, separator, column = pair.partition("=")
        if not (field and separator and column):
            raise CommandError(f"--map {pair}: write it as FIELD=COLUMN, like amount=cost_usd")
        columns[field] = column
    return columns
