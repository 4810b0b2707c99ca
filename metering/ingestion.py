"""The one way in: every route that brings usage ends here.

A batch is one transaction: users get their pseudonyms, the keys are claimed in the ledger, the
accepted events are copied in, and their deltas are appended to the rollups' tails. An answer of
`accepted` means that it is committed. A batch that is cut off anywhere has not happened; sending
it again is harmless.

Two batches at once claim keys in the same order (sorted), so they wait for each other instead of
deadlocking; where PostgreSQL asks for a retry all the same, there are at most `ATTEMPTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

import msgspec
from django.conf import settings
from django.db import OperationalError as DjangoOperationalError
from django.db import connection, transaction
from psycopg import errors

from metering import bulk, event_ledger, owners
from metering.calls.arrivals import settle_arrivals
from metering.calls.late_usage import ClosedMeanwhile
from metering.calls.merged_events import Means
from metering.domain.attribution import OwnerBook
from metering.domain.price_book import PriceBook
from metering.domain.spelling import meant
from metering.domain.usage import Rejection, UsageEvent
from metering.event_rows import COLUMNS, instant_text
from metering.event_shares import DividedEvent, store_shares
from metering.late_events import queue_late
from metering.outcomes import Outcome
from metering.prepared_events import (
    CallKinds,
    ControlCharacter,
    PreparedEvent,
    copy_line,
    prepare,
)
from metering.pricing import catalogue
from metering.pseudonyms import Pseudonyms
from metering.rollups import BatchDeltas

ATTEMPTS: Final = 4
DATABASE_DOWN: Final = (errors.OperationalError, DjangoOperationalError)
"""What a batch raises when the database is not there, or asked for one retry too many."""
HINTS: Final = 20


@dataclass(frozen=True)
class Books:
    """What events are interpreted by: a snapshot, taken once for a stream or a request."""

    owners: OwnerBook
    prices: PriceBook
    hash_key: bytes
    horizon: timedelta
    kinds: CallKinds

    @cached_property
    def known_providers(self) -> frozenset[str]:
        return self.prices.known_providers() | self.owners.providers

    @classmethod
    def of(cls, owners: OwnerBook, prices: PriceBook) -> Books:
        """These books, with what the settings say."""
        return cls(
            owners=owners,
            prices=prices,
            hash_key=settings.IDENTITY_HASH_KEY.encode(),
            horizon=timedelta(days=settings.LEDGER_HORIZON_DAYS),
            kinds=CallKinds(owners, prices),
        )

    @classmethod
    def load(cls) -> Books:
        return cls.of(owners.load_book(), catalogue.load_book())

    @classmethod
    def current(cls) -> Books:
        """As `load`, from memory if nothing was changed since; for one request among many.

        Asks the database for the books' versions each time, so whatever was committed before the
        call is in them.
        """
        global _current  # noqa: PLW0603 - what was worked out with the same books is kept with them
        found, prices = owners.current_book(), catalogue.load_book()
        books = _current
        if books is None or books.owners is not found or books.prices is not prices:
            books = _current = cls.of(found, prices)
        return books


_current: Books | None = None


Prepared = PreparedEvent | Rejection | UsageEvent
"""Prepared, refused, or (a bare event) too old for the ledger: for the late queue."""
Claim = Callable[[Sequence[PreparedEvent], datetime], dict[str, bytes]]
"""Claims keys, in the order given; the claim digests of those that were taken before."""
Insert = Callable[[Sequence[PreparedEvent]], None]
"""Lays down events with their users, tenants and shares, and appends their deltas."""


def prepare_batch(
    items: Sequence[UsageEvent | Rejection], books: Books, now: datetime
) -> list[Prepared]:
    """Everything about a batch that needs no database. Pure: runs beside the writer."""
    known = known_providers(books)
    oldest = now - books.horizon
    received_at = instant_text(now)
    hints: dict[str, str] = {}
    prepared: list[Prepared] = []
    for item in items:
        if isinstance(item, Rejection):
            prepared.append(item)
        elif item.provider not in known:
            prepared.append(unknown_provider(item, known, hints))
        elif item.occurred_at < oldest:
            prepared.append(item)
        else:
            try:
                prepared.append(
                    prepare(
                        item,
                        kinds=books.kinds,
                        hash_key=books.hash_key,
                        received_at=received_at,
                    )
                )
            except ControlCharacter as error:
                prepared.append(
                    Rejection(
                        place=item.external_request_id,
                        reason="control_character",
                        message=str(error),
                    )
                )
    return prepared


def known_providers(books: Books) -> frozenset[str]:
    """Those of the price lists, and the operator's own."""
    return books.known_providers


_meant: Final = lru_cache(maxsize=1_000)(meant)


def unknown_provider(event: UsageEvent, known: frozenset[str], hints: dict[str, str]) -> Rejection:
    """With the names that may have been meant; finding them costs more than storing an event, so
    it is done for a few names of a batch, each once."""
    if event.provider not in hints and len(hints) < HINTS:
        hints[event.provider] = _meant(event.provider, known)
    return Rejection(
        place=event.external_request_id,
        reason="unknown_provider",
        message=f"provider {event.provider!r} is not known; register a server of your own as a"
        f" provider{hints.get(event.provider, '')}",
        key=event.event_id or event.external_request_id,
    )


def ingest(
    items: Sequence[UsageEvent | Rejection],
    *,
    now: datetime,
    books: Books | None = None,
) -> list[Outcome]:
    """Take in one batch, in one transaction; one outcome per item, in the order of the items."""
    books = books or Books.current()
    return outcomes_of(write_batch(items, now=now, books=books))


def write_batch(items: Sequence[UsageEvent | Rejection], *, now: datetime, books: Books) -> Written:
    """As `ingest`, without an outcome for each event that was simply accepted."""
    return _store(items, prepare_batch(items, books, now), Pseudonyms(), books, now)


def outcomes_of(written: Written) -> list[Outcome]:
    """One outcome per item of the batch, in the order of the items."""
    accepted = written.accepted.items()
    outcomes = [Outcome(index=index, outcome="accepted", key=key) for key, index in accepted]
    return sorted([*outcomes, *written.others], key=lambda outcome: outcome.index)


def store(batch: Sequence[Prepared], *, books: Books, now: datetime) -> list[Outcome]:
    """As `ingest`, of what was prepared elsewhere, in the caller's transaction. Raises
    `ClosedMeanwhile`."""
    written, _ = _write(batch, Pseudonyms(), books, now)
    return outcomes_of(written)


class Intake:
    """What takes in batch after batch: the books as they stood at its start, and the users it has
    met since. Each batch is received at `now`, or (`None`) when it is taken in."""

    def __init__(self, books: Books, now: datetime | None) -> None:
        self._books = books
        self._now = now
        self._pseudonyms = Pseudonyms()
        self._days: set[str] = set()

    def take(self, items: Sequence[UsageEvent | Rejection]) -> tuple[int, list[Outcome]]:
        """Take in one batch, in one transaction: how many were accepted, and what became of the
        others, in the order of the items."""
        now = self._now or datetime.now(UTC)
        prepared = prepare_batch(items, self._books, now)
        self._make_partitions(prepared)
        accepted, others = _store(items, prepared, self._pseudonyms, self._books, now)
        return len(accepted), sorted(others, key=lambda outcome: outcome.index)

    def _make_partitions(self, batch: Sequence[Prepared]) -> None:
        """Have the partitions of new days in a transaction of their own: until it ends, nobody
        else can make any, and the batch's takes long. (It looks for them all the same.)"""
        if connection.in_atomic_block:
            return
        days = {item.occurred_at[:10] for item in batch if isinstance(item, PreparedEvent)}
        new = days - self._days
        if new:
            _ensure_partitions(new)
            self._days |= new


class Written(NamedTuple):
    """What became of a batch: the accepted keys with their indexes, and all other outcomes."""

    accepted: dict[str, int]
    others: list[Outcome]


def _store(
    items: Sequence[UsageEvent | Rejection],
    batch: Sequence[Prepared],
    pseudonyms: Pseudonyms,
    books: Books,
    now: datetime,
) -> Written:
    """Store what the items were prepared to; as received later, if their month is closed first."""
    attempt = 1
    while True:
        try:
            with transaction.atomic():
                written, found = _write(batch, pseudonyms, books, now)
        except (errors.DeadlockDetected, errors.SerializationFailure):
            if attempt == ATTEMPTS or connection.in_atomic_block:
                raise
            attempt += 1
        except ClosedMeanwhile as closed:
            if attempt == ATTEMPTS:
                raise
            attempt += 1
            now = closed.since
            batch = prepare_batch(items, books, now)
        else:
            pseudonyms.remember(found)
            return written


def _write(
    batch: Sequence[Prepared], pseudonyms: Pseudonyms, books: Books, now: datetime
) -> tuple[Written, dict[bytes, str]]:
    found: dict[bytes, str] = {}

    def insert(accepted: Sequence[PreparedEvent]) -> None:
        found.update(_insert(accepted, pseudonyms))

    return write(batch, event_ledger.claim, insert, books, now), found


def write(
    batch: Sequence[Prepared], claim: Claim, insert: Insert, books: Books, now: datetime
) -> Written:
    """Store a batch in the caller's transaction, by the given ways to claim and to insert. Raises
    `ClosedMeanwhile`."""
    others: list[Outcome] = []
    first: dict[str, int] = {}
    again: list[int] = []
    for index, item in enumerate(batch):
        if isinstance(item, PreparedEvent):
            if first.setdefault(item.key, index) != index:
                again.append(index)
        elif isinstance(item, Rejection):
            others.append(_rejected(index, item))
        else:
            others.append(queue_late(index, item, books.hash_key, books.horizon, now))
    claims = [_prepared(batch[first[key]]) for key in sorted(first)]
    taken = claim(claims, now)
    accepted = [item for item in claims if item.key not in taken] if taken else claims
    for index in again:
        item = _prepared(batch[index])
        stored = taken.get(item.key) or _prepared(batch[first[item.key]]).claim
        others.append(_repeated(index, item, stored))
    others += [
        _repeated(first.pop(item.key), item, taken[item.key])
        for item in (claims if taken else ())
        if item.key in taken
    ]
    insert(accepted)
    means = Means(books.owners, books.prices, now, lambda made: write_made(made, now))
    others += [
        msgspec.structs.replace(said, index=first.pop(key))
        for key, said in settle_arrivals(accepted, means).items()
    ]
    assert len(first) + len(others) == len(batch), "an event was left without an outcome"
    return Written(first, others)


def _rejected(index: int, item: Rejection) -> Outcome:
    return Outcome(
        index=index,
        outcome="rejected",
        key=item.key,
        reason=item.reason,
        message=item.message,
        place=item.place,
    )


def _prepared(item: Prepared) -> PreparedEvent:
    assert isinstance(item, PreparedEvent)
    return item


def _repeated(index: int, item: PreparedEvent, earlier_claim: bytes) -> Outcome:
    if item.claim == earlier_claim:
        return Outcome(index=index, outcome="duplicate", key=item.key)
    return Outcome(
        index=index,
        outcome="conflict",
        key=item.key,
        reason="same_key_other_content",
        message=f"an event with this key ({item.event.external_request_id!r}) was accepted before"
        " with other content; the first one counts. Send a correction under its own eventId",
    )


def _insert(accepted: Sequence[PreparedEvent], pseudonyms: Pseudonyms) -> dict[bytes, str]:
    if not accepted:
        return {}
    found = pseudonyms.of(item.lookup_hash for item in accepted if item.lookup_hash is not None)
    named = [
        (item, found[item.lookup_hash] if item.lookup_hash is not None else None)
        for item in accepted
    ]
    _ensure_partitions({item.occurred_at[:10] for item in accepted})
    rows = "".join([copy_line(item, pseudonym) for item, pseudonym in named])
    bulk.copy_text("usage_event", COLUMNS, rows)
    register({part.owner.tenant for item in accepted for part, _ in item.parts})
    store_shares(
        DividedEvent(item.key, 0, item.occurred_at, item.rating, [part for part, _ in item.parts])
        for item in accepted
        if item.event.shares
    )
    deltas = BatchDeltas()
    for item, pseudonym in named:
        deltas.add(item.event, item.rating, item.parts, item.occurred_at, pseudonym)
    deltas.append()
    return found


def _ensure_partitions(days: Iterable[str]) -> None:
    with bulk.cursor() as cursor:
        cursor.execute("SELECT ensure_event_partitions(%s::date[])", [bulk.array(sorted(days))])


def register(tenants: Iterable[str]) -> None:
    """Register those of the tenants that are not; the empty key is none."""
    with bulk.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tenant (key, name, time_zone, registered_at)"
            " SELECT key, '', 'UTC', now() FROM unnest(%s::text[]) AS t(key)"
            " WHERE NOT EXISTS (SELECT FROM tenant known WHERE known.key = t.key)"
            " ON CONFLICT DO NOTHING",
            [sorted(set(tenants) - {""})],
        )


def write_made(made: Sequence[PreparedEvent], now: datetime) -> frozenset[str]:
    """Store events that were made of others; the keys of those that were there before."""
    taken = event_ledger.claim(made, now)
    _insert([item for item in made if item.key not in taken], Pseudonyms())
    return frozenset(taken)
