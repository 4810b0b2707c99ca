"""Partitions of the events, by UTC day: made ahead, so that no event has to wait for its own.

An event that needs one that is not there yet still gets it, from the same function of the
database (migration `0002_usage`); of two that make the same one, the second finds it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import connection

DAYS_AHEAD: Final = 14
MOST_DAYS: Final = 1_000


def make_ahead(*, now: datetime, days: int = DAYS_AHEAD) -> int:
    """Have the partitions of the current UTC day, of the one before (its last events may be on
    their way) and of so many days to come; how many were made."""
    today = now.astimezone(UTC).date()
    wanted = [today + timedelta(days=ahead) for ahead in range(-1, days + 1)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT ensure_event_partitions(%s::date[])", [wanted])
        made: int = cursor.fetchone()[0]
    return made
