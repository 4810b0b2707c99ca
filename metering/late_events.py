"""Events that are older than the ledger's horizon: they can no longer be told from duplicates, so
they are kept in a queue and not counted."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from django.db import connection

from metering.domain.identity import identify
from metering.domain.keys import event_key
from metering.domain.usage import UsageEvent
from metering.outcomes import Outcome


def queue_late(
    index: int, event: UsageEvent, hash_key: bytes, horizon: timedelta, now: datetime
) -> Outcome:
    """Queue the event in the caller's transaction, and say so."""
    lookup, _ = identify(event, hash_key)
    key = event_key(event)
    content = msgspec.structs.replace(
        event,
        user_id=lookup.hex() if lookup else None,
        anon_id=None,
        ip_hash=None,
        agent_hash=None,
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO late_event (event_key, occurred_at, received_at, source, content)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [key, event.occurred_at, now, event.source, msgspec.json.encode(content).decode()],
        )
    return Outcome(
        index=index,
        outcome="rejected",
        key=key,
        reason="late",
        message=f"occurred at {event.occurred_at.isoformat()}, more than {horizon.days} days"
        " ago (LEDGER_HORIZON_DAYS); kept in the late queue, not counted",
        place=event.external_request_id,
    )
