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

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
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
_CHARGE_LOCK: Final = 7_315_005


class Bucket(NamedTuple):
    """What is sealed as one: `hour_at` is the UTC hour of the events, or when an invoiced cycle
    ends; `events` how many are beneath."""

    tenant: str
    hour_at: datetime
    events: int
    digest: str


_EVENT_BUCKETS: Final = (
    "SELECT tenant, date_trunc('hour', occurred_at, 'UTC') AS hour_at, count(*) AS events, "
    + ", ".join(
        f"encode(sha256(string_agg(uuid_send(event_key) || {column}, ''::bytea"
        f" ORDER BY event_key)), 'hex') AS {book}"
        for book, column in BOOKS.items()
    )
    + " FROM {events} e GROUP BY 1, 2"
)
"""Both books' buckets in one pass over the events."""


@dataclass
class BookBuckets:
    """A book's buckets, sorted by tenant and hour: as they are hashed, and as rows for COPY."""

    events: int = 0
    lines: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)

    def add(self, tenant: str, at: str, events: int, digest: str) -> None:
        """Add a bucket; `at` as `2026-10-03T15:00:00+00`, UTC."""
        self.events += events
        self.lines.append(f"{tenant}|{at[:_HOUR]}|{events}|{digest}")
        self.rows.append(f"{_as_field(tenant)}\t{at}\t{events}\t{digest}\n")


_HOUR: Final = len("2026-10-03T15")


@lru_cache(maxsize=10_000)
def _as_field(text: str) -> str:
    """A text as COPY reads it."""
    return text.translate(_ESCAPED)


_ESCAPED: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def buckets(month: Month, as_of: datetime) -> dict[str, BookBuckets]:
    """Each book's buckets of a month as its events stood at an instant."""
    events, parameters = current(month.period, as_of)
    found = {book: BookBuckets() for book in BOOKS}
    # The hour as a text: to make an instant of it takes longer than to hash the bucket.
    sql = (
        f"SELECT tenant, trim('\"' FROM to_json(hour_at AT TIME ZONE 'UTC')::text), events,"
        f" {', '.join(BOOKS)} FROM ({_EVENT_BUCKETS.format(events=events)}) buckets"
        ' ORDER BY tenant COLLATE "C", hour_at'
    )
    for tenant, at, count, *digests in bulk.stream(sql, parameters):
        for of_book, digest in zip(found.values(), digests, strict=True):
            of_book.add(tenant, f"{at}+00", count, digest)
    return found


def root_of(lines: Iterable[str], previous_root: str) -> str:
    """The root over the lines of sorted buckets, which follows another."""
    state = sha256(previous_root.encode())
    for line in lines:
        state.update(b"\n" + line.encode())
    return state.hexdigest()


def seal(
    month: Month, *, now: datetime, found: Mapping[str, BookBuckets] | None = None
) -> list[Seal]:
    """Seal the month in both books, as it is known at `now`; `found` are its `buckets` as of then,
    where somebody has begun to read them.

    A month whose newest seal still holds is not sealed again; one that was reopened and changed
    gets a new seal at the end of the chain.
    """
    made = []
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_SEAL_LOCK])
        for book, of_book in (buckets(month, now) if found is None else found).items():
            newest = _newest(book, month)
            if newest is not None and newest.root == root_of(of_book.lines, newest.previous_root):
                made.append(newest)
                continue
            made.append(_store(book, month, of_book, now))
    return made


def seal_charges(month: Month, found: Iterable[Bucket], *, now: datetime) -> Seal:
    """Add a seal over what has become owed for cycles that end in the month to the charge book.
    Belongs into the transaction in which it becomes owed."""
    ordered = sorted(found, key=lambda bucket: (bucket.tenant.encode(), bucket.hour_at))
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CHARGE_LOCK])
        charges = BookBuckets()
        for bucket in ordered:
            at = bucket.hour_at.astimezone(UTC).isoformat()
            charges.add(bucket.tenant, at, bucket.events, bucket.digest)
        return _store(CHARGE, month, charges, now)


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


def _store(book: str, month: Month, found: BookBuckets, now: datetime) -> Seal:
    last = _newest(book)
    previous_root = last.root if last else ""
    row = Seal.objects.create(
        book=book,
        month=str(month),
        sequence=last.sequence + 1 if last else 1,
        events=found.events,
        root=root_of(found.lines, previous_root),
        previous_root=previous_root,
        sealed_at=now,
    )
    with (
        bulk.cursor() as cursor,
        cursor.copy(
            "COPY seal_bucket (seal_id, tenant, hour_at, events, digest) FROM STDIN"
        ) as copy,
    ):
        for first in range(0, len(found.rows), _ROWS_AT_ONCE):
            some = found.rows[first : first + _ROWS_AT_ONCE]
            copy.write("".join([f"{row.pk}\t{bucket}" for bucket in some]))
    return row


_ROWS_AT_ONCE: Final = 10_000


class BrokenSeal(NamedTuple):
    """Where a seal does not hold."""

    book: str
    what: str


def broken(month: Month) -> Iterator[BrokenSeal]:
    """Compare the month's newest seals with its events as they counted when it was sealed (usage
    that came in later is late, not a breach); nothing if all hold or if it was never sealed."""
    sealed_at: dict[datetime, dict[str, int]] = {}
    for book in BOOKS:
        newest = _newest(book, month)
        if newest is not None:
            sealed_at.setdefault(newest.sealed_at, {})[book] = newest.pk
    for instant, seals in sealed_at.items():
        events, parameters = current(month.period, instant)
        differing = " UNION ALL ".join(
            f"SELECT '{book}' AS book, tenant, hour_at, coalesce(now.events, was.events) AS events,"
            f" now.events IS NULL AS gone FROM (SELECT tenant, hour_at, events, {book} AS digest"
            f" FROM found) now FULL JOIN (SELECT * FROM seal_bucket WHERE seal_id = {seal}) was"
            " USING (tenant, hour_at)"
            " WHERE (now.events, now.digest) IS DISTINCT FROM (was.events, was.digest)"
            for book, seal in seals.items()
        )
        for book, tenant, hour_at, count, gone in bulk.stream(
            f"WITH found AS MATERIALIZED ({_EVENT_BUCKETS.format(events=events)})"
            f' SELECT * FROM ({differing}) d ORDER BY book DESC, gone, tenant COLLATE "C", hour_at',
            parameters,
        ):
            hour = hour_at.astimezone(UTC).isoformat()[:_HOUR]
            what = "has no events any more" if gone else "differs"
            yield BrokenSeal(book, f"bucket {tenant}|{hour}|{count} {what}")
