"""The models that were used and have no price; and a price for one of them."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any, Final, NamedTuple

from django.core.management.base import CommandError
from django.utils import timezone

from config.roles import IMPORT_PRICES
from metering import people
from metering.domain.contract_terms import InvalidTerm
from metering.management.answering import AnsweringCommand, day_of
from metering.people import NotAllowed
from metering.pricelists.parsed import UnreadablePriceList
from metering.pricing.import_results import UnconfirmedLeaps
from metering.pricing.unpriced import (
    Rerated,
    UnpricedModel,
    price_as,
    price_at,
    rerate_model,
    unpriced_models,
)

REASON: Final = "a model without a price has got one"
_RESOLVING: Final = ("price_of", "price", "rerate")


class Command(AnsweringCommand):
    help = (
        "List the models that were used and have no price, with the nearest that have one. With "
        "--price-of, that model's price holds for MODEL of PROVIDER from a day on; with --price, "
        "a price of our own does. With --rerate, its events of all open months are rated with it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("provider", nargs="?", help="of the queue, this provider's only")
        parser.add_argument("model", nargs="?", help="of the queue, this model only")
        parser.add_argument("--price-of", metavar="MODEL", help="the model whose price holds")
        parser.add_argument("--price-of-provider", metavar="PROVIDER", help="if it is another")
        parser.add_argument(
            "--price",
            action="append",
            metavar="UNIT=PRICE",
            help="a price of our own: input=2.50 (again for output and whatever else is charged)",
        )
        parser.add_argument(
            "--per", type=int, default=1_000_000, help="how many it is the price of"
        )
        parser.add_argument("--currency", default="USD", help="of --price; USD if left out")
        parser.add_argument(
            "--confirm",
            action="store_true",
            help="a change by more than a hundred times of the price it had is meant",
        )
        parser.add_argument("--since", type=day_of, help="from which day, like 2026-10-01")
        parser.add_argument(
            "--rerate", action="store_true", help="rate the model's events of all open months anew"
        )
        parser.add_argument("--reason", default=REASON, help="kept with every re-rated event")
        parser.add_argument("--as", dest="person", default="", help="who decides it")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        resolving = any(options[name] for name in _RESOLVING)
        resolved = self._resolve(options) if resolving else _Resolved()
        rerated = resolved.rerated
        queue = [
            each
            for each in unpriced_models()
            if resolving
            or (
                options["provider"] in (None, each.provider)
                and options["model"] in (None, each.model)
            )
        ]
        if options["json"]:
            answer: dict[str, Any] = {"models": [_as_json(each) for each in queue]}
            if resolved.priced:
                answer["priced"] = {"said": resolved.priced, "waited": resolved.waited}
            if rerated is not None:
                answer["rerated"] = [
                    {"period": str(each.month), "run": each.run, "changed": each.changed}
                    for each in rerated.done
                ]
                answer["kept"] = [
                    {"period": str(month), "reason": why} for month, why in rerated.kept
                ]
            self.stdout.write(json.dumps(answer))
            return
        if resolved.priced:
            waited = "" if resolved.waited else "; none of its calls was waiting for a price"
            self.stdout.write(f"{resolved.priced}{waited}")
        for done in rerated.done if rerated else ():
            self.stdout.write(
                f"re-rating {done.run} of {done.month}: {done.changed} events changed"
            )
        for _, why in rerated.kept if rerated else ():
            self.stdout.write(why)
        for each in queue:
            self.stdout.write(_in_words(each))
        if not queue:
            self.stdout.write("Everything that was used has a price.")

    def _resolve(self, options: dict[str, Any]) -> _Resolved:
        provider, model = options["provider"], options["model"]
        if not (provider and model and (options["since"] or options["rerate"])):
            raise CommandError("name the provider, the model, and --since which day")
        if options["price_of"] and options["price"]:
            raise CommandError("name either another model's price or prices of our own")
        queued = next(
            (u for u in unpriced_models() if (u.provider, u.model) == (provider, model)), None
        )
        try:
            author = people.author(options["person"], IMPORT_PRICES)
            self._price(provider, model, options)
        except (NotAllowed, InvalidTerm, UnconfirmedLeaps, UnreadablePriceList) as error:
            raise CommandError(str(error)) from error
        resolved = _Resolved(_priced(options), queued is not None)
        if not options["rerate"]:
            return resolved
        if queued is None:
            raise CommandError(f"{provider} {model} is not used without a price")
        rerated = rerate_model(
            queued, author=author or "manage.py", reason=options["reason"], now=timezone.now()
        )
        return resolved._replace(rerated=rerated)

    def _price(self, provider: str, model: str, options: dict[str, Any]) -> None:
        since, now = options["since"], timezone.now()
        if (options["price_of"] or options["price"]) and not since:
            raise CommandError("name the provider, the model, and --since which day")
        if options["price_of"]:
            price_as(
                provider,
                model,
                of_provider=options["price_of_provider"] or provider,
                of_model=options["price_of"],
                since=since,
                now=now,
                confirmed=options["confirm"],
            )
        elif options["price"]:
            price_at(
                provider,
                model,
                _prices(options["price"]),
                per=options["per"],
                currency=options["currency"],
                since=since,
                now=now,
                confirmed=options["confirm"],
            )


class _Resolved(NamedTuple):
    """What was done: which price the model has got, in words (none: it has one already), whether
    calls of it were waiting for one, and what was rated anew."""

    priced: str = ""
    waited: bool = False
    rerated: Rerated | None = None


def _priced(options: dict[str, Any]) -> str:
    if options["price_of"]:
        of = f"that of {options['price_of_provider'] or options['provider']}/{options['price_of']}"
    elif options["price"]:
        of = f"{', '.join(options['price'])} {options['currency']} per {options['per']:,}"
    else:
        return ""
    return f"{options['provider']} {options['model']}: {of} from {options['since']} on"


def _prices(said: list[str]) -> dict[str, str]:
    prices: dict[str, str] = {}
    for unit, price in map(_unit_and_price, said):
        if unit in prices:
            raise CommandError(f"{unit} has two prices; write each unit once")
        prices[unit] = price
    return prices


def _unit_and_price(said: str) -> tuple[str, str]:
    unit, equals, price = said.partition("=")
    if not equals:
        raise CommandError(f"{said!r} is no price; write it like input=2.50")
    return unit.strip(), price.strip()


def _in_words(each: UnpricedModel) -> str:
    months = ", ".join(str(month) for month, _ in each.months)
    said = (
        f"{each.provider} {each.model}: {each.events} events, {each.tokens} tokens, "
        f"{each.first_at:%Y-%m-%d} to {each.last_at:%Y-%m-%d} ({each.reason})"
    )
    if each.has_price_now:
        return f"{said}; it has a price now: re-rate {months} with --rerate"
    if each.is_contradicted:
        return f"{said}; it has a price, and what these calls reported cannot be priced"
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
        "isContradicted": each.is_contradicted,
        "candidates": [{"provider": c.provider, "model": c.model_id} for c in each.candidates],
    }
