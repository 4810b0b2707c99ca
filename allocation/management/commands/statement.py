"""`statement 2026-10 --cost-centre cc-growth --format html`: who bears what, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser

from allocation import statements
from allocation.domain.statements import Statement, Subject
from allocation.rendering.statement_csv import statement_csv
from allocation.rendering.statement_html import statement_html
from allocation.rendering.statement_json import statement_value
from allocation.run_book import NothingAllocated, RunBook, Whose, current_run, open_book
from metering.domain.periods import InvalidPeriod, Month
from metering.management.answering import AnsweringCommand

FORMATS: Final = ("json", "csv", "html")
LATER_FORMATS: Final = ("xlsx", "pdf")


class Command(AnsweringCommand):
    help = "Prints a month's statement of a cost centre, a tenant or (neither named) the company."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("period", metavar="PERIOD", help="the month, like 2026-10")
        whose = parser.add_mutually_exclusive_group()
        whose.add_argument("--cost-centre", metavar="C")
        whose.add_argument("--tenant", metavar="T")
        whose.add_argument("--team", metavar="G")
        whose.add_argument("--user", metavar="U")
        parser.add_argument("--currency", metavar="CUR", help="where bills are in several")
        parser.add_argument("--format", default="json", metavar="|".join(FORMATS))
        parser.add_argument("--json", action="store_true", help="the same as --format json")
        parser.add_argument("--out", metavar="FILE", help="write to a file instead of stdout")

    def handle(self, *_: Any, **options: Any) -> None:
        chosen = "json" if options["json"] else options["format"]
        _refuse_what_is_not_offered(chosen, options)
        try:
            run = current_run(Month.parse(options["period"]))
            book = open_book(run, whose=_whose(options))
            subject = _subject(book, options)
            currency = statements.currency_for(book, subject, options["currency"])
            text = _rendered(statements.draw(book, subject, currency), chosen)
        except (InvalidPeriod, NothingAllocated, statements.UnknownSubject) as error:
            raise CommandError(str(error)) from error
        if options["out"]:
            _write(Path(options["out"]), text)
        else:
            self.stdout.write(text)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error


def _refuse_what_is_not_offered(chosen: str, options: dict[str, Any]) -> None:
    if chosen in LATER_FORMATS:
        raise CommandError(f"{chosen} is not offered yet; there are {', '.join(FORMATS)}")
    if chosen not in FORMATS:
        raise CommandError(f"no format {chosen!r}; there are {', '.join(FORMATS)}")
    for whose in ("team", "user"):
        if options[whose]:
            raise CommandError(
                f"statements per {whose} are not offered yet; there are --cost-centre and "
                "--tenant, and the whole company's with neither"
            )


def _whose(options: dict[str, Any]) -> Whose | None:
    if options["cost_centre"] is not None:
        return Whose("cost_centre", options["cost_centre"])
    return None if options["tenant"] is None else Whose("tenant", options["tenant"])


def _subject(book: RunBook, options: dict[str, Any]) -> Subject:
    if options["cost_centre"] is not None:
        return statements.cost_centre_subject(book, options["cost_centre"])
    if options["tenant"] is not None:
        return statements.tenant_subject(book, options["tenant"])
    return statements.COMPANY


def _rendered(statement: Statement, chosen: str) -> str:
    match chosen:
        case "csv":
            return statement_csv(statement)
        case "html":
            return statement_html(statement)
        case _:
            return json.dumps(statement_value(statement), indent=2, ensure_ascii=False)
