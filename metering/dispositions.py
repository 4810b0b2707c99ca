"""What counts: events never change, but whether they count is decided by rows beside them.

An *uncounted* event stays where it is, with the reason why it no longer counts; what it had added
to the rollups is taken back in the same transaction. Its key stays claimed, so that sending it
again does not make it count again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

from django.db import connection, transaction

from metering import bulk, stored_events
from metering.domain.periods import Month, Period
from metering.domain.usage import DataMode
from metering.event_rows import instant_text
from metering.rollups import USAGE, append_deltas
from metering.stored_events import StoredEvent

BATCH: Final = 2_000
_LOCK: Final = 7_315_004
"""One changer of dispositions at a time: what counts is read and changed under this lock."""

MonthGuard = Callable[[Month], str | None]
"""Asked inside the transaction that would change what counts in a month: why it must not be
changed, or `None`. A guard sees to it that its answer holds until the transaction ends."""

_guards: list[MonthGuard] = []


def lock_changes() -> None:
    """Let nobody else change what counts, or how it is valued, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def why_it_must_stay(month: Month) -> str | None:
    """Why nothing that is known of the month may change any more; `None` while it is open. The
    answer holds until the transaction ends."""
    return next((why for guard in _guards if (why := guard(month)) is not None), None)


def guard_months(guard: MonthGuard) -> None:
    """Let an app that knows of closed months be asked before anything is uncounted."""
    if guard not in _guards:
        _guards.append(guard)


@dataclass(frozen=True, slots=True)
class TryOuts:
    """Events of one source that were sent to try something out: test or demo data. With `tenant`,
    that tenant's only."""

    source: str
    data_mode: DataMode
    tenant: str | None = None

    def __post_init__(self) -> None:
        if self.data_mode == "real":
            raise ValueError("real usage is corrected, not taken back as a whole")


class Kept(NamedTuple):
    """Events of a month that went on counting, and why."""

    month: Month
    events: int
    reason: str


class Uncounted(NamedTuple):
    """How many events no longer count, and what had to stay."""

    events: int
    kept: tuple[Kept, ...]


def uncount(what: TryOuts, *, reason: str, author: str, now: datetime) -> Uncounted:
    """Let these events count no longer, wherever their month is open.

    In transactions of at most `BATCH` events, each whole in itself: if it is cut off, doing it
    again does the rest. Doing it twice, or twice at once, changes nothing more.
    """
    done = 0
    kept: dict[Month, Kept] = {}
    for day, events in _days(what):
        month = Month(day.year, day.month)
        while month not in kept:
            taken = _uncount_batch(what, day, month, reason=reason, author=author, now=now)
            if isinstance(taken, str):
                kept[month] = Kept(month, 0, taken)
                break
            done += taken
            if taken < BATCH:
                break
        if month in kept:
            kept[month] = kept[month]._replace(events=kept[month].events + events)
    return Uncounted(done, tuple(kept.values()))


def _days(what: TryOuts) -> list[tuple[date, int]]:
    """The UTC days on which such events count, and how many, as the rollup has it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (bucket_at AT TIME ZONE 'UTC')::date, sum(events)::bigint"
            f" FROM {USAGE.relation()} cells WHERE source = %s AND data_mode = %s"
            " AND (%s::text IS NULL OR tenant = %s) GROUP BY 1 HAVING sum(events) <> 0 ORDER BY 1",
            [what.source, what.data_mode, what.tenant, what.tenant],
        )
        return [(day, int(events)) for day, events in cursor]


def _uncount_batch(
    what: TryOuts, day: date, month: Month, *, reason: str, author: str, now: datetime
) -> int | str:
    """Uncount some of the day's events: how many, or why the month must stay as it is."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    with transaction.atomic():
        why = why_it_must_stay(month)
        if why is not None:
            return why
        lock_changes()
        events = stored_events.read(
            Period(start, start + timedelta(days=1)),
            "e.source = %(source)s AND e.data_mode = %(data_mode)s"
            " AND (%(tenant)s::text IS NULL OR e.tenant = %(tenant)s)",
            {"source": what.source, "data_mode": what.data_mode, "tenant": what.tenant},
            limit=BATCH,
        )
        _dispose(events, reason=reason, author=author, now=now)
        append_deltas([(stored, stored.pseudonym) for stored in events], sign=-1)
    return len(events)


def _dispose(events: list[StoredEvent], *, reason: str, author: str, now: datetime) -> None:
    if not events:
        return
    with bulk.cursor() as cursor:
        cursor.execute(
            "INSERT INTO event_disposition"
            " (event_key, sequence, occurred_at, state, reason, made_at, author)"
            " SELECT key, 1 + coalesce((SELECT max(sequence) FROM event_disposition made"
            "  WHERE made.event_key = key), 0), at, 'uncounted', %s, %s, %s"
            " FROM unnest(%s::uuid[], %s::timestamptz[]) AS t(key, at)",
            [
                reason,
                now,
                author,
                bulk.array([stored.key for stored in events]),
                bulk.array([instant_text(stored.event.occurred_at) for stored in events]),
            ],
        )
