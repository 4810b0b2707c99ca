"""`manage.py import_plans FILE`: plans and subscriptions from a TOML file."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from billing.plans import InvalidPlanFile, PlanConflict, import_plans
from config.roles import IMPORT_PLANS
from metering.files.input_files import UnreadableInput, content_of
from metering.management.answering import AnsweringCommand
from metering.people import NotAllowed, author


class Command(AnsweringCommand):
    help = "Import plans and subscriptions from a TOML file; the same file twice is harmless."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="a TOML file; billing/README.md has an example")
        parser.add_argument("--as", dest="person", default="", help="who imports")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            author(options["person"], IMPORT_PLANS)
            imported = import_plans(content_of(path))
        except (UnreadableInput, NotAllowed) as error:
            raise CommandError(str(error)) from error
        except (InvalidPlanFile, PlanConflict) as error:
            raise CommandError(f"{path}: {error}") from error
        if options["json"]:
            self.stdout.write(json.dumps(asdict(imported)))
            return
        self.stdout.write(
            f"plan versions: {imported.plan_versions} new, "
            f"{imported.plan_versions_unchanged} known; "
            f"subscriptions: {imported.subscriptions} new, "
            f"{imported.subscriptions_unchanged} known"
        )
