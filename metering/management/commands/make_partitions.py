"""Make the partitions of the coming days: for a schedule, and before a large import."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from metering.management.answering import AnsweringCommand
from metering.partitions import DAYS_AHEAD, MOST_DAYS, make_ahead


class Command(AnsweringCommand):
    help = "Make the events' partitions of the coming days; those that are there are left alone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=DAYS_AHEAD, help="how many days ahead")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        if not 0 <= options["days"] <= MOST_DAYS:
            raise CommandError(f"--days {options['days']}: give a number from 0 to {MOST_DAYS}")
        made = make_ahead(now=timezone.now(), days=options["days"])
        if options["json"]:
            self.stdout.write(json.dumps({"made": made}))
        else:
            self.stdout.write(f"partitions made: {made}")
