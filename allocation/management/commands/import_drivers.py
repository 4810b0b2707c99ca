"""`manage.py import_drivers FILE`: take in dated drivers from outside usage, such as seats."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from allocation.drivers import COLUMNS, read_driver_file, store_drivers
from config.roles import IMPORT_DRIVERS
from metering.files.input_files import UnreadableInput, text_of
from metering.management.answering import AnsweringCommand
from metering.people import NotAllowed, author


class Command(AnsweringCommand):
    help = f"Takes in a CSV of dated drivers with the columns {', '.join(COLUMNS)}."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--as", dest="author", default="", help="who answers for it")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            text = StringIO(text_of(path), newline="")
            imported = store_drivers(
                read_driver_file(text),
                author=author(options["author"], IMPORT_DRIVERS),
                now=timezone.now(),
            )
        except UnreadableInput as error:
            raise CommandError(str(error)) from error
        except (ValueError, NotAllowed) as error:
            raise CommandError(f"{path}: {error}") from error
        if options["json"]:
            self.stdout.write(json.dumps(imported._asdict()))
            return
        self.stdout.write(
            f"{imported.added} values added, {imported.ended} ended, "
            f"{imported.unchanged} known already"
        )
