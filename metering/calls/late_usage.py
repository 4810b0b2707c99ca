"""Usage that comes when its month is closed: taken in, told, and queued for a correction.

What was closed stays as it was closed: closed runs and seals are read as of their close, so an
event that comes later changes none of them. It counts in metering from its receipt on, its sender
is told, and it waits here until the month has been closed with it (after a reopening) or somebody
corrects it in a later month. A *change* of an event that the month was closed on is not made: it
waits too, and is made if the month is reopened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from django.db import connection, transaction

from metering import bulk
from metering.dispositions import closed, why_it_must_stay
from metering.domain.periods import Month
from metering.domain.usage import UsageEvent
from metering.event_rows import instant_text

REASON: Final = "late_period_closed"
ARRIVED: Final = "usage that came after the close"


class LateUsage(NamedTuple):
    """What waits for a correction of a closed month: usage of an owner that its numbers are
    without (`kind` *arrived*), or changes of what they hold (*held*).

    `events` are the calls that the owner has a part in; `cost` is the metered cost of these parts,
    without those of `unpriced` calls, whose cost nobody knows."""

    month: Month
    kind: str
    tenant: str
    cost_centre: str
    provider: str
    currency: str
    events: int
    cost: Decimal
    unpriced: int
    first_received_at: datetime
    last_received_at: datetime


class ClosedMeanwhile(Exception):
    """A month was closed after the instant at which usage of it was received, and before it was
    stored: in the close it is not, so it counts as received at `since`, the first instant after."""

    def __init__(self, closed_at: datetime) -> None:
        super().__init__(closed_at)
        self.since = closed_at + timedelta(microseconds=1)


def closed_months(days: Iterable[date], *, now: datetime) -> dict[Month, str]:
    """Those of the months of these UTC days that are closed, and why nothing of them may change.
    The answer holds until the transaction ends. A month that is not over is not closed. Raises
    `ClosedMeanwhile` if one was closed at `now` or later: its transaction is to be done again."""
    today = now.astimezone(UTC).date()
    months = sorted({Month(day.year, day.month) for day in days if day < today.replace(day=1)})
    found = {month: since for month in months if (since := closed(month)) is not None}
    latest = max((since.at for since in found.values()), default=None)
    if latest is not None and latest >= now:
        raise ClosedMeanwhile(latest)
    return {month: since.why for month, since in found.items()}


def queue_arrivals(
    events: Sequence[tuple[str, UsageEvent]], *, now: datetime
) -> dict[str, tuple[Month, str]]:
    """Queue those of these events (each with its key), just stored, whose month is closed; the
    month of each, and why it is closed."""
    days = {event.occurred_at.date() for _, event in events}
    closed = closed_months(days, now=now)
    if not closed:
        return {}
    late: dict[str, tuple[Month, str]] = {}
    queued = []
    for key, event in events:
        month = Month(event.occurred_at.year, event.occurred_at.month)
        if month in closed:
            late[key] = (month, closed[month])
            queued.append((key, event.occurred_at, event.source))
    _queue("arrived", ARRIVED, queued, now=now)
    return late


def hold(events: Mapping[str, tuple[datetime, str]], *, source: str, now: datetime) -> None:
    """Queue changes that closed months forbid: the events that they would change, each with its
    time and why it would."""
    for key, (at, reason) in sorted(events.items()):
        _queue("held", reason, [(key, at, source)], now=now)


def held_in_open_months() -> list[str]:
    """The events of which a change waits, in months that are open again."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT month FROM late_arrival WHERE kind = 'held' ORDER BY 1")
        months = [Month.parse(name) for (name,) in cursor.fetchall()]
        with transaction.atomic():
            reopened = [str(month) for month in months if why_it_must_stay(month) is None]
        cursor.execute(
            "SELECT event_key::text FROM late_arrival WHERE kind = 'held' AND month = ANY(%s)"
            " ORDER BY 1",
            [reopened],
        )
        return [key for (key,) in cursor.fetchall()]


def _queue(
    kind: str, reason: str, events: Sequence[tuple[str, datetime, str]], *, now: datetime
) -> None:
    with bulk.cursor() as cursor:
        cursor.execute(
            "INSERT INTO late_arrival"
            " (month, kind, event_key, occurred_at, received_at, source, reason)"
            " SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM'), %s, key, at, %s, source, %s"
            " FROM unnest(%s::uuid[], %s::timestamptz[], %s::text[]) AS t(key, at, source)"
            " ON CONFLICT DO NOTHING",
            [
                kind,
                now,
                reason,
                bulk.array([key for key, _, _ in events]),
                bulk.array([instant_text(at) for _, at, _ in events]),
                [source for _, _, source in events],
            ],
        )


def late_usage(month: Month | None = None) -> list[LateUsage]:
    """The queue, oldest month first: what came, or was held, after the month's newest seal. What
    the month was closed on since, reopened, waits no longer; neither does what no longer counts."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH waiting AS (SELECT a.* FROM late_arrival a WHERE (%s::text IS NULL OR month = %s)"
            "  AND received_at > coalesce((SELECT max(sealed_at) FROM seal"
            "   WHERE book = 'usage' AND seal.month = a.month), '-infinity'))"
            " SELECT month, kind, o.tenant, o.cost_centre, provider, currency,"
            "  count(DISTINCT event_key), coalesce(sum(o.cost), 0),"
            "  count(DISTINCT event_key) FILTER (WHERE o.cost IS NULL),"
            "  min(w.received_at), max(w.received_at)"
            " FROM waiting w JOIN LATERAL ("
            "  SELECT coalesce(r.revision, 0) AS revision, coalesce(r.tenant, e.tenant) AS tenant,"
            "   coalesce(r.cost_centre, e.cost_centre) AS cost_centre, e.provider,"
            "   coalesce(r.currency, e.currency) AS currency,"
            "   CASE WHEN r.event_key IS NULL THEN e.cost ELSE r.cost END AS cost,"
            "   e.shares IS NOT NULL AS shared"
            "  FROM usage_event e LEFT JOIN LATERAL (SELECT * FROM event_revision r"
            "   WHERE r.event_key = e.event_key AND r.occurred_at = e.occurred_at"
            "   ORDER BY revision DESC LIMIT 1) r ON true"
            "  WHERE e.event_key = w.event_key AND e.occurred_at = w.occurred_at"
            "  AND coalesce((SELECT d.state FROM event_disposition d"
            "   WHERE d.event_key = e.event_key ORDER BY sequence DESC LIMIT 1), 'counted')"
            "   = 'counted') e ON true"
            " CROSS JOIN LATERAL (SELECT e.tenant, e.cost_centre, e.cost WHERE NOT e.shared"
            "  UNION ALL SELECT s.tenant, s.cost_centre, s.cost FROM event_share s"
            "   WHERE e.shared AND s.event_key = w.event_key AND s.occurred_at = w.occurred_at"
            "   AND s.revision = e.revision) o"
            " GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6",
            [None if month is None else str(month)] * 2,
        )
        return [LateUsage(Month.parse(name), *rest) for name, *rest in cursor]
