"""The rollups in the database: deltas appended to tails, tails folded, both read as one.

A writer only ever appends; nobody waits for anybody on a hot cell. Folding moves tail rows into
the folded table in one statement, so that a reader's snapshot sees each delta exactly once.

What leaves the usage rollup's tail is added, in the same statement, to a fourth rollup too: usage
by UTC day, which is small however many events there are. It has no tail of its own: a reading of
it is what is folded, and the usage rollup's tail by day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, NamedTuple, Protocol

import msgspec
from django.db import connection, transaction

from metering import bulk
from metering.domain.money import EXACT
from metering.domain.periods import BUCKET, Period
from metering.domain.rating import Rating
from metering.domain.rollup import (
    CELL_KEY,
    CELL_SUMS,
    USAGE_KEY,
    USAGE_SUMS,
    USER_KEY,
    USER_SUMS,
    Deltas,
    Part,
    RowKeys,
    row_keys,
)
from metering.domain.usage import UsageEvent
from metering.event_rows import instant_text

_FOLD_LOCK: Final = 7_315_002
_ZERO: Final = Decimal(0)


class Rollup(NamedTuple):
    """One rollup: its name, what a cell is keyed by, what is summed in it, and the relation that
    holds what is not folded yet."""

    name: str
    key: tuple[str, ...]
    sums: tuple[str, ...]
    tail: str

    def relation(self, columns: Sequence[str] | None = None) -> str:
        """Folded and tail as one relation (a subquery), for a reader's FROM clause."""
        chosen = ", ".join(columns or (*self.key, *self.sums))
        return (
            f"(SELECT {chosen} FROM {self.name}_rollup UNION ALL SELECT {chosen} FROM {self.tail})"
        )


USAGE: Final = Rollup("usage", USAGE_KEY, USAGE_SUMS, "usage_rollup_tail")
CELL: Final = Rollup("cell", CELL_KEY, CELL_SUMS, "cell_rollup_tail")
USER: Final = Rollup("user", USER_KEY, USER_SUMS, "user_rollup_tail")
ROLLUPS: Final = (USAGE, CELL, USER)
"""Those that are appended to."""


def by_utc_day(usage: str) -> str:
    """A table of the usage rollup's columns as a relation that has the UTC day too."""
    return f"(SELECT (bucket_at AT TIME ZONE 'UTC')::date AS day, * FROM {usage}) {usage}_by_day"


DAY: Final = Rollup(
    "day",
    ("day", "provider", "model_executed", "cost_centre", "pricing", "currency"),
    ("events", "cost"),
    by_utc_day(USAGE.tail),
)
"""The usage rollup by UTC day."""


class NotOnABucket(ValueError):
    """The period's edges do not lie on 15-minute buckets, nor can the rollups be cut there."""


def on_buckets(period: Period) -> tuple[datetime, datetime]:
    """The period's edges, which must lie on 15-minute buckets (`NotOnABucket`)."""
    for edge in (period.start, period.end):
        if edge.timestamp() % BUCKET.total_seconds():
            raise NotOnABucket(f"{edge.isoformat()} does not lie on a quarter of an hour, UTC")
    return period.start, period.end


class Valued(Protocol):
    """An event with whom it belongs to and what it should cost: prepared, or read back."""

    @property
    def event(self) -> UsageEvent: ...
    @property
    def rating(self) -> Rating: ...
    @property
    def project(self) -> str: ...
    @property
    def user_kind(self) -> str: ...
    @property
    def parts(self) -> tuple[Part, ...]: ...


def append_deltas(events: Iterable[tuple[Valued, str | None]], *, sign: Literal[1, -1] = 1) -> None:
    """Append what these events add (or, with sign -1, take away), one row per cell, inside the
    caller's transaction."""
    deltas = BatchDeltas()
    for valued, pseudonym in events:
        deltas.add_valued(valued, pseudonym)
    deltas.append(sign)


def append_changes(
    before: Iterable[tuple[Valued, str | None]], after: Iterable[tuple[Valued, str | None]]
) -> None:
    """Append the difference between what events added as they were valued before and what they add
    now, inside the caller's transaction: one row per cell, and none for one that stays the same."""
    added, taken = BatchDeltas(), BatchDeltas()
    for events, deltas in ((after, added), (before, taken)):
        for valued, pseudonym in events:
            deltas.add_valued(valued, pseudonym)
    added.append_less(taken)


class BatchDeltas:
    """What a batch of events adds to the rollups."""

    def __init__(self) -> None:
        self._deltas = (Deltas(), Deltas(), Deltas())

    def add(
        self,
        event: UsageEvent,
        rating: Rating,
        parts: Iterable[tuple[Part, RowKeys]],
        occurred_at: str,
        pseudonym: str | None,
    ) -> None:
        """Add one event; `occurred_at` in the form of `instant_text`."""
        of_usage, of_cell, of_user = self._deltas
        day = occurred_at[:10]
        pricing, currency = rating.pricing, rating.currency
        for (_, events, counts, classes), (call, executed, owned, owner, user_kind) in parts:
            cost = _ZERO
            for name, quantity, amount in classes:
                if amount is None:
                    amount = _ZERO  # noqa: PLW2901
                    stated = "unpriced"
                else:
                    stated = pricing
                    cost = _sum(cost, amount) if cost else amount
                of_cell[f"{day}\t{executed}\t{name}\t{owned}\t{stated}\t{currency}"].append(
                    (events, quantity, amount)
                )
            bucket = occurred_at[:14] + _QUARTERS[occurred_at[14:16]]
            of_usage[f"{bucket}\t{call}\t{pricing}\t{currency}"].append(
                (events, *counts, cost, (event.latency_ms or 0) if events else 0)
            )
            if pseudonym is not None and events:
                tokens = (event.input_tokens or 0) + (event.output_tokens or 0)
                of_user[f"{day}\t{owner}\t{pseudonym}\t{user_kind}"].append(
                    (1, tokens, rating.cost or _ZERO)
                )

    def add_valued(self, valued: Valued, pseudonym: str | None) -> None:
        """Add one event whose keys were not worked out before."""
        event, project, kind = valued.event, valued.project, valued.user_kind
        parts = [(part, row_keys(event, part.owner, project, kind)) for part in valued.parts]
        self.add(event, valued.rating, parts, instant_text(event.occurred_at), pseudonym)

    def append(self, sign: Literal[1, -1] = 1) -> None:
        """Append one row per cell to the tails, inside the caller's transaction."""
        for rollup, deltas in zip(ROLLUPS, self._deltas, strict=True):
            _copy(rollup, deltas.sums(sign))

    def lines(self) -> tuple[str, ...]:
        """The rows for the tail of each of `ROLLUPS`, a line each, in its columns' order (`key`,
        then `sums`), tab-separated."""
        return tuple([_lines(deltas.sums()) for deltas in self._deltas])

    def append_less(self, taken: BatchDeltas) -> None:
        """As `append`, less those; none for a cell of which nothing is left."""
        for rollup, deltas, gone in zip(ROLLUPS, self._deltas, taken._deltas, strict=True):
            for key, sums in gone.sums(-1):
                deltas[key].append(tuple(sums))
            _copy(rollup, ((key, sums) for key, sums in deltas.sums() if any(sums)))


_QUARTERS: Final = {f"{minute:02}": f"{minute // 15 * 15:02}:00+00" for minute in range(60)}
"""What follows the hour in the text of a bucket, by the minute of an instant in it."""
_sum: Final = EXACT.add
_json: Final = msgspec.json.Encoder().encode


def _copy(rollup: Rollup, cells: Iterable[tuple[str, Sequence[int | Decimal]]]) -> None:
    text = _lines(cells)
    if text:
        text = text.replace("\\", "\\\\") if "\\" in text else text
        bulk.copy_text(rollup.tail, (*rollup.key, *rollup.sums), text)


def _lines(cells: Iterable[tuple[str, Sequence[int | Decimal]]]) -> str:
    keyed = list(cells)
    if not keyed:
        return ""
    # Written as JSON, all at once, and split again, which takes a fifth of the time of a `str` for
    # each. (A Decimal is a quoted text there; exponent and all, it is a number to PostgreSQL too.)
    numbers = _json([sums for _, sums in keyed]).decode()
    numbers = numbers[2:-2].replace('"', "").replace("],[", "\n").replace(",", "\t")
    rows = zip(keyed, numbers.split("\n"), strict=True)
    return "".join([f"{key}\t{row}\n" for (key, _), row in rows])


def fold(most: int | None = None) -> dict[str, int]:
    """Fold the tails, or at most so many rows of each; how many went into each rollup. One runner
    at a time: a second one returns at once, with nothing folded. Usage is added to its days too."""
    folded: dict[str, int] = {}
    for rollup in ROLLUPS:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_FOLD_LOCK])
            if not cursor.fetchone()[0]:
                return folded
            cursor.execute(_fold_sql(rollup, bounded=most is not None), {"most": most})
            folded[rollup.name] = cursor.fetchone()[0]
    return folded


def _fold_sql(rollup: Rollup, *, bounded: bool) -> str:
    tail = rollup.tail
    some = f" WHERE ctid = ANY(ARRAY(SELECT ctid FROM {tail} LIMIT %(most)s))" if bounded else ""
    days = f", by_day AS ({_add_sql(DAY, by_utc_day('moved'))})" if rollup is USAGE else ""
    return (
        f"WITH moved AS (DELETE FROM {tail}{some} RETURNING *),"
        f" folded AS ({_add_sql(rollup, 'moved')}){days}"
        " SELECT count(*) FROM moved"
    )


def _add_sql(rollup: Rollup, deltas: str) -> str:
    key = ", ".join(rollup.key)
    sums = ", ".join(f"sum({c})" for c in rollup.sums)
    added = ", ".join(f"{c} = {rollup.name}_rollup.{c} + excluded.{c}" for c in rollup.sums)
    return (
        f"INSERT INTO {rollup.name}_rollup ({key}, {', '.join(rollup.sums)})"
        f" SELECT {key}, {sums} FROM {deltas} GROUP BY {key} ORDER BY {key}"
        f" ON CONFLICT ({key}) DO UPDATE SET {added}"
    )
