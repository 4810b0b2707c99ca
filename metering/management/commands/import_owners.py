"""Cost centres, tenants, service accounts and dated mappings from a CSV file."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from config.roles import IMPORT_OWNERS
from metering import owners
from metering.files.input_files import UnreadableInput
from metering.management.answering import AnsweringCommand
from metering.people import NotAllowed, author


class Command(AnsweringCommand):
    help = f"Import owners and mappings.\n\n{owners.__doc__}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--as", dest="person", default="", help="who imports")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            author(options["person"], IMPORT_OWNERS)
            imported = owners.import_file(options["file"])
        except (UnreadableInput, owners.OwnersFileError, NotAllowed) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps({"rows": imported.rows, "added": imported.added}))
        else:
            self.stdout.write(f"{imported.rows} rows, {imported.added} of them new")
