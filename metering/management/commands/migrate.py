"""`manage.py migrate`, as the migrator, followed by the grants to the application's role
and by the roles of the people.

A new installation also gets the prices of the installed price list, so that the first event that
comes in can be priced.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.core.management.commands import migrate
from django.utils import timezone

from config import roles
from metering import privileges
from metering.pricing import catalogue, price_imports


class Command(migrate.Command):
    help = f"{migrate.Command.help} Runs as the migrator, then grants what the application may do."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database="migrator")

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)
        if not (options["check_unapplied"] or options["plan"]):
            privileges.grant(options["database"])
            roles.apply(options["database"])
            if catalogue.is_empty():
                price_imports.import_genai_prices(effective_at=timezone.now())
