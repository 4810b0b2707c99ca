"""What counts: events never change, but whether they count is decided by rows beside them.

An event that does not count stays where it is, with the reason and with what took its place; what
it had added to the rollups is taken back in the same transaction, and added again if a later
disposition lets it count again. Its key stays claimed, so that sending it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal, NamedTuple

from django.db import connection, transaction

from metering import bulk, stored_events
from metering.domain.periods import Month, Period
from metering.domain.usage import DataMode
from metering.event_rows import instant_text
from metering.rollups import USAGE, append_deltas

BATCH: Final = 2_000
_LOCK: Final = 7_315_004
"""One changer of dispositions at a time: what counts is read and changed under this lock."""

State = Literal["counted", "superseded", "merged", "uncounted"]
"""`superseded`: by a later report of the same call, or by the calls beneath it; `merged`: with
another route's report; `uncounted`: taken back, and nothing took its place."""


class ClosedMonth(NamedTuple):
    """Since when what counts in a month may not be changed, and why."""

    at: datetime
    why: str


MonthGuard = Callable[[Month], ClosedMonth | None]
"""Asked inside the transaction that would change what counts in a month; `None`: it may be changed.
A guard sees to it that its answer holds until the transaction ends."""

_guards: list[MonthGuard] = []


def lock_changes() -> None:
    """Let nobody else change what counts, or how it is valued, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def share_changes() -> None:
    """Let nobody change what counts until the transaction ends. Others may value events anew
    meanwhile: an event's next revision can be written once only."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [_LOCK])


def closed(month: Month) -> ClosedMonth | None:
    """Since when and why nothing that is known of the month may change any more; `None` while it
    is open. The answer holds until the transaction ends."""
    return next((found for guard in _guards if (found := guard(month)) is not None), None)


def why_it_must_stay(month: Month) -> str | None:
    """The reason that `closed` gives."""
    found = closed(month)
    return None if found is None else found.why


def guard_months(guard: MonthGuard) -> None:
    """Let an app that knows of closed months be asked before anything is uncounted."""
    if guard not in _guards:
        _guards.append(guard)


class Standing(NamedTuple):
    """What is decided about an event: whether it counts (`counted`), and if not, why not and which
    event took its place (`None`: none did)."""

    key: str
    occurred_at: datetime
    state: State
    reason: str
    superseded_by: str | None = None


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
        _append(
            [
                Standing(stored.key, stored.event.occurred_at, "uncounted", reason)
                for stored in events
            ],
            author=author,
            now=now,
        )
        append_deltas([(stored, stored.pseudonym) for stored in events], sign=-1)
    return len(events)


def decide(standings: Sequence[Standing], *, author: str, now: datetime) -> None:
    """Let these events count, or no longer, each once; the rollups get the signed differences.

    Inside the caller's transaction, which holds `lock_changes` and has seen that the months are
    open. What stands already as it is decided gets no second disposition.
    """
    latest = standings_of([each.key for each in standings])
    changed = [each for each in standings if not _stands(each, latest.get(each.key))]
    times = {each.key: each.occurred_at for each in changed}
    before = stored_events.of_keys(times)
    _append(changed, author=author, now=now)
    after = stored_events.of_keys(times)
    append_deltas([(stored, stored.pseudonym) for stored in before], sign=-1)
    append_deltas([(stored, stored.pseudonym) for stored in after])


def standings_of(keys: Collection[str]) -> dict[str, Standing]:
    """What was last decided about these events, by key; what nothing was decided about counts,
    and is left out."""
    if not keys:
        return {}
    with bulk.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT ON (event_key) event_key::text, occurred_at, state, reason,"
            " superseded_by::text FROM event_disposition WHERE event_key = ANY(%s::uuid[])"
            " ORDER BY event_key, sequence DESC",
            [bulk.array(sorted(set(keys)))],
        )
        return {row[0]: Standing(*row) for row in cursor.fetchall()}


def _stands(wanted: Standing, known: Standing | None) -> bool:
    if known is None:
        return wanted.state == "counted"
    return (wanted.state, wanted.superseded_by) == (known.state, known.superseded_by)


def _append(standings: Sequence[Standing], *, author: str, now: datetime) -> None:
    if not standings:
        return
    with bulk.cursor() as cursor:
        cursor.execute(
            "INSERT INTO event_disposition (event_key, sequence, occurred_at, state, reason,"
            "  superseded_by, made_at, author)"
            " SELECT key, 1 + coalesce((SELECT max(sequence) FROM event_disposition made"
            "  WHERE made.event_key = key), 0), at, state, reason, by, %s, %s"
            " FROM unnest(%s::uuid[], %s::timestamptz[], %s::text[], %s::text[], %s::uuid[])"
            "  AS t(key, at, state, reason, by)",
            [
                now,
                author,
                bulk.array([each.key for each in standings]),
                bulk.array([instant_text(each.occurred_at.astimezone(UTC)) for each in standings]),
                bulk.array([each.state for each in standings]),
                bulk.texts(each.reason for each in standings),
                bulk.texts(each.superseded_by for each in standings),
            ],
        )
