"""Usage as it was known at an instant: read again by the same readings, to hold old numbers to.

A number that was made of usage (a closed month's allocation, an approved invoice) stays as it is
when usage comes in late. To compute it again, what has changed since is taken back out of the
rollups in a transaction that is never committed, and raw events are read as of that instant.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from metering import bulk, stored_events
from metering.domain.periods import Period
from metering.events import known_at
from metering.rollups import append_deltas

BATCH: Final = 2_000

_CHANGES: Final = """
    SELECT event_key, occurred_at, received_at AS changed_at FROM usage_event
    WHERE occurred_at >= %(start)s AND occurred_at < %(end)s AND received_at > %(instant)s
    UNION ALL SELECT event_key, occurred_at, made_at FROM event_revision
    WHERE occurred_at >= %(start)s AND occurred_at < %(end)s AND made_at > %(instant)s
    UNION ALL SELECT event_key, occurred_at, made_at FROM event_disposition
    WHERE occurred_at >= %(start)s AND occurred_at < %(end)s AND made_at > %(instant)s"""
"""What came in, was revised, or came to count or not to count, after the instant."""


@contextmanager
def one_snapshot() -> Iterator[None]:
    """A transaction whose readings all see one instant (unless it is inside another's)."""
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


@contextmanager
def usage_as_of(period: Period, instant: datetime) -> Iterator[None]:
    """Within, all readings of the period's usage by this thread say what they said at the instant:
    without what was received, revised or disposed of later.

    One snapshot, which is rolled back: nothing that is written within stays. What an instant cannot
    tell is in which order transactions of that moment were committed.
    """
    with one_snapshot():
        changed = _changed_events(period, instant)
        for first in range(0, len(changed), BATCH):
            _take_back(changed[first : first + BATCH], instant)
        with known_at(instant):
            yield
        transaction.set_rollback(True)


def latest_changes(period: Period, since: datetime) -> dict[str, datetime]:
    """The tenants whose usage of the period (their own, or a share of a call) has changed after
    `since`, and when it last did."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH changed AS MATERIALIZED ({_CHANGES}),"
            " whose AS (SELECT e.tenant, changed_at FROM changed"
            "  JOIN usage_event e USING (event_key, occurred_at)"
            "  UNION ALL SELECT r.tenant, changed_at FROM changed JOIN event_revision r"
            "  USING (event_key, occurred_at)"
            "  UNION ALL SELECT s.tenant, changed_at FROM changed JOIN event_share s"
            "  USING (event_key))"
            " SELECT tenant, max(changed_at) FROM whose GROUP BY tenant",
            _of(period, since),
        )
        return dict(cursor.fetchall())


def _changed_events(period: Period, instant: datetime) -> list[tuple[datetime, UUID]]:
    """In the order in which they occurred, so that a batch lies in few partitions."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT occurred_at, event_key FROM ({_CHANGES}) changed ORDER BY 1, 2",
            _of(period, instant),
        )
        return list(cursor.fetchall())


def _take_back(some: list[tuple[datetime, UUID]], instant: datetime) -> None:
    """Let these events add to the rollups what they had added at the instant, if anything."""
    period = Period(some[0][0], some[-1][0] + timedelta(microseconds=1))
    condition = "e.event_key = ANY(%(keys)s::uuid[])"
    keys = {"keys": bulk.array([str(key) for _, key in some])}
    now = stored_events.read(period, condition, keys, limit=BATCH)
    with known_at(instant):
        then = stored_events.read(period, condition, keys, limit=BATCH)
    append_deltas([(event, event.pseudonym) for event in now], sign=-1)
    append_deltas([(event, event.pseudonym) for event in then])


def _of(period: Period, instant: datetime) -> dict[str, Any]:
    return {"start": period.start, "end": period.end, "instant": instant}
