"""`manage.py import_rules FILE`: take in an allocation rule as a new version."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from allocation.rule_book import read_rule_file, store_rule
from config.roles import IMPORT_RULES
from metering.management.answering import AnsweringCommand
from metering.people import NotAllowed, author


class Command(AnsweringCommand):
    help = "Takes in an allocation rule (TOML; allocation/standard_rule.toml explains the format)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--as", dest="author", default="", help="who answers for it")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            stored = store_rule(
                read_rule_file(options["file"]),
                author=author(options["author"], IMPORT_RULES),
                now=timezone.now(),
            )
        except (ValueError, NotAllowed) as error:
            raise CommandError(str(error)) from error
        version = stored.version
        if options["json"]:
            self.stdout.write(
                json.dumps(
                    {
                        "rule": version.rule_id,
                        "version": version.number,
                        "digest": version.digest,
                        "valid_from": version.valid_from.isoformat(),
                        "valid_to": version.valid_to and version.valid_to.isoformat(),
                        "created": stored.created,
                    }
                )
            )
            return
        until = f"until {version.valid_to}" if version.valid_to else "until further notice"
        known = "" if stored.created else " (known already)"
        self.stdout.write(f"{version} holds from {version.valid_from} {until}{known}")
