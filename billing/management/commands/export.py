"""Usage and evidence of a month as JSON Lines."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import CommandError

from billing import evidence_export
from metering.domain.periods import InvalidPeriod, Month, Period
from metering.management.answering import AnsweringCommand
from metering.usage_export import usage_lines


class Command(AnsweringCommand):
    help = (
        "Write a month's events as stored (usage), or the events under statements and invoice"
        " lines (evidence), one JSON object a line."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=["usage", "evidence"])
        parser.add_argument("period", help="the month, as 2026-10")
        parser.add_argument(
            "--out",
            type=Path,
            required=True,
            help="the file to write; its folder is made if need be",
        )
        parser.add_argument("--from", dest="first", type=date.fromisoformat, help="first UTC day")
        parser.add_argument("--to", dest="last", type=date.fromisoformat, help="last UTC day")
        parser.add_argument("--invoice-line", type=int, help="evidence of this line only")
        parser.add_argument("--cost-centre", help="evidence of this cost centre's statement only")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        out: Path = options["out"]
        try:
            month = Month.parse(options["period"])
            lines = _lines(month, options)
            written = _write(out, lines)
        except BrokenPipeError:
            raise  # whoever read it has gone, as `head` does once it has seen enough
        except (InvalidPeriod, evidence_export.NoSuchLine, OSError) as error:
            raise CommandError(str(error)) from error
        said = self.stderr if _is_no_file(out) else self.stdout  # beside what a pipe has got
        if options["json"]:
            said.write(json.dumps({"file": str(out), "lines": written}))
        else:
            said.write(f"{written} lines in {out}")


def _lines(month: Month, options: dict[str, Any]) -> Iterator[bytes]:
    if options["what"] == "usage":
        return usage_lines(_days(month, options["first"], options["last"]))
    if options["invoice_line"] is not None:
        return evidence_export.of_invoice_line(options["invoice_line"])
    if options["cost_centre"] is not None:
        return evidence_export.of_cost_centre(options["cost_centre"], month)
    return evidence_export.of_month(month)


def _days(month: Month, first: date | None, last: date | None) -> Period:
    """The month, or the days of it from `first` to `last`, both included."""
    start, end = first or month.first_day(), last or month.last_day()
    if not month.first_day() <= start <= end <= month.last_day():
        raise InvalidPeriod(f"--from {start} --to {end} are no days of {month} in their order")
    midnight = datetime(start.year, start.month, start.day, tzinfo=UTC)
    return Period(midnight, midnight + timedelta(days=(end - start).days + 1))


def _write(out: Path, lines: Iterator[bytes]) -> int:
    """Write all lines or leave no file: a broken export must not pass for a whole one.

    Folders that are missing on the way are made, so that a schedule can name one for each month.
    Where `out` is a pipe or a device, like /dev/stdout, it is written as it is, never replaced.
    """
    if out.is_dir():
        raise IsADirectoryError(f"{out} is a folder; name a file in it")
    if _is_no_file(out):
        with out.open("wb") as pipe:
            return _written(pipe, lines)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".part")
    try:
        with partial.open("wb") as file:
            written = _written(file, lines)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return written


def _is_no_file(out: Path) -> bool:
    return out.exists() and not out.is_file()


def _written(file: BinaryIO, lines: Iterator[bytes]) -> int:
    count = 0
    for line in lines:
        file.write(line + b"\n")
        count += 1
    return count
