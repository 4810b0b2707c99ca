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
from functools import lru_cache
from typing import Final, Literal, NamedTuple, Protocol

from django.db import connection, transaction

from metering import bulk
from metering.domain.money import EXACT
from metering.domain.periods import BUCKET, Period, bucket_of
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
)
from metering.domain.usage import UsageEvent

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
    usage, cell, user = Deltas(), Deltas(), Deltas()
    for valued, pseudonym in events:
        _add(valued, pseudonym, usage, cell, user)
    for rollup, deltas in ((USAGE, usage), (CELL, cell), (USER, user)):
        _copy(rollup, (deltas if sign == 1 else deltas.negated()).items())


def append_changes(
    before: Iterable[tuple[Valued, str | None]], after: Iterable[tuple[Valued, str | None]]
) -> None:
    """Append the difference between what events added as they were valued before and what they add
    now, inside the caller's transaction: one row per cell, and none for one that stays the same."""
    added = (Deltas(), Deltas(), Deltas())
    taken = (Deltas(), Deltas(), Deltas())
    for events, deltas in ((after, added), (before, taken)):
        for valued, pseudonym in events:
            _add(valued, pseudonym, *deltas)
    for rollup, difference, gone in zip(ROLLUPS, added, taken, strict=True):
        for key, sums in gone.negated().items():
            difference.add(key, sums)
        _copy(rollup, ((key, sums) for key, sums in difference.items() if any(sums)))


def _add(
    prepared: Valued, pseudonym: str | None, usage: Deltas, cell: Deltas, user: Deltas
) -> None:
    event, rating = prepared.event, prepared.rating
    executed = event.model_executed or event.model
    tier = "batch" if event.batch else event.service_tier
    provider, project, currency = event.provider, prepared.project, rating.currency
    day = str(event.occurred_at.date())
    for (centre, tenant), events, counts, classes in prepared.parts:
        cost = _ZERO
        for name, quantity, amount in classes:
            if amount is None:
                pricing, amount = "unpriced", _ZERO  # noqa: PLW2901
            else:
                pricing = rating.pricing
                cost = _sum(cost, amount) if cost else amount
            cell.add(
                (day, provider, project, executed, name, tier, tenant, centre, pricing, currency),
                (events, quantity, amount),
            )
        usage.add(
            (
                _bucket_text(event.occurred_at),
                event.source,
                provider,
                event.model,
                executed,
                event.service_tier,
                tenant,
                centre,
                event.endpoint_tag or "",
                event.prompt_version or "",
                event.environment,
                event.data_mode,
                event.status,
                event.served_from,
                prepared.user_kind,
                rating.pricing,
                currency,
            ),
            (events, *counts, cost, (event.latency_ms or 0) if events else 0),
        )
        if pseudonym is not None and events:
            tokens = (event.input_tokens or 0) + (event.output_tokens or 0)
            user.add(
                (day, tenant, centre, pseudonym, prepared.user_kind),
                (1, tokens, rating.cost or _ZERO),
            )


def _bucket_text(instant: datetime) -> str:
    return _text_of(bucket_of(instant))


_text_of = lru_cache(maxsize=10_000)(str)
_sum: Final = EXACT.add


def _copy(rollup: Rollup, cells: Iterable[tuple[tuple[str, ...], Sequence[int | Decimal]]]) -> None:
    # What `str` makes of a Decimal is a number to PostgreSQL too, exponent and all.
    text = "".join(["\t".join((*key, *map(str, sums))) + "\n" for key, sums in cells])
    if not text:
        return
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    bulk.copy_text(rollup.tail, (*rollup.key, *rollup.sums), text)


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
