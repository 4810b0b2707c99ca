"""`reopen_period 2026-10 --reason "…" --as USER`: a second person undoes a close."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from allocation import period_close
from metering.domain.periods import InvalidPeriod, Month
from metering.management.answering import AnsweringCommand
from metering.people import NotAllowed


class Command(AnsweringCommand):
    help = "Reopens a closed month: for a reason, by a person other than the one who closed it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("period", metavar="PERIOD", help="the month, like 2026-10")
        parser.add_argument("--reason", default="", help="why; it stays on record")
        parser.add_argument("--as", dest="by", metavar="USER", help="who reopens")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            month = Month.parse(options["period"])
            reopening = period_close.reopen(
                month, reason=options["reason"], by=options["by"] or "", now=timezone.now()
            )
        except (InvalidPeriod, period_close.CloseRefused, NotAllowed) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            answer = {
                "period": str(month),
                "closed_by": reopening.close.closed_by,
                "reopened_by": reopening.reopened_by,
                "reason": reopening.reason,
            }
            self.stdout.write(json.dumps(answer))
            return
        self.stdout.write(
            f"{month} is open again, reopened by {reopening.reopened_by}: {reopening.reason}"
        )
