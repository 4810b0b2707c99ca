"""What an event should have cost, in all its parts: the one way from an event to its rating."""

from __future__ import annotations

from typing import Final

import msgspec

from metering.domain.price_book import PriceBook
from metering.domain.rating import RATED_FIELDS, Rating, priced_by, rate, rate_with
from metering.domain.rating_in_parts import Part, rate_parts
from metering.domain.usage import COUNTS, UsageEvent
from metering.providers.counts import BilledPart
from metering.providers.dialects import billed_parts

RATED_EVENT_FIELDS: Final = (*RATED_FIELDS, "usage", "usage_format")
"""All of an event that `rated` reads: a stored event with these is rated as it was."""

_LEFT_OUT: Final = "not_priced:"


def rated(event: UsageEvent, book: PriceBook, *, model: str | None = None) -> Rating:
    """Rate the event (`metering.domain.rating.rate`), each request that its answer was made of at
    the model that it ran on: an advisor's steps, attempts that were declined, the models of a
    compound system. Nothing is raised.

    Where the public list that holds has no price for something that was used (searches by their
    size, say), the next one holds that has one for all of it: one list as a whole, since two may
    say the same fee in two ways.
    """
    if event.usage is None or event.served_from == "caller_cache":
        return _of_one_request(event, book, model)
    found = billed_parts(event)
    if not found:
        return _of_one_request(event, book, model)
    parts = [_part(event, billed) for billed in found]
    # What is no token count (searches) belongs to the answer; a request of its own, if need be.
    if event.units:
        first = next((i for i, part in enumerate(parts) if part.model is None), None)
        if first is None:
            alone = {**dict.fromkeys(COUNTS), "units": event.units}
            parts.append(Part(msgspec.structs.replace(event, **alone), None, declined=False))
        else:
            whole = msgspec.structs.replace(parts[first].event, units=event.units)
            parts[first] = parts[first]._replace(event=whole)
    return rate_parts(parts, book, model=model)


def _of_one_request(event: UsageEvent, book: PriceBook, model: str | None) -> Rating:
    rating = rate(event, book, model=model)
    if not event.units or not leaves_out(rating):
        return rating
    cards = book.stand_ins(priced_by(event, model), event.occurred_at)
    others = (rate_with(event, card) for card in cards)
    return next(
        (other for other in others if other.cost is not None and not leaves_out(other)), rating
    )


def leaves_out(rating: Rating) -> list[str]:
    """What was used and has no price where the rest has one."""
    reasons = (rating.reason or "").split(",")
    return [each.removeprefix(_LEFT_OUT) for each in reasons if each.startswith(_LEFT_OUT)]


def _part(event: UsageEvent, billed: BilledPart) -> Part:
    counts = {name: getattr(billed.counts, name) for name in COUNTS}
    alone = msgspec.structs.replace(event, **counts, units={}, shares=(), usage=None)
    if billed.model == "" and billed.declined:
        # Who declined was the model that was asked.
        return Part(alone, event.model, declined=True)
    return Part(alone, billed.model, billed.declined)
