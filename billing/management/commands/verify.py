"""Prove a month: recompute digests, seals and conservation from the raw events."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError

from billing.verify import verify
from metering.domain.periods import InvalidPeriod, Month
from metering.management.answering import AnsweringCommand


class Command(AnsweringCommand):
    help = "Recompute a month from its raw events and name whatever does not hold."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("period", nargs="?", help="the month, as 2026-10; default: last month")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            month = (
                Month.parse(options["period"])
                if options["period"] is not None
                else Month.of(datetime.now(UTC)).previous()
            )
        except InvalidPeriod as error:
            raise CommandError(str(error)) from error
        verified = verify(month)
        if options["json"]:
            self.stdout.write(
                json.dumps(
                    {
                        "period": str(month),
                        "holds": verified.holds,
                        "checks": verified.checks,
                        "findings": [finding._asdict() for finding in verified.findings],
                    }
                )
            )
        else:
            for check in verified.checks:
                self.stdout.write(f"  checked: {check}")
            for finding in verified.findings:
                self.stdout.write(f"  BROKEN {finding.check}: {finding.where}: {finding.what}")
        if not verified.holds:
            raise CommandError(
                f"{month}: {len(verified.findings)} findings; {verified.findings[0]}"
            )
        if not options["json"]:
            self.stdout.write(f"{month} holds")
