"""The models that were used and have no price; and a price for one of them."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from config.roles import IMPORT_PRICES
from metering import people
from metering.domain.contract_terms import InvalidTerm
from metering.management.answering import AnsweringCommand, day_of
from metering.people import NotAllowed
from metering.pricelists.parsed import UnreadablePriceList
from metering.pricing.unpriced import UnpricedModel, price_as, unpriced_models


class Command(AnsweringCommand):
    help = (
        "List the models that were used and have no price, with the nearest that have one. With "
        "--price-of, that model's price holds for MODEL of PROVIDER from a day on; re-rate the "
        "open months afterwards."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("provider", nargs="?")
        parser.add_argument("model", nargs="?")
        parser.add_argument("--price-of", metavar="MODEL", help="the model whose price holds")
        parser.add_argument("--price-of-provider", metavar="PROVIDER", help="if it is another")
        parser.add_argument("--since", type=day_of, help="from which day, like 2026-10-01")
        parser.add_argument("--as", dest="person", default="", help="who decides it")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["price_of"]:
            self._resolve(options)
        queue = unpriced_models()
        if options["json"]:
            self.stdout.write(json.dumps({"models": [_as_json(each) for each in queue]}))
            return
        for each in queue:
            self.stdout.write(_in_words(each))
        if not queue:
            self.stdout.write("Everything that was used has a price.")

    def _resolve(self, options: dict[str, Any]) -> None:
        if not (options["provider"] and options["model"] and options["since"]):
            raise CommandError("name the provider, the model, and --since which day")
        try:
            people.author(options["person"], IMPORT_PRICES)
            price_as(
                options["provider"],
                options["model"],
                of_provider=options["price_of_provider"] or options["provider"],
                of_model=options["price_of"],
                since=options["since"],
                now=timezone.now(),
            )
        except (NotAllowed, InvalidTerm, UnreadablePriceList) as error:
            raise CommandError(str(error)) from error


def _in_words(each: UnpricedModel) -> str:
    months = ", ".join(str(month) for month, _ in each.months)
    said = (
        f"{each.provider} {each.model}: {each.events} events, {each.tokens} tokens, "
        f"{each.first_at:%Y-%m-%d} to {each.last_at:%Y-%m-%d} ({each.reason})"
    )
    if each.has_price_now:
        return f"{said}; it has a price now: re-rate {months} with --model {each.model}"
    near = ", ".join(f"{c.provider}/{c.model_id}" for c in each.candidates)
    return f"{said}; nearest with a price: {near or 'none'}"


def _as_json(each: UnpricedModel) -> dict[str, Any]:
    return {
        "provider": each.provider,
        "model": each.model,
        "events": each.events,
        "tokens": each.tokens,
        "firstAt": each.first_at.isoformat(),
        "lastAt": each.last_at.isoformat(),
        "months": {str(month): events for month, events in each.months},
        "reason": each.reason,
        "hasPriceNow": each.has_price_now,
        "candidates": [{"provider": c.provider, "model": c.model_id} for c in each.candidates],
    }
