"""An open month's events at the prices as they stand now, each at its own instant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from django.utils import timezone

from metering.domain.periods import Month
from metering.domain.price_book import PriceBook
from metering.domain.rating import Rating
from metering.domain.rollup import parts
from metering.event_rows import class_costs
from metering.pricing import catalogue
from metering.pricing import rerating_acts as acts
from metering.pricing.portions import Portion, done_with, portions
from metering.pricing.rated_events import rated
from metering.pricing.rating_scan import scan
from metering.pricing.revaluation import (
    Act,
    Differences,
    Revalued,
    Valuer,
    by,
    change,
    change_each,
    must_be_open,
)
from metering.stored_events import StoredEvent


def rerate(
    month: Month,
    *,
    author: str,
    reason: str,
    now: datetime,
    model: str | None = None,
    dry_run: bool = False,
    recompute: bool = False,
) -> Revalued:
    """Rate the events of an open month (of one executed model, if it is named) with the prices as
    they stand, and store what differs; the act itself too, unless it is a trial. With `recompute`
    every event is rated one by one, which comes to the same. Raises `MonthClosed`."""
    catalogue.load_book()  # before processes are forked, which so have it too
    must_be_open(month)
    found = Revalued(month)
    act = Act(author, reason, now, is_trial=dry_run)
    if not dry_run:
        found.run = acts.begin(month, model=model, author=author, reason=reason, now=now).pk
        act = replace(act, within=partial(acts.note, found.run))
    for done in done_with(Rerating(month, act, model, recompute), portions(month)):
        found.add(done)
    if found.run is not None:
        acts.end(found.run, month, looked_at=found.looked_at, now=timezone.now())
    return found


@dataclass(frozen=True)
class Rerating:
    """What is done with each portion of the month, by whichever process."""

    month: Month
    act: Act
    model: str | None = None
    recompute: bool = False

    def __call__(self, portion: Portion) -> Revalued:
        book = catalogue.load_book()
        found = Revalued(self.month)
        others: list[str] = []

        def scanned() -> Differences:
            done = scan(portion, book, self.act, model=self.model, recompute=self.recompute)
            found.looked_at, others[:] = done.looked_at, done.others
            return done.differences

        change(found, scanned, self.act)
        change_each(found, portion.period, others, by(rater(book), self.act), self.act)
        return found


def rater(book: PriceBook) -> Valuer:
    """Values events by their ratings with these prices."""

    def value(events: Sequence[StoredEvent]) -> Iterator[StoredEvent]:
        for event in events:
            rating = rated(event.event, book)
            yield event if rating == event.rating else _with(event, rating)

    return value


def _with(event: StoredEvent, rating: Rating) -> StoredEvent:
    """The event's next revision, rated otherwise."""
    owned = [part.owner for part in event.parts]
    return event._replace(
        rating=rating,
        parts=parts(event.event, owned[-1], tuple(owned[:-1]), class_costs(event.event, rating)),
        revision=event.revision + 1,
    )
