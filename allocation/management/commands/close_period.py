"""`close_period 2026-10 [--dry-run] [--as USER]`: the four questions, then the close."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from allocation import period_close
from allocation.closed_months import MonthIsClosed, refuse_if_closed
from allocation.domain.readiness import QUESTIONS, Readiness
from metering.domain.periods import InvalidPeriod, Month
from metering.management.answering import AnsweringCommand
from metering.people import NotAllowed


class Command(AnsweringCommand):
    help = "Closes a month, or says what is missing and how to mend it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("period", metavar="PERIOD", help="the month, like 2026-10")
        parser.add_argument("--dry-run", action="store_true", help="answer, and change nothing")
        parser.add_argument("--as", dest="by", metavar="USER", help="who closes")
        parser.add_argument(
            "--accept-unexplained",
            default="",
            metavar="REASON",
            help="why a difference beyond the tolerance is accepted; it stays on record",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        now, accepted = timezone.now(), options["accept_unexplained"]
        try:
            month = Month.parse(options["period"])
            if options["dry_run"]:
                refuse_if_closed(month)
                found = period_close.readiness(month, now=now, accept_unexplained=accepted)
                self._answer(found, as_json=options["json"])
                return
            close = period_close.close(
                month, by=options["by"] or "", now=now, accept_unexplained=accepted
            )
        except period_close.NotReady as error:
            self._answer(error.readiness, as_json=options["json"])
            raise CommandError(str(error)) from error
        except (InvalidPeriod, MonthIsClosed, period_close.CloseRefused, NotAllowed) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(period_close.close_value(close)))
            return
        for answer in close.answers:
            self._line(answer["question"], yes=True, facts=answer["facts"])
        self.stdout.write(
            f"{month} is closed by {close.closed_by}: run {close.run.number} by "
            f"{close.prepared_by}, approved by {close.approved_by}, digest {close.run_digest}"
        )
        for book, root in sorted(close.seals.items()):
            self.stdout.write(f"sealed in the {book} book: {root}")

    def _answer(self, readiness: Readiness, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(period_close.readiness_value(readiness)))
            return
        for answer in readiness.answers:
            self._line(answer.question, yes=answer.yes, facts=answer.facts)
            for finding in answer.findings:
                self.stdout.write(f"      {finding.missing}\n      → {finding.remedy}")
        if readiness.ready:
            self.stdout.write(f"{readiness.month} can be closed")

    def _line(self, question: str, *, yes: bool, facts: Any) -> None:
        text = QUESTIONS[question]  # type: ignore[index]
        self.stdout.write(f"{'yes' if yes else 'NO ':<4}{text}  {'; '.join(facts)}".rstrip())
