"""Events as they count now: each with its latest revision, without those that do not count.

Every reading of raw events starts from `current()`, so that what a disposition or a revision
changes is changed for all readers at once; so is the instant that they are read as of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, NamedTuple

from metering import bulk
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


class KeyRange(NamedTuple):
    """The event keys from the first to the last, both included: UUIDs as text."""

    first: str
    last: str


def key_ranges(number: int) -> list[KeyRange]:
    """All keys in so many ranges (at most 65,536) of about as many keys each: keys are digests."""
    edges = [i * 0x10000 // number for i in range(number + 1)]
    return [_range(first, end) for first, end in pairwise(edges)]


def first_part(keys: KeyRange, of: int) -> KeyRange:
    """The first of so many parts of one of the `key_ranges`, or what is nearest to it."""
    first, end = int(keys.first[:4], 16), int(keys.last[:4], 16) + 1
    return _range(first, first + max(1, (end - first) // of))


def _range(first: int, end: int) -> KeyRange:
    return KeyRange(
        f"{first:04x}0000-0000-0000-0000-000000000000",
        f"{end - 1:04x}ffff-ffff-ffff-ffff-ffffffffffff",
    )


def current(
    period: Period,
    as_of: datetime | None = None,
    *,
    keys: Collection[str] | None = None,
    key_range: KeyRange | None = None,
) -> tuple[str, dict[str, Any]]:
    """A subquery with every column of the events of the period that count, and its parameters.

    Beside the columns of `event_rows` it has `revision` and the `seal_digest` and current
    `value_digest`. With `as_of`, events as they counted at that instant: without what was
    received, revised or disposed of later. With `keys`, these events only, each found by its key;
    with `key_range`, those in it. Named parameters `period_start`, `period_end`, `as_of`,
    `wanted_keys`, `first_key` and `last_key` are used.
    """
    as_of = as_of or _known_at.get()
    known = " AND {} <= %(as_of)s" if as_of is not None else ""
    wanted = " AND {0} = ANY(%(wanted_keys)s::uuid[])" if keys is not None else ""
    if key_range is not None:
        wanted += " AND {0} >= %(first_key)s::uuid AND {0} <= %(last_key)s::uuid"
    within = "occurred_at >= %(period_start)s AND occurred_at < %(period_end)s" + wanted.format(
        "event_key"
    )
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
          {wanted.format("e.event_key")}{known.format("e.received_at")}
          AND NOT EXISTS (
            SELECT FROM (
                SELECT DISTINCT ON (event_key) event_key, state FROM event_disposition
                WHERE {within}{known.format("made_at")} ORDER BY event_key, sequence DESC
            ) latest WHERE latest.event_key = e.event_key AND state <> 'counted'
          )
    )"""
    parameters: dict[str, Any] = {
        "period_start": period.start,
        "period_end": period.end,
        "as_of": as_of,
    }
    if keys is not None:
        parameters["wanted_keys"] = bulk.array(sorted(keys))
    if key_range is not None:
        parameters |= {"first_key": key_range.first, "last_key": key_range.last}
    return sql, parameters
