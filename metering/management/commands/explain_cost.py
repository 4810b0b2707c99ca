"""Why an event costs what it costs."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError

from metering.domain.money import plain
from metering.domain.rating import Rating
from metering.event_search import LOOKS_BACK, SeveralEvents, UnknownEvent, find_event
from metering.event_story import USAGE_IN_WORDS, EventStory
from metering.management.answering import AnsweringCommand, day_of
from metering.pricing.explanation import Explanation, PriceFacts, explain
from metering.pricing.explanation_values import as_value


class Command(AnsweringCommand):
    help = (
        "Print an event's cost line by line, the price row beneath each with its validity and "
        "source, and why this row was chosen and others were not."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("event", help="its key, or its external request id")
        parser.add_argument("--source", help="of which source, where several use the same ids")
        parser.add_argument(
            "--since",
            type=day_of,
            metavar="DAY",
            help="back to which UTC day an id is looked for, like 2026-10-01; "
            f"{LOOKS_BACK.days} days before the newest event unless it is said",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            found = explain(
                find_event(options["event"], source=options["source"], since=options["since"])
            )
        except (UnknownEvent, SeveralEvents) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            json.dumps(as_value(found)) if options["json"] else "\n".join(_in_words(found))
        )


def _in_words(found: Explanation) -> list[str]:
    valued, reported = found.story.valued, found.story.reported
    cost = "no cost" if valued["cost"] is None else f"{plain(valued['cost'])} {valued['currency']}"
    said = [
        f"event {found.story.event_key} ({found.story.state})",
        *_standing(found.story),
        f"{reported['provider']} {found.model}, {found.story.occurred_at:%Y-%m-%d %H:%M:%S} UTC",
        f"tier {reported['service_tier']}{', batch' if reported['batch'] else ''}",
        f"usage {USAGE_IN_WORDS[reported['usage_quality']]}",
        f"{valued['pricing']}: {cost}"
        + (f" ({valued['pricing_reason']})" if valued["pricing_reason"] else ""),
    ]
    for each in found.lines:
        said.append(f"  {each.line.token_class}: {each.arithmetic}")
        said.append(f"    {_price(each.price)}{f': {each.quoted}' if each.quoted else ''}")
    for book in found.books:
        said.append(f"{book.book} ({book.source}): {book.why}")
        said += [
            f"  {'→' if verdict.is_used else '-'} price {verdict.price.id}: {verdict.why}"
            for verdict in book.verdicts
        ]
    if found.candidates:
        near = ", ".join(f"{each.provider}/{each.model_id}" for each in found.candidates)
        said.append(f"nearest models with a price: {near}")
    if not found.is_current:
        now = _cost(found.now)
        said.append(f"by the prices as they stand now: {now}; re-rate the month to take them over")
    if found.requested is not None:
        said.append(f"as asked for ({reported['model']}): {_cost(found.requested)}")
    return said


def _cost(rating: Rating) -> str:
    return "unpriced" if rating.cost is None else f"{plain(rating.cost)} {rating.currency}"


def _standing(story: EventStory) -> Iterator[str]:
    """What has taken its place, and whose place it has taken."""
    if story.state != "counted":
        instead = f"; event {story.superseded_by} instead" if story.superseded_by else ""
        yield f"does not count: {story.dispositions[-1].reason}{instead}"
    for each in story.in_place_of:
        yield (
            f"in the place of event {each.event_key} ({each.source}, {each.external_request_id}):"
            f" {each.reason}"
        )


def _price(price: PriceFacts | None) -> str:
    if price is None:
        return "its price row is gone"
    start = f"from {price.valid_from:%Y-%m-%d}" if price.valid_from else "always"
    until = f" until {price.valid_to:%Y-%m-%d}" if price.valid_to else ""
    basis = ""
    if price.discount_percent is not None:
        off = f"{plain(price.discount_percent)} % off" if price.discount_percent else "the same as"
        basis = f", {off} price {price.derived_from}"
    return (
        f"price {price.id} of {price.source}, {price.provider}/{price.model}, {start}{until}{basis}"
    )
