"""`approve_allocation 2026-10 --as USER`: a second person agrees with the month's run."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from allocation import period_close
from allocation.run_book import NothingAllocated, current_run
from metering.domain.periods import InvalidPeriod, Month
from metering.management.answering import AnsweringCommand
from metering.people import NotAllowed


class Command(AnsweringCommand):
    help = "Approves a month's allocation run; by a person other than its author."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("period", metavar="PERIOD", help="the month, like 2026-10")
        parser.add_argument("--as", dest="by", metavar="USER", help="who approves")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            run = current_run(Month.parse(options["period"]))
            approval = period_close.approve(run, by=options["by"] or "", now=timezone.now())
        except (InvalidPeriod, NothingAllocated, period_close.CloseRefused, NotAllowed) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            answer = {
                "period": run.month,
                "run": run.number,
                "author": run.author,
                "approved_by": approval.approved_by,
                "digest": approval.outputs_digest,
            }
            self.stdout.write(json.dumps(answer))
            return
        self.stdout.write(
            f"Run {run.number} of {run.month} by {run.author} is approved by "
            f"{approval.approved_by}; close the month with: "
            f"manage.py close_period {run.month} --as USER"
        )
