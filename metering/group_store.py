"""A group of small requests, stored in four exchanges with the database instead of thirty.

What a group must ask (do the books of prices and owners still hold, are the keys still good, who
are the users) is asked in the statement that claims its keys, so that its events are worked out
before, with the books as this process knows them; and all its rows go in by one more statement.
Both are prepared once a connection. Where anything is out of the ordinary (a book has changed, a
key is refused or long unused, the database refuses something) nothing of the group has been done,
and it takes the way of every batch (`ingestion.ingest`), which has the last word.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from time import monotonic
from typing import Any, Final, LiteralString, NamedTuple, cast

import psycopg
from django.db import Error as DjangoError
from django.db import connection, transaction
from psycopg import errors

from metering import bulk, event_shares
from metering.api_keys import COARSE
from metering.calls.late_usage import ClosedMeanwhile
from metering.domain.usage import Rejection, UsageEvent
from metering.event_ledger import CLAIMED, claiming, earlier_claims
from metering.event_rows import COLUMNS, SEALED, VALUED
from metering.event_shares import DividedEvent, share_lines
from metering.ingestion import (
    Books,
    outcomes_of,
    prepare_batch,
    register,
    write,
)
from metering.outcomes import Outcome
from metering.prepared_events import PreparedEvent, copy_line
from metering.pseudonyms import Pseudonyms
from metering.rollups import ROLLUPS, BatchDeltas

MOST: Final = 500
"""Events; what is larger is a batch, for which COPY takes less of the database's time."""
_REMEMBERED_DAYS: Final = 5_000
_WHEN_ASKED: Final = 1_000_000
"""A statement is prepared where that is asked for, and none for having been used so often."""
_STALE: Final = (errors.FeatureNotSupported, errors.InvalidSqlStatementName)
"""What a prepared statement raises whose tables have changed, or which a pooler has lost."""

Stamp = tuple[str, int, int]
"""Which owners and which prices hold: who changed the owners last, and how many imports of price
lists there are, with the newest's number."""


class _OutOfTheOrdinary(Exception):
    """The group cannot be stored in this way; nothing of it has been."""


class _Known(NamedTuple):
    database: str
    stamp: Stamp
    books: Books


class GroupStore:
    """What one thread stores its groups by, and what it remembers between them."""

    def __init__(self) -> None:
        self._known: _Known | None = None
        self._days: set[str] = set()

    @property
    def version(self) -> str | None:
        """The version of the owners' book that is known; whether it holds is asked when a group
        is stored."""
        return None if self._known is None else self._known.stamp[0]

    def learn(self) -> Books:
        """The books as they stand, which the next groups are worked out with.

        Which books hold is asked before they are read, so a change in between is met again.
        """
        with bulk.cursor() as cursor:
            cursor.execute(f"SELECT {_STAMP}")
            stamp = cast("Stamp", cursor.fetchone())
        books = Books.current()
        self._known = _Known(_database(), stamp, books)
        return books

    def store(
        self, items: Sequence[UsageEvent | Rejection], keys: Collection[str], now: datetime
    ) -> list[Outcome] | None:
        """Store these events, sent with these API keys, and commit: one outcome each, in their
        order. `None` where they must take the usual way: nothing was done.

        Raises what the database does if it is not known whether it has committed.
        """
        known = self._known
        if known is None or len(items) > MOST or known.database != _database() or _is_aged():
            return None
        exchange = _Exchange(known.stamp, keys, now, self._days)
        batch = prepare_batch(items, known.books, now)
        stored = False
        try:
            with transaction.atomic():
                written = write(batch, exchange.claim, exchange.insert, known.books, now)
                stored = True
        except (_OutOfTheOrdinary, ClosedMeanwhile, psycopg.Error, DjangoError) as error:
            if stored:
                raise
            if isinstance(error, _STALE):
                connection.close()
            self._days.clear()
            return None
        if len(self._days) < _REMEMBERED_DAYS:
            self._days |= exchange.days
        return outcomes_of(written)


def _database() -> str:
    return str(connection.settings_dict["NAME"])


def _is_aged() -> bool:
    """Whether Django would close the connection, having kept it long enough."""
    return connection.close_at is not None and monotonic() >= connection.close_at


class _Exchange:
    """What is said to the database and answered for one group. `days` are those on which its
    events occurred: their partitions are there once it has committed."""

    def __init__(
        self, stamp: Stamp, keys: Collection[str], now: datetime, known_days: Collection[str]
    ) -> None:
        self._stamp = stamp
        self._keys = keys
        self._now = now
        self._known_days = known_days
        self._pseudonyms = Pseudonyms()
        self._new_tenants: list[str] = []
        self.days: set[str] = set()

    def claim(self, claims: Sequence[PreparedEvent], now: datetime) -> dict[str, bytes]:
        """As `ingestion.Claim`, in the order given; raises `_OutOfTheOrdinary`."""
        hashes = {item.lookup_hash.hex() for item in claims if item.lookup_hash is not None}
        tenants = {part.owner.tenant for item in claims for part, _ in item.parts}
        with _cursor() as cursor:
            cursor.execute(
                _CLAIM,
                [
                    *claiming(claims, now),
                    *(bulk.array(list(hashes)), bulk.texts(sorted(tenants - {""}))),
                    *(bulk.texts(self._keys), now, now - COARSE),
                ],
                prepare=True,
            )
            row = cursor.fetchone()
        assert row is not None, "a SELECT without FROM has one row"
        taken, users, self._new_tenants, good_keys, *stamp = row
        if tuple(stamp) != self._stamp or good_keys != len(self._keys):
            raise _OutOfTheOrdinary
        self._pseudonyms.remember({bytes.fromhex(each[:_HASH]): each[_HASH:] for each in users})
        return earlier_claims(taken)

    def insert(self, accepted: Sequence[PreparedEvent]) -> None:
        """As `ingestion.Insert`."""
        if not accepted:
            return
        found = self._pseudonyms.of(
            (i.lookup_hash for i in accepted if i.lookup_hash is not None), looked_up=True
        )
        named = [
            (item, found[item.lookup_hash] if item.lookup_hash is not None else None)
            for item in accepted
        ]
        deltas = BatchDeltas()
        for item, pseudonym in named:
            deltas.add(item.event, item.rating, item.parts, item.occurred_at, pseudonym)
        shares = share_lines(
            DividedEvent(
                item.key, 0, item.occurred_at, item.rating, [part for part, _ in item.parts]
            )
            for item in accepted
            if item.event.shares
        )
        # COPY's only escape in these rows is that of the backslash.
        rows = "".join([copy_line(item, pseudonym) for item, pseudonym in named])
        rows = rows.replace("\\\\", "\\")
        self.days = {item.occurred_at[:10] for item in accepted}
        if self._new_tenants:
            register(self._new_tenants)
        with _cursor() as cursor:
            if not self.days <= set(self._known_days):
                days = bulk.array(sorted(self.days))
                cursor.execute("SELECT ensure_event_partitions(%s::date[])", [days])
            texts = [text[:-1] for text in (*deltas.lines(), shares, rows)]
            cursor.execute(_INSERT, texts, prepare=True)


def _cursor() -> psycopg.Cursor[tuple[Any, ...]]:
    cursor = bulk.cursor()
    cursor.connection.prepare_threshold = _WHEN_ASKED
    return cursor


_HASH: Final = 64
"""Hexadecimal digits of a keyed hash, in the texts of hash and pseudonym."""
_STAMP: Final[LiteralString] = (
    "(SELECT changed_by::text FROM owner_book_version),"
    " (SELECT count(*) FROM price_list_import),"
    " (SELECT coalesce(max(id), 0) FROM price_list_import)"
)
_CLAIM: Final[LiteralString] = (
    f"WITH {CLAIMED} SELECT ARRAY(SELECT event_key FROM taken),"
    "  ARRAY(SELECT encode(lookup_hash, 'hex') || pseudonym FROM user_identity"
    "   WHERE lookup_hash IN (SELECT decode(h, 'hex') FROM unnest(%s::text[]) AS t(h))),"
    "  ARRAY(SELECT key FROM unnest(%s::text[]) AS t(key)"
    "   WHERE NOT EXISTS (SELECT FROM tenant known WHERE known.key = t.key)),"
    "  (SELECT count(*) FROM api_key WHERE id = ANY(%s::text[]) AND revoked_at IS NULL"
    "   AND coalesce(expires_at > %s::timestamptz, true) AND last_used_at >= %s::timestamptz), "
    + _STAMP
)


def _insert_lines(table: str, columns: Sequence[tuple[str, str]]) -> str:
    """Insert what a parameter holds: a row a line, its columns tab-separated."""
    names = ", ".join([name for name, _ in columns])
    values = ", ".join([f"f[{i}]::{type_}" for i, (_, type_) in enumerate(columns, 1)])
    return (
        f"INSERT INTO {table} ({names}) SELECT {values} FROM"
        " (SELECT string_to_array(line, E'\\t', E'\\x1e') AS f"
        "  FROM unnest(string_to_array(%s::text, E'\\n')) AS t(line) OFFSET 0) AS rows"
    )


_TYPES: Final = {
    **dict.fromkeys(("event_key", "user_pseudonym"), "uuid"),
    **dict.fromkeys(("bucket_at", "occurred_at"), "timestamptz"),
    **dict.fromkeys(("cost", "quantity"), "numeric"),
    **dict.fromkeys(("revision", "position"), "integer"),
    "day": "date",
}
_TAILS: Final = [
    _insert_lines(
        rollup.tail,
        [
            *((name, _TYPES.get(name, "text")) for name in rollup.key),
            *((name, _TYPES.get(name, "bigint")) for name in rollup.sums),
        ],
    )
    for rollup in ROLLUPS
]
_SHARES: Final = _insert_lines(
    "event_share",
    [
        (name, _TYPES.get(name, "integer" if name.endswith("_tokens") else "text"))
        for name in event_shares.COLUMNS
    ],
)
_EVENTS: Final = _insert_lines(
    "usage_event",
    [*SEALED, ("seal_digest", "bytea"), *VALUED, ("value_digest", "bytea")],
)
assert len(COLUMNS) == len(SEALED) + len(VALUED) + 2, "a row has its parts and their two digests"
_BESIDE: Final = ", ".join([f"part{i} AS ({sql})" for i, sql in enumerate((*_TAILS, _SHARES))])
_INSERT: Final = f"WITH {_BESIDE} {_EVENTS}"
