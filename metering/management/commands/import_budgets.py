"""Budgets from a CSV file."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from config.roles import IMPORT_BUDGETS
from metering import budget_files
from metering.files.input_files import UnreadableInput
from metering.management.answering import AnsweringCommand
from metering.people import NotAllowed, author


class Command(AnsweringCommand):
    help = f"Import budgets.\n\n{budget_files.__doc__}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--as", dest="person", default="", help="who imports")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            author(options["person"], IMPORT_BUDGETS)
            found = budget_files.import_file(options["file"])
        except (UnreadableInput, budget_files.BudgetFileError, NotAllowed) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            said = {"rows": found.rows, "added": found.added, "ended": found.ended}
            self.stdout.write(json.dumps(said))
        else:
            self.stdout.write(f"{found.rows} rows: {found.added} new, {found.ended} ended by them")
