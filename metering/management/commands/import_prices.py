"""Provider prices from a price list or a contract, dated."""

from __future__ import annotations

import json
import re
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError
from django.utils import timezone

from config.roles import IMPORT_PRICES
from metering import people
from metering.domain.contract_terms import InvalidTerm
from metering.domain.money import plain
from metering.domain.price_differences import in_words
from metering.domain.price_matching import InvalidClause
from metering.domain.prices import InvalidPrice, Price
from metering.files.input_files import UnreadableInput, text_of
from metering.management.answering import AnsweringCommand
from metering.people import NotAllowed
from metering.pricelists import contract
from metering.pricelists.parsed import UnreadablePriceList
from metering.pricing import catalogue, price_imports
from metering.pricing.import_results import ImportResult, leaps_in_words

_FORM: Final = "write it like 2026-11-01T00:00:00Z"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SHOWN: Final = 20
_YEARS: Final = range(2000, 2200)
_ORDER: Final = ("changed", "ended", "added")
_REFUSALS: Final = (
    price_imports.PriceListOutOfOrder,
    price_imports.UnconfirmedLeaps,
    InvalidPrice,
    InvalidClause,
    InvalidTerm,
    UnreadablePriceList,
    UnreadableInput,
    NotAllowed,
)


class Command(AnsweringCommand):
    help = (
        "Import prices: those of the installed genai-prices package, LiteLLM's price map, "
        "Langfuse's price list, or a file of our own. What would change is listed with --dry-run; "
        "a new price ends the old one at its date; importing the same again changes nothing.\n\n"
        f"{contract.__doc__}"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.add_argument("file", nargs="?", help="a price file, instead of --from")
        parser.add_argument(
            "--from",
            dest="price_list",
            default=None,
            help="genai-prices (if nothing is said), or a price file",
        )
        parser.add_argument(
            "--contract",
            type=_name,
            help="the file is what was agreed under this name; it goes before every list",
        )
        parser.add_argument(
            "--effective-at",
            type=_instant,
            default=None,
            help="from when a public list holds where it differs from what is held; "
            "ISO 8601 with an offset, now if left out. Contracts name their own dates",
        )
        parser.add_argument("--dry-run", action="store_true", help="list what would change")
        parser.add_argument(
            "--confirm",
            action="store_true",
            help="changes by more than a hundred times, and prices of tokens that none have "
            "anywhere, are meant",
        )
        parser.add_argument("--as", dest="person", default="", help="who imports")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            people.author(options["person"], IMPORT_PRICES)
            result = _import(options)
        except _REFUSALS as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(result, dry_run=options["dry_run"])))
            return
        first = sorted(result.changes, key=lambda change: _ORDER.index(change.kind))
        for change in first[:_SHOWN] if options["dry_run"] else ():
            self.stdout.write(f"{change.kind:8}{in_words(change)}")
        if options["dry_run"] and len(result.changes) > _SHOWN:
            self.stdout.write(f"… and {len(result.changes) - _SHOWN} more (all with --json)")
        if result.leaps:
            self.stdout.write(f"needs --confirm: {leaps_in_words(result.leaps)}")
        for words in result.commitments:
            self.stdout.write(words)
        for each in result.refused[:_SHOWN]:
            self.stdout.write(f"refused {each.provider}/{each.model_id} {each.what}: {each.reason}")
        if len(result.refused) > _SHOWN:
            self.stdout.write(
                f"… and {len(result.refused) - _SHOWN} more refused (all with --json)"
            )
        self.stdout.write(
            f"{result.source}: {result.added} price rows added, {result.closed} closed, "
            f"{result.unchanged} unchanged"
            + (f", {len(result.refused)} refused" if result.refused else "")
            + (" (nothing is stored)" if options["dry_run"] else "")
        )


def _import(options: dict[str, Any]) -> ImportResult:
    now = options["effective_at"] or timezone.now()
    how = {"confirmed": options["confirm"], "dry_run": options["dry_run"]}
    if options["file"] and options["price_list"]:
        raise UnreadableInput("name the file once: as the argument, or with --from")
    chosen = options["file"] or options["price_list"] or catalogue.GENAI_PRICES
    if chosen == catalogue.GENAI_PRICES:
        if options["contract"]:
            raise UnreadableInput("a contract comes from a file: name it")
        return price_imports.import_genai_prices(effective_at=now, **how)
    path = Path(chosen)
    text = text_of(path)
    if options["contract"]:
        book = f"{catalogue.CONTRACT}{options['contract']}"
        return price_imports.import_contract(text, path.name, book=book, now=now, **how)
    return price_imports.import_file(text, path.name, effective_at=now, **how)


def _as_json(result: ImportResult, *, dry_run: bool) -> dict[str, Any]:
    return {
        "source": result.source,
        "dryRun": dry_run,
        "added": result.added,
        "closed": result.closed,
        "unchanged": result.unchanged,
        "changes": [
            {
                "kind": change.kind,
                "at": change.at and change.at.isoformat(),
                "before": _price(change.before),
                "after": _price(change.after),
            }
            for change in result.changes
        ],
        "refused": [each._asdict() for each in result.refused],
        "commitments": list(result.commitments),
        "needsConfirmation": [
            {
                "price": each.place.removeprefix("price of "),
                "unit": each.unit,
                "beforePerMillion": plain(each.before) if each.before else None,
                "afterPerMillion": plain(each.after),
            }
            for each in result.leaps
        ],
    }


def _price(price: Price | None) -> dict[str, Any] | None:
    if price is None:
        return None
    return {
        "provider": price.provider,
        "model": price.model_id,
        "conditions": price.conditions.as_json(),
        "currency": price.currency,
        "unitPrices": catalogue.unit_prices_json(price),
        "validFrom": price.valid_from and price.valid_from.isoformat(),
        "validTo": price.valid_to and price.valid_to.isoformat(),
    }


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ArgumentTypeError(
            f"{text!r} is no name of a contract: small letters, digits, dots and dashes, like acme"
        )
    return text


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no instant: {_FORM}") from error
    if instant.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} has no offset: {_FORM}")
    if instant.year not in _YEARS:
        raise ArgumentTypeError(f"{text!r}: no price list is of that year")
    return instant
