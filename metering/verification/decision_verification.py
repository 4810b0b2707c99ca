"""Checks of what was decided of events: their keys, dispositions, revisions, and the late queue.

Each of these rows repeats its event's time, by which it is found; so it is held against the event's
own. Decisions are counted from 1, so that one that was taken away or put between is missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.db import transaction

from metering.dispositions import why_it_must_stay
from metering.domain.periods import Month, Period
from metering.events import current
from metering.models import Seal
from metering.verification.findings import Finding, rows

_WITHIN: Final = "occurred_at >= %(period_start)s AND occurred_at < %(period_end)s"


def _bounds(period: Period) -> dict[str, Any]:
    return {"period_start": period.start, "period_end": period.end}


def ledger(period: Period) -> Iterator[Finding]:
    """Events and claimed keys that do not belong together."""
    for key, at, claimed_at in rows(
        "SELECT event_key, e.occurred_at, l.occurred_at"
        f" FROM (SELECT event_key, occurred_at FROM usage_event WHERE {_WITHIN}) e"
        f" FULL JOIN (SELECT event_key, occurred_at FROM event_ledger WHERE {_WITHIN}) l"
        " USING (event_key) WHERE e.occurred_at IS DISTINCT FROM l.occurred_at ORDER BY 1",
        _bounds(period),
    ):
        if at is None:
            what = "its key is claimed but the event is gone"
        elif claimed_at is None:
            what = "the event is there but its key was never claimed"
        else:
            what = f"it occurred at {at.isoformat()}, its key says {claimed_at.isoformat()}"
        yield Finding("ledger", f"event {key}", what)


def dispositions(period: Period) -> Iterator[Finding]:
    """Dispositions that cannot be: of no event, out of order, or naming what is not there."""
    for key, sequence, what in rows(
        "SELECT event_key, sequence, CASE WHEN e.event_key IS NULL THEN"
        "   'there is no such event at that time'"
        "  WHEN d.sequence <> d.place THEN 'it is in place ' || d.place"
        "  WHEN d.state NOT IN ('counted', 'superseded', 'merged', 'uncounted') THEN"
        "   'nothing is ' || d.state"
        "  WHEN d.state = 'merged' AND d.superseded_by IS NULL THEN 'is merged into nothing'"
        "  WHEN d.state = 'superseded' AND d.superseded_by IS NULL THEN"
        "   'nothing is said to have taken its place'"
        "  WHEN d.state NOT IN ('merged', 'superseded') AND d.superseded_by IS NOT NULL THEN"
        "   'is ' || d.state || ', and something is said to have taken its place'"
        "  ELSE 'event ' || d.superseded_by || ', which took its place, is not there' END"
        " FROM (SELECT *, row_number() OVER (PARTITION BY event_key ORDER BY sequence) AS place"
        f"  FROM event_disposition WHERE {_WITHIN}) d"
        f" LEFT JOIN (SELECT event_key, occurred_at FROM usage_event WHERE {_WITHIN}) e"
        "  USING (event_key, occurred_at)"
        " WHERE e.event_key IS NULL OR d.sequence <> d.place"
        " OR d.state NOT IN ('counted', 'superseded', 'merged', 'uncounted')"
        " OR (d.state IN ('merged', 'superseded')) <> (d.superseded_by IS NOT NULL)"
        " OR d.superseded_by IS NOT NULL AND NOT EXISTS"
        "  (SELECT FROM event_ledger l WHERE l.event_key = d.superseded_by) ORDER BY 1, 2",
        _bounds(period),
    ):
        yield Finding("dispositions", f"event {key} disposition {sequence}", what)


def revisions(period: Period) -> Iterator[Finding]:
    """Revisions that cannot be: of no event, or out of order."""
    for key, revision, what in rows(
        "SELECT event_key, revision, CASE WHEN e.event_key IS NULL THEN"
        "   'there is no such event at that time' ELSE 'it is in place ' || r.place END"
        " FROM (SELECT event_key, revision, occurred_at,"
        "   row_number() OVER (PARTITION BY event_key ORDER BY revision) AS place"
        f"  FROM event_revision WHERE {_WITHIN}) r"
        f" LEFT JOIN (SELECT event_key, occurred_at FROM usage_event WHERE {_WITHIN}) e"
        "  USING (event_key, occurred_at)"
        " WHERE e.event_key IS NULL OR r.revision <> r.place ORDER BY 1, 2",
        _bounds(period),
    ):
        yield Finding("revisions", f"event {key} revision {revision}", what)


def late_queue(month: Month) -> Iterator[Finding]:
    """What waits for a correction of a month: each row of an event as it was received; of a closed
    month, a row for each event that has come since."""
    bounds = {**_bounds(month.period), "month": str(month)}
    for key, kind, received in rows(
        "SELECT event_key, kind, e.received_at"
        f" FROM (SELECT * FROM late_arrival WHERE month = %(month)s OR {_WITHIN}) a LEFT JOIN"
        f" (SELECT event_key, occurred_at, received_at, source FROM usage_event WHERE {_WITHIN}) e"
        "  USING (event_key, occurred_at)"
        " WHERE e.event_key IS NULL OR a.month <> %(month)s OR a.kind NOT IN ('arrived', 'held')"
        " OR a.kind = 'arrived' AND (a.received_at, a.source) <> (e.received_at, e.source)"
        " ORDER BY 1, 2",
        bounds,
    ):
        yield Finding(
            "late queue",
            f"event {key} ({kind})",
            "there is no such event at that time"
            if received is None
            else f"it is queued otherwise than it was received, at {received.isoformat()}",
        )
    yield from _unqueued(month)


def _unqueued(month: Month) -> Iterator[Finding]:
    closed = Seal.objects.filter(book="usage", month=str(month)).order_by("-sequence").first()
    with transaction.atomic():
        if closed is None or why_it_must_stay(month) is None:
            return
    events, parameters = current(month.period)
    for key, received in rows(
        f"SELECT event_key, received_at FROM {events} e"
        " WHERE received_at > %(closed)s AND NOT EXISTS (SELECT FROM late_arrival a"
        "  WHERE a.event_key = e.event_key AND a.kind = 'arrived') ORDER BY 1",
        {**parameters, "closed": closed.sealed_at},
    ):
        yield Finding(
            "late queue",
            f"event {key}",
            f"was received at {received.isoformat()}, after the close, and is not queued",
        )
