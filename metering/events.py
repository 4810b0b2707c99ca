"""Events as they count now: each with its latest revision, without those that do not count.

Every reading of raw events starts from `current()`, so that what a disposition or a revision
changes is changed for all readers at once; so is the instant that they are read as of.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final

from metering.domain.periods import Period
from metering.event_rows import SEALED, VALUED

_SEALED: Final = ", ".join(f"e.{name}" for name, _ in SEALED)
_VALUED: Final = ", ".join(
    f"CASE WHEN r.event_key IS NULL THEN e.{name} ELSE r.{name} END AS {name}" for name, _ in VALUED
)


_known_at: Final[ContextVar[datetime | None]] = ContextVar("known_at", default=None)


@contextmanager
def known_at(instant: datetime) -> Iterator[None]:
    """Within, `current()` without an instant of its own reads as of this one."""
    token = _known_at.set(instant)
    try:
        yield
    finally:
        _known_at.reset(token)


def current(period: Period, as_of: datetime | None = None) -> tuple[str, dict[str, Any]]:
    """A subquery with every column of the events of the period that count, and its parameters.

    Beside the columns of `event_rows` it has `revision` and the `seal_digest` and current
    `value_digest`. With `as_of`, events as they counted at that instant: without what was
    received, revised or disposed of later. Named parameters `period_start`, `period_end` and
    `as_of` are used.
    """
    as_of = as_of or _known_at.get()
    within = "occurred_at >= %(period_start)s AND occurred_at < %(period_end)s"
    known = " AND {} <= %(as_of)s" if as_of is not None else ""
    sql = f"""(
        SELECT {_SEALED}, e.seal_digest, {_VALUED},
               coalesce(r.revision, 0) AS revision,
               coalesce(r.value_digest, e.value_digest) AS value_digest
        FROM usage_event e
        LEFT JOIN (
            SELECT DISTINCT ON (event_key) * FROM event_revision
            WHERE {within}{known.format("made_at")} ORDER BY event_key, revision DESC
        ) r ON r.event_key = e.event_key
        WHERE e.occurred_at >= %(period_start)s AND e.occurred_at < %(period_end)s
          {known.format("e.received_at")}
          AND e.event_key NOT IN (
            SELECT event_key FROM (
                SELECT DISTINCT ON (event_key) event_key, state FROM event_disposition
                WHERE {within}{known.format("made_at")} ORDER BY event_key, sequence DESC
            ) latest WHERE state <> 'counted'
          )
    )"""
    return sql, {"period_start": period.start, "period_end": period.end, "as_of": as_of}
