"""Fold the rollups' tails: for a schedule, since every import only appends to them."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from metering.management.answering import AnsweringCommand
from metering.rollups import fold


class Command(AnsweringCommand):
    help = (
        "Fold what imports appended to the rollups. Changes no reading; keeps them quick. One "
        "runner at a time: beside another it folds nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        folded = fold()
        if options["json"]:
            self.stdout.write(json.dumps(folded))
        else:
            rows = ", ".join(f"{name} {count:,}" for name, count in folded.items())
            self.stdout.write(f"tail rows folded: {rows or 'none, another runner is at work'}")
