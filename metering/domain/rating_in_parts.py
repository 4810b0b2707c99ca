"""Rating an answer that several requests made: each at its own model and context length."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from metering.domain.cells import class_of_model
from metering.domain.money import EXACT
from metering.domain.price_book import PriceBook
from metering.domain.rating import Pricing, RatedLine, Rating, rate
from metering.domain.usage import UsageEvent

_ZERO: Final = Decimal(0)


class Part(NamedTuple):
    """A request as an event of its own. `model` is the one it ran on, if it is another than the
    answer's, and empty where nobody said which; `declined`: it was an attempt in whose place
    another model answered."""

    event: UsageEvent
    model: str | None
    declined: bool


def rate_parts(parts: Sequence[Part], book: PriceBook, *, model: str | None = None) -> Rating:
    """The sum of the parts' ratings. What another model did has classes of its own, named
    `input@claude-opus-4-8`, so that the counts of the event stay those of its model.

    `model` prices what the answer's model did as if another one had (`rate`); attempts that were
    declined are then left out, since a fallback is no affair of who asked for that model. If one
    part has no price, the whole has none.
    """
    lines: dict[tuple[str, Decimal, int], RatedLine] = {}
    reasons: dict[str, None] = {}
    kinds: set[Pricing] = set()
    currencies: dict[str, None] = {}
    cost = _ZERO
    for part in parts:
        if part.declined and model is not None:
            continue
        suffix = "" if part.model is None else f"@{part.model}"
        if part.model == "":
            return Rating("unpriced", None, book.currency, (), f"unknown_model{suffix}")
        rating = rate(part.event, book, model=part.model or model)
        named = [f"{reason}{suffix}" for reason in (rating.reason or "").split(",") if reason]
        if rating.cost is None:
            return rating._replace(reason=",".join(named))
        reasons.update(dict.fromkeys(named))
        kinds.add(rating.pricing)
        currencies[rating.currency] = None
        cost = EXACT.add(cost, rating.cost)
        for line in rating.lines:
            name = line.token_class
            if part.model is not None:
                name = class_of_model(name, part.model)
            _add(lines, line._replace(token_class=name))
    if len(currencies) != 1:
        return Rating("unpriced", None, book.currency, (), "currencies_differ")
    [currency] = currencies
    pricing: Pricing = "free" if kinds == {"free"} else "priced"
    return Rating(pricing, cost, currency, tuple(lines.values()), ",".join(reasons) or None)


def _add(lines: dict[tuple[str, Decimal, int], RatedLine], line: RatedLine) -> None:
    key = (line.token_class, line.unit_price, line.price_id)
    before = lines.get(key)
    if before is not None:
        line = line._replace(
            quantity=before.quantity + line.quantity, amount=EXACT.add(before.amount, line.amount)
        )
    lines[key] = line
