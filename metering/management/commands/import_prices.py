"""Provider prices from a price list, dated."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime
from typing import Any, Final

from django.core.management.base import CommandError
from django.utils import timezone

from metering import catalogue
from metering.domain.price_matching import InvalidClause
from metering.domain.prices import InvalidPrice
from metering.management.answering import AnsweringCommand

_FORM: Final = "write it like 2026-11-01T00:00:00Z"


class Command(AnsweringCommand):
    help = "Import the prices of the installed genai-prices package; harmless to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from", dest="price_list", choices=[catalogue.GENAI_PRICES], default="genai-prices"
        )
        parser.add_argument(
            "--effective-at",
            type=_instant,
            default=None,
            help="from when the list holds where it differs from what is held; "
            "ISO 8601 with an offset, now if left out",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            result = catalogue.import_genai_prices(
                effective_at=options["effective_at"] or timezone.now()
            )
        except (catalogue.PriceListOutOfOrder, InvalidPrice, InvalidClause) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(result._asdict()))
        else:
            self.stdout.write(
                f"{result.source}: {result.added} price rows added, {result.closed} closed, "
                f"{result.unchanged} unchanged"
            )


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no instant: {_FORM}") from error
    if instant.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} has no offset: {_FORM}")
    return instant
