"""Why an event costs what it costs: its lines, the price rows beneath them, and why these.

What is explained is what is stored; beside it stands what the event would be rated at by the
prices as they are now, since only an explicit run makes the one into the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from metering.domain.layered_prices import LayeredPriceBook
from metering.domain.leaf_counts import priced_as
from metering.domain.money import EXACT, plain
from metering.domain.price_book import Considered, PriceBook
from metering.domain.price_choice import Candidate, Verdict, nearest, verdicts
from metering.domain.price_words import unit_price_in_words
from metering.domain.rating import Rating, priced_by, rate
from metering.domain.unit_prices import UnitPrice
from metering.domain.units import unit_named
from metering.domain.usage import UsageEvent
from metering.event_search import UnknownEvent
from metering.event_story import EventStory, RatedLine, event_story
from metering.models import PriceRow
from metering.pricing import catalogue
from metering.pricing.catalogue import PUBLIC
from metering.pricing.rated_events import RATED_EVENT_FIELDS, leaves_out, rated

_TIMES: Final = "\N{MULTIPLICATION SIGN}"


class PriceFacts(NamedTuple):
    """A price row as it is told: where it comes from, what it says, from when to when."""

    id: int
    book: str
    source: str
    provider: str
    model: str
    conditions: Mapping[str, Any]
    unit_prices: Mapping[str, Any]
    currency: str
    valid_from: datetime | None
    valid_to: datetime | None
    derived_from: int | None
    discount_percent: Decimal | None


class ExplainedLine(NamedTuple):
    """A line with the row that priced it (`None` if it is gone), its arithmetic in words, and the
    row's price of that class as it is quoted, with where another begins (empty: it is gone)."""

    line: RatedLine
    price: PriceFacts | None
    arithmetic: str
    quoted: str


class AskedBook(NamedTuple):
    """A book in the order in which books are asked: what it took the call to mean, and each of its
    rows for that model with the reason why it bears or not."""

    book: str
    source: str
    why: str
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`now` is how the event would be rated by today's prices, `requested` likewise for the model
    that was asked for (`None` where that is the one that ran)."""

    story: EventStory
    model: str
    lines: tuple[ExplainedLine, ...]
    books: tuple[AskedBook, ...]
    candidates: tuple[Candidate, ...]
    now: Rating
    requested: Rating | None

    @property
    def is_current(self) -> bool:
        """Whether today's prices come to what is stored."""
        stored = self.story.valued
        return (self.now.pricing, self.now.cost) == (stored["pricing"], stored["cost"])


def explain(event_key: UUID) -> Explanation:
    """Explain the cost of one event. Raises `UnknownEvent`."""
    story = event_story(event_key)
    if story is None:
        raise UnknownEvent(f"no event has the key {event_key}")
    book = catalogue.load_book()
    event = _event(story.reported)
    model = event.model_executed or event.model
    rows = PriceRow.objects.select_related("opened_by").in_bulk(
        {line.price_row for line in story.lines}
    )
    used_books = {row.book for row in rows.values()}
    now = rated(event, book)
    asked = tuple(
        _asked(name, each, event, story, now, stood_in=bool(used_books & _after(name)))
        for name, each in _books(book)
    )
    has_no_price = story.valued["pricing"] == "unpriced" and isinstance(
        book.look_up(priced_by(event), event.occurred_at), str
    )
    lists = [considered.edition for considered in _editions(book, event)]
    return Explanation(
        story=story,
        model=model,
        lines=tuple(_line(line, rows.get(line.price_row)) for line in story.lines),
        books=tuple(each for each in asked if each is not None),
        candidates=tuple(nearest(event.provider, model, lists)) if has_no_price else (),
        now=now,
        requested=rated(event, book, model=event.model) if event.model != model else None,
    )


def _event(reported: Mapping[str, Any]) -> UsageEvent:
    """The reported event as far as its price hangs on it."""
    known = {name: reported[name] for name in RATED_EVENT_FIELDS if name != "units"}
    units = {name: Decimal(str(n)) for name, n in (reported["units"] or {}).items()}
    known["occurred_at"] = known["occurred_at"].astimezone(UTC)
    return UsageEvent(source="", external_request_id="", units=units, **known)


def _books(book: PriceBook) -> list[tuple[str, PriceBook]]:
    if isinstance(book, LayeredPriceBook):
        return list(book.layers)
    names = catalogue.books()
    return [(names[0], book)] if names else []


def _editions(book: PriceBook, event: UsageEvent) -> list[Considered]:
    call = priced_by(event)
    found = (each.considered(call, event.occurred_at) for _, each in _books(book))
    return [each for each in found if each is not None]


def _after(book: str) -> frozenset[str]:
    """The public lists that may stand in for this one."""
    return frozenset(PUBLIC[PUBLIC.index(book) + 1 :] if book in PUBLIC else ())


def _asked(
    name: str,
    book: PriceBook,
    event: UsageEvent,
    story: EventStory,
    now: Rating,
    *,
    stood_in: bool,
) -> AskedBook | None:
    model = event.model_executed or event.model
    considered = book.considered(priced_by(event), event.occurred_at)
    if considered is None:
        return None
    source, matched = considered.edition.source, considered.matched
    if matched is None:
        known = considered.edition.provider_named(event.provider)
        why = (
            f"it has no model that {model!r} could mean at {known.id}"
            if known
            else f"it does not know the provider {event.provider!r}"
        )
        return AskedBook(name, source, why, ())
    used = _by_row((line.price_row, line.token_class) for line in story.lines)
    why = f"{event.provider}/{model} is its {matched.provider}/{matched.model_id}"
    if matched.resold:
        why += ", sold on by the provider of the call, so nothing is known of tiers"
    missing = leaves_out(rate(event, book, model=model))
    if stood_in and event.region and not missing:
        missing = [f"region {event.region}"]
    if missing and stood_in:
        why += f"; it has no price for {', '.join(missing)}, so a list that has one stands in"
    nothing = "" if used else story.valued["pricing_reason"] or ""
    again = _by_row((line.price_id, line.token_class) for line in now.lines)
    found = verdicts(considered, event.occurred_at, used, now=again, nothing_priced=nothing)
    return AskedBook(name, source, why, tuple(found))


def _by_row(lines: Iterable[tuple[int, str]]) -> dict[int, list[str]]:
    """The classes that each price row prices."""
    found: dict[int, list[str]] = {}
    for row, token_class in lines:
        found.setdefault(row, []).append(token_class)
    return found


def _line(line: RatedLine, row: PriceRow | None) -> ExplainedLine:
    amount = EXACT.multiply(line.quantity, line.unit_price)
    said = f"{plain(line.quantity)} {_TIMES} {plain(line.unit_price)} = {plain(amount)}"
    if amount != line.amount:
        said += f", by the price as it is quoted {plain(line.amount)}"
    if row is None:
        return ExplainedLine(line, None, said, "")
    return ExplainedLine(line, facts_of(row), said, _quoted(line.token_class, row))


def _quoted(token_class: str, row: PriceRow) -> str:
    """The row's price of the class, or of the unit that holds it where it has none of its own."""
    unit = unit_named(token_class.partition("@")[0])
    name = unit and priced_as(unit.name, row.unit_prices)
    if name is None:
        return ""
    return unit_price_in_words(UnitPrice.from_json(row.unit_prices[name]), row.currency)


def facts_of(row: PriceRow) -> PriceFacts:
    """The row as it is told."""
    return PriceFacts(
        row.pk,
        row.book,
        row.opened_by.source,
        row.provider,
        row.model_id,
        row.conditions,
        row.unit_prices,
        row.currency,
        row.valid_from,
        row.valid_to,
        row.derived_from_id,
        row.discount_percent,
    )
