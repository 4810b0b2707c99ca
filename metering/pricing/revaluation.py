"""Valuing what is stored anew: at today's prices and owners, each event at its own instant.

Nothing that happened changes. Where an event comes to another cost or another owner, a row of
`event_revision` says so, with its number, author and reason, and the rollups get the signed
difference, in one transaction. A month that is closed is never touched. Whatever is cut off is
done by doing it again, and of two at once the second finds nothing left to do: what is written is
compared once more under the lock that every change of what counts takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

from django.db import transaction

from metering import bulk, owners, stored_events
from metering.dispositions import lock_changes, why_it_must_stay
from metering.domain.attribution import OwnerBook
from metering.domain.cells import Owner
from metering.domain.money import EXACT
from metering.domain.periods import Month, Period
from metering.domain.price_book import PriceBook
from metering.domain.rating import Rating
from metering.domain.rollup import parts
from metering.event_rows import VALUED, class_costs, instant_text, value_digest, valued_text
from metering.event_shares import store_shares
from metering.models import UserIdentity
from metering.pricing import catalogue
from metering.pricing.rated_events import rated
from metering.pricing.rating_scan_workers import differing_days
from metering.rollups import append_deltas
from metering.stored_events import StoredEvent

BATCH: Final = 2_000
_COLUMNS: Final = (
    *("event_key", "revision", "occurred_at", "made_at", "author", "reason"),
    *(name for name, _ in VALUED),
    "value_digest",
)
_ZERO: Final = Decimal(0)


class MonthClosed(ValueError):
    """The month must stay as it is; the message says why, and what to do instead."""


class Moved(NamedTuple):
    """What differs alike: a model's events that went from one pricing and owner to another."""

    provider: str
    model: str
    pricing_before: str
    pricing_after: str
    owner_before: Owner
    owner_after: Owner
    currency: str


@dataclass
class Sums:
    """How many events went that way, and what they cost before and after (unpriced: nothing)."""

    events: int = 0
    cost_before: Decimal = _ZERO
    cost_after: Decimal = _ZERO


@dataclass
class Revalued:
    """What a run looked at, and the differences that it found (and, unless it was a trial,
    stored)."""

    month: Month
    looked_at: int = 0
    differences: dict[Moved, Sums] = field(default_factory=dict)

    @property
    def changed(self) -> int:
        return sum(sums.events for sums in self.differences.values())

    def add(self, before: StoredEvent, after: StoredEvent) -> None:
        event = before.event
        moved = Moved(
            event.provider,
            event.model_executed or event.model,
            before.rating.pricing,
            after.rating.pricing,
            Owner(before.cost_centre, before.tenant),
            Owner(after.cost_centre, after.tenant),
            after.rating.currency,
        )
        sums = self.differences.setdefault(moved, Sums())
        sums.events += 1
        sums.cost_before = EXACT.add(sums.cost_before, before.rating.cost or _ZERO)
        sums.cost_after = EXACT.add(sums.cost_after, after.rating.cost or _ZERO)


Valuer = Callable[[Sequence[StoredEvent]], Iterator[StoredEvent]]
"""The events as they should be valued, in their order; those that stay as they are, unchanged."""


def rerate(
    month: Month,
    *,
    author: str,
    reason: str,
    now: datetime,
    model: str | None = None,
    dry_run: bool = False,
) -> Revalued:
    """Rate the events of an open month (of one executed model, if it is named) with the prices as
    they stand, and store what differs. Raises `MonthClosed`."""
    book = catalogue.load_book()
    _must_be_open(month)
    found = Revalued(month)
    for day, looked_at, keys in differing_days(month, book, model=model):
        found.looked_at += looked_at
        _change(found, day, keys, _rater(book), (author, reason, now), dry_run=dry_run)
    return found


def reattribute(
    month: Month, *, author: str, reason: str, now: datetime, dry_run: bool = False
) -> Revalued:
    """Find the owners of an open month's events by the mappings as they stand (a back-dated one
    included), and store what differs. Raises `MonthClosed`."""
    book = owners.load_book()
    _must_be_open(month)
    found = Revalued(month)
    valuer = _attributor(book)
    for day in month.period.days():
        keys = []
        last = str(UUID(int=0))
        while events := _after(day, last):
            found.looked_at += len(events)
            last = events[-1].key
            pairs = zip(events, valuer(events), strict=True)
            keys += [before.key for before, after in pairs if before != after]
        _change(found, day, keys, valuer, (author, reason, now), dry_run=dry_run)
    return found


def _after(day: date, key: str) -> list[StoredEvent]:
    return stored_events.read(
        _period(day), "e.event_key > %(last)s::uuid", {"last": key}, limit=BATCH
    )


def _period(day: date) -> Period:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Period(start, start + timedelta(days=1))


def _must_be_open(month: Month) -> None:
    with transaction.atomic():
        why = why_it_must_stay(month)
    if why is not None:
        raise MonthClosed(f"{why}; correct it in the next open month")


def _change(
    found: Revalued,
    day: date,
    keys: Sequence[str],
    valuer: Valuer,
    record: tuple[str, str, datetime],
    *,
    dry_run: bool,
) -> None:
    ordered = sorted(keys)
    for first in range(0, len(ordered), BATCH):
        chosen = ordered[first : first + BATCH]
        with transaction.atomic():
            why = why_it_must_stay(found.month)
            if why is not None:
                raise MonthClosed(f"{why}; what was changed until then is kept")
            if not dry_run:
                lock_changes()
            events = stored_events.read(
                _period(day),
                "e.event_key = ANY(%(keys)s::uuid[])",
                {"keys": bulk.array(chosen)},
                limit=BATCH,
            )
            pairs = [
                (before, after)
                for before, after in zip(events, valuer(events), strict=True)
                if before != after
            ]
            if not dry_run:
                _store(pairs, *record)
        for before, after in pairs:
            found.add(before, after)


def _store(
    pairs: Sequence[tuple[StoredEvent, StoredEvent]], author: str, reason: str, now: datetime
) -> None:
    made_at = instant_text(now.astimezone(UTC))
    lines = []
    for _, after in pairs:
        valued = valued_text(after, after.pseudonym)
        digest = value_digest(after.key, after.revision, valued)
        fixed = (after.key, str(after.revision), instant_text(after.event.occurred_at), made_at)
        row = "\t".join(
            (*fixed, _one_line(author), _one_line(reason), valued, f"\\x{digest.hex()}")
        )
        lines.append(row.replace("\\", "\\\\") + "\n")
    bulk.copy_text("event_revision", _COLUMNS, "".join(lines))
    store_shares((after, after.revision) for _, after in pairs if after.event.shares)
    append_deltas([(before, before.pseudonym) for before, _ in pairs], sign=-1)
    append_deltas([(after, after.pseudonym) for _, after in pairs])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _rater(book: PriceBook) -> Valuer:
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


def _attributor(book: OwnerBook) -> Valuer:
    def value(events: Sequence[StoredEvent]) -> Iterator[StoredEvent]:
        hashes = {
            str(pseudonym): bytes(lookup).hex()
            for pseudonym, lookup in UserIdentity.objects.filter(
                pseudonym__in={event.pseudonym for event in events if event.pseudonym}
            ).values_list("pseudonym", "lookup_hash")
        }
        for stored in events:
            event, user = stored.event, hashes.get(stored.pseudonym or "", "")
            tenant = book.tenant_of(event, user)
            cost_centre, route = book.cost_centre_of(event, user, tenant)
            sharers = tuple(book.tenant_owner(event, share.tenant_id) for share in event.shares)
            owned = (*sharers, Owner(cost_centre, tenant))
            same = (tenant, cost_centre, route) == (
                stored.tenant,
                stored.cost_centre,
                stored.owner_route,
            )
            if same and owned == tuple(part.owner for part in stored.parts):
                yield stored
                continue
            yield stored._replace(
                tenant=tenant,
                cost_centre=cost_centre,
                owner_route=route,
                parts=parts(event, owned[-1], sharers, class_costs(event, stored.rating)),
                revision=stored.revision + 1,
            )

    return value
