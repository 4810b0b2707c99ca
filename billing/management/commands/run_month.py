"""`manage.py run_month 2026-10`: start the month's run, or see where it stands."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from time import monotonic, sleep
from typing import Any, Final

from django.core.management.base import CommandError
from django.utils import timezone

from billing import monthly_run
from config.roles import RUN_ALLOCATION
from metering.background.schedules import SCHEDULE
from metering.background.work_status import RunStatus, value
from metering.background.workers import work_off
from metering.domain.periods import InvalidPeriod, Month
from metering.management.answering import AnsweringCommand
from metering.people import NotAllowed, author

_LOOK_SECONDS: Final = 0.5


class Command(AnsweringCommand):
    help = (
        "Start the month's run: reconcile, allocate, wait for people to approve and close, draft "
        "invoices. Joins a run that is at work; begins one anew that only waits or has failed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("period", metavar="PERIOD", help="a month, like 2026-10")
        parser.add_argument("--rule", help="the rule to divide by (default: the one in use)")
        parser.add_argument("--as", dest="author", default="", help="who runs it; another approves")
        parser.add_argument("--status", action="store_true", help="start nothing; only look")
        parser.add_argument("--here", action="store_true", help="do the work here, by no worker")
        parser.add_argument(
            "--wait", action="store_true", help="until it is done, or waits for people, or failed"
        )
        parser.add_argument(
            "--timeout", type=float, default=600, help="seconds to --wait (default: 600)"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            month = Month.parse(options["period"])
            if not options["status"]:
                self._start(month, options)
        except (InvalidPeriod, NotAllowed) as error:
            raise CommandError(str(error)) from error
        status = self._awaited(month, options)
        if status is None:
            raise CommandError(f"{month} has no run; start one with: manage.py run_month {month}")
        if options["json"]:
            self.stdout.write(json.dumps(value(status)))
        else:
            self._print(status)
        if status.state == "failed":
            raise CommandError(f"{month} cannot go on: {'; '.join(status.errors)}")

    def _start(self, month: Month, options: dict[str, Any]) -> None:
        started = monthly_run.start(
            month,
            author=author(options["author"], RUN_ALLOCATION) or SCHEDULE,
            now=timezone.now(),
            rule=options["rule"],
        )
        if options["here"]:
            work_off(started.run.pk, clock=timezone.now)

    def _awaited(self, month: Month, options: dict[str, Any]) -> RunStatus | None:
        started = monotonic()
        status = monthly_run.monthly_run_status(month)
        while options["wait"] and status is not None and status.state == "at work":
            if monotonic() - started > options["timeout"]:
                raise CommandError(
                    f"{month} is still at work after {options['timeout']:g} s, at {status.step}; "
                    "is a worker running? (celery --app config.celery worker)"
                )
            sleep(_LOOK_SECONDS)
            status = monthly_run.monthly_run_status(month)
        return status

    def _print(self, status: RunStatus) -> None:
        self.stdout.write(f"{status.subject}: {status.state}, started by {status.author}")
        for step in status.steps:
            self.stdout.write(f"  {step.name:<10} {step.done} of {step.parts} done")
        for line in (*status.waits_for, *status.errors):
            self.stdout.write(f"  {line}")
