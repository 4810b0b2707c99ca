"""One lock per accounting month, so that nobody closes what somebody else is still writing.

Whoever works on a month as a whole (an allocation run, a reconciliation, an approval, a close, a
reopening) holds it alone; every row that is written into a month shares it, which the triggers of
the guarded tables see to. Both last until the end of the transaction.
"""

from __future__ import annotations

from typing import Final

from django.db import connection

from metering import bulk
from metering.domain.periods import Month

MONTH_LOCK: Final = 0x4D4F4E54
"""First half of the advisory lock's key; the second is the month written as YYYYMM."""


def lock_month(month: Month) -> None:
    """Wait for the month and hold it alone until the transaction ends.

    Must be called inside a transaction, before anything that the decision depends on is read.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("a month is locked for a transaction; open one with atomic() first")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, %s)", [MONTH_LOCK, month.year * 100 + month.month]
        )


def share_month(month: Month) -> None:
    """Wait for whoever holds the month alone, and let nobody hold it until the transaction ends.

    For those who write into a month one row among many. Must be called inside a transaction.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("a month is shared for a transaction; open one with atomic() first")
    with bulk.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock_shared(%s::int, %s::int)",
            [MONTH_LOCK, month.year * 100 + month.month],
            prepare=True,
        )
