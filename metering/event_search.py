"""Finding an event by what its sender calls it. Events are kept by key and day; no index has the
senders' ids, since each would cost every event that comes in.

A key that the sender determined (`eventId`, or a request's attempt) is worked out for each source
and looked up. Whatever else has the id is looked for day by day, the newest first, up to a day that
can be named; attempts of one request lie on one day or on days beside each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from django.db import connection

from metering import bulk
from metering.dispositions import standings_of
from metering.domain.keys import event_key
from metering.domain.periods import Period
from metering.domain.usage import UsageEvent
from metering.models import Source
from metering.rollups import USAGE

LOOKS_BACK: Final = timedelta(days=62)
"""How long before the newest event an id is looked for, unless a day is named."""
ATTEMPTS: Final = 20
"""Up to which attempt a request's keys are worked out."""
_MOST: Final = 20
_OWN_SOURCE: Final = "api"
"""The source of whoever names none."""


class UnknownEvent(LookupError):
    """No event has this key or request id; the message says where was looked, and what to name."""


class SeveralEvents(LookupError):
    """The request id is that of several events (attempts); the message lists their keys."""


def find_event(
    key_or_request: str, *, source: str | None = None, since: date | None = None
) -> UUID:
    """The event of this key, or of this external request or event id (of the source, if it is
    named): of several reports of one call the event that counts. Ids are looked for back to the UTC
    day `since`, or `LOOKS_BACK` from the newest event.

    Raises `UnknownEvent`, or `SeveralEvents` for a request that was tried more than once.
    """
    keys = _determined(key_or_request, source) or _looked_for(key_or_request, source, since)
    decided = standings_of([str(key) for key in keys])
    replaced = {UUID(each.key) for each in decided.values() if each.superseded_by is not None}
    keys = [key for key in keys if key not in replaced] or keys
    if len(keys) > 1:
        listed = ", ".join(map(str, keys))
        raise SeveralEvents(
            f"{key_or_request!r} was sent in several attempts: name one of {listed}"
        )
    return keys[0]


def _looked_for(name: str, source: str | None, since: date | None) -> list[UUID]:
    newest = _newest()
    if newest is None:
        raise UnknownEvent(f"no event has the key or request id {name!r}: there is none at all")
    back_to = since or newest - LOOKS_BACK
    found = _by_day(name, source, newest, back_to)
    if not found:
        of_source = f" of source {source!r}" if source else ""
        raise UnknownEvent(
            f"no event{of_source} has the key or request id {name!r}, back to {back_to}; name its"
            f" key, or look further back: --since {back_to - LOOKS_BACK}"
        )
    return found


def _determined(name: str, source: str | None) -> list[UUID]:
    """Events whose key the name is or determines, by the ledger: the event of this key or id, or
    the request's attempts in their order."""
    sources = [source] if source else [*Source.objects.values_list("key", flat=True), _OWN_SOURCE]
    wanted = [key for each in dict.fromkeys(sources) for key in _keys(each, name)]
    with suppress(ValueError):
        wanted.insert(0, str(UUID(name)))
    with bulk.cursor() as cursor:
        cursor.execute(
            "SELECT event_key FROM event_ledger WHERE event_key = ANY(%s::uuid[])",
            [bulk.array(wanted)],
        )
        found = {str(key) for (key,) in cursor}
    return [UUID(key) for key in wanted if key in found][:_MOST]


def _keys(source: str, name: str) -> Iterable[str]:
    bare = UsageEvent(
        source=source,
        external_request_id=name,
        provider="",
        model="",
        occurred_at=datetime(1970, 1, 1, tzinfo=UTC),
    )
    yield event_key(msgspec.structs.replace(bare, event_id=name))
    for attempt in range(ATTEMPTS + 1):
        yield event_key(msgspec.structs.replace(bare, attempt=attempt))


def _newest() -> date | None:
    """The UTC day of the newest event, as the rollups have it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT greatest((SELECT max(day) FROM day_rollup),"
            f" (SELECT (max(bucket_at) AT TIME ZONE 'UTC')::date FROM {USAGE.tail}))"
        )
        newest: date | None = cursor.fetchone()[0]
    return newest


def _by_day(name: str, source: str | None, newest: date, since: date) -> list[UUID]:
    """The events of the newest day that has any, and of the days before it while they have some;
    in the order of time."""
    found: list[UUID] = []
    day = newest
    while day >= since and len(found) < _MOST:
        of_day = _of_day(name, source, Period.of_day(day))
        if found and not of_day:
            break
        found = of_day + found
        day -= timedelta(days=1)
    return found[:_MOST]


def _of_day(name: str, source: str | None, period: Period) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT event_key FROM usage_event WHERE occurred_at >= %(start)s"
            " AND occurred_at < %(end)s AND (external_request_id = %(name)s OR event_id = %(name)s)"
            " AND (%(source)s::text IS NULL OR source = %(source)s)"
            " ORDER BY occurred_at, event_key LIMIT %(most)s",
            {
                "start": period.start,
                "end": period.end,
                "name": name,
                "source": source,
                "most": _MOST,
            },
        )
        return [key for (key,) in cursor]
