"""Seals: roots over what was closed or approved, each chained to the one before in its book.

A month that closes gets one root in the *usage* and one in the *cost* book, over its events. A
bucket is one tenant's events of one UTC hour. Its digest is SHA-256 over (event key ‖ row
digest) of its events sorted by key; the root is SHA-256 over the sorted lines
`tenant|hour|count|digest` and the previous root of the book. The *usage* book seals what was
reported (`seal_digest`), the *cost* book who it belongs to and what it should have cost
(`value_digest` of the latest revision).

The *charge* book is sealed by whoever knows what is owed (billing, when invoices are approved):
its buckets are digests of invoices, one a tenant and end of its cycle. No seal of a book can be
taken away, rewritten or moved without breaking its chain (`metering.seal_chain`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, NamedTuple

from django.db import connection, transaction

from metering import bulk
from metering.domain.periods import Month
from metering.events import current
from metering.models import Seal, SealBucket

BOOKS: Final = {"usage": "seal_digest", "cost": "value_digest"}
CHARGE: Final = "charge"
_SEAL_LOCK: Final = 7_315_003
_CHARGE_LOCK: Final = 7_315_004


class Bucket(NamedTuple):
    """What is sealed as one: `hour_at` is the UTC hour of the events, or when an invoiced cycle
    ends; `events` how many are beneath."""

    tenant: str
    hour_at: datetime
    events: int
    digest: str

    @property
    def line(self) -> str:
        hour = self.hour_at.astimezone(UTC).strftime("%Y-%m-%dT%H")
        return f"{self.tenant}|{hour}|{self.events}|{self.digest}"


def buckets(month: Month, as_of: datetime | None = None) -> dict[str, list[Bucket]]:
    """Each book's buckets of a month as its events stand (or stood at an instant), sorted by
    tenant and hour, in one pass over the events."""
    events, parameters = current(month.period, as_of)
    digests = ", ".join(
        f"encode(sha256(string_agg(uuid_send(event_key) || {column}, ''::bytea"
        " ORDER BY event_key)), 'hex')"
        for column in BOOKS.values()
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT tenant, date_trunc('hour', occurred_at, 'UTC'), count(*), {digests}"
            f' FROM {events} e GROUP BY 1, 2 ORDER BY tenant COLLATE "C", 2',
            parameters,
        )
        found: dict[str, list[Bucket]] = {book: [] for book in BOOKS}
        for tenant, hour_at, count, *of_books in cursor:
            for book, digest in zip(BOOKS, of_books, strict=True):
                found[book].append(Bucket(tenant, hour_at, count, digest))
        return found


def root_of(found: list[Bucket], previous_root: str) -> str:
    state = sha256(previous_root.encode())
    for bucket in found:
        state.update(b"\n" + bucket.line.encode())
    return state.hexdigest()


def seal(month: Month, *, now: datetime) -> list[Seal]:
    """Seal the month in both books, as it is known at `now`.

    A month whose newest seal still holds is not sealed again; one that was reopened and changed
    gets a new seal at the end of the chain.
    """
    made = []
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_SEAL_LOCK])
        for book, found in buckets(month, now).items():
            newest = _newest(book, month)
            if newest is not None and newest.root == root_of(found, newest.previous_root):
                made.append(newest)
                continue
            made.append(_store(book, month, found, now))
    return made


def seal_charges(month: Month, found: Iterable[Bucket], *, now: datetime) -> Seal:
    """Add a seal over what has become owed for cycles that end in the month to the charge book.
    Belongs into the transaction in which it becomes owed."""
    ordered = sorted(found, key=lambda bucket: (bucket.tenant.encode(), bucket.hour_at))
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CHARGE_LOCK])
        return _store(CHARGE, month, ordered, now)


def sealed_charges(month: Month) -> list[Bucket]:
    """All that was sealed in the charge book for the month, oldest first."""
    rows = SealBucket.objects.filter(seal__book=CHARGE, seal__month=str(month))
    return [
        Bucket(*row)
        for row in rows.order_by("seal__sequence", "tenant", "hour_at").values_list(
            "tenant", "hour_at", "events", "digest"
        )
    ]


def _newest(book: str, month: Month | None = None) -> Seal | None:
    seals = Seal.objects.filter(book=book)
    if month is not None:
        seals = seals.filter(month=str(month))
    return seals.order_by("-sequence").first()


def _store(book: str, month: Month, found: list[Bucket], now: datetime) -> Seal:
    last = _newest(book)
    previous_root = last.root if last else ""
    row = Seal.objects.create(
        book=book,
        month=str(month),
        sequence=last.sequence + 1 if last else 1,
        events=sum(bucket.events for bucket in found),
        root=root_of(found, previous_root),
        previous_root=previous_root,
        sealed_at=now,
    )
    with (
        bulk.cursor() as cursor,
        cursor.copy(
            "COPY seal_bucket (seal_id, tenant, hour_at, events, digest) FROM STDIN"
        ) as copy,
    ):
        for bucket in found:
            copy.write_row((row.pk, *bucket))
    return row


class BrokenSeal(NamedTuple):
    """Where a seal does not hold."""

    book: str
    what: str


def broken(month: Month) -> Iterator[BrokenSeal]:
    """Compare the month's newest seals with its events as they counted when it was sealed (usage
    that came in later is late, not a breach); nothing if all hold or if it was never sealed."""
    as_sealed: dict[datetime, dict[str, list[Bucket]]] = {}
    for book in BOOKS:
        newest = _newest(book, month)
        if newest is None:
            continue
        rows = newest.buckets.values_list("tenant", "hour_at", "events", "digest")
        sealed = {(bucket.tenant, bucket.hour_at): bucket for bucket in (Bucket(*r) for r in rows)}
        if newest.sealed_at not in as_sealed:
            as_sealed[newest.sealed_at] = buckets(month, newest.sealed_at)
        now_found = as_sealed[newest.sealed_at][book]
        for bucket in now_found:
            if sealed.pop((bucket.tenant, bucket.hour_at), None) != bucket:
                yield BrokenSeal(book, f"bucket {bucket.line.rsplit('|', 1)[0]} differs")
        for bucket in sealed.values():
            yield BrokenSeal(book, f"bucket {bucket.line.rsplit('|', 1)[0]} has no events any more")
