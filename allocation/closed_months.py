"""Whether a month is closed, and the refusal of whoever would change one that is."""

from __future__ import annotations

from allocation.models import PeriodClose
from allocation.period_locks import share_month
from metering import bulk
from metering.dispositions import ClosedMonth
from metering.domain.periods import Month


class MonthIsClosed(ValueError):
    """The month is closed; what changes now is a correction in the next open month."""


def close_of(month: Month) -> PeriodClose | None:
    """The close that holds the month shut; `None` while it is open, or open again."""
    return PeriodClose.objects.filter(month=str(month), reopening=None).first()


def refuse_if_closed(month: Month) -> None:
    """Raise `MonthIsClosed`, naming who closed it and what can be done, if the month is closed.

    For a clear message before the work: the database refuses the rows in any case.
    """
    close = close_of(month)
    if close is not None:
        raise MonthIsClosed(
            f"{month} was closed by {close.closed_by} on {close.closed_at:%Y-%m-%d}; correct it "
            f"in {month.next()} or later, or have another person reopen it: "
            f'manage.py reopen_period {month} --reason "…" --as USER'
        )


def usage_must_stay(month: Month) -> ClosedMonth | None:
    """Since when and why what counts in the month may not be changed; `None` while it is open.

    Asked by metering inside the transaction that would change it. The month is shared until that
    ends, so a close in progress ends first and none begins meanwhile.
    """
    share_month(month)
    # By plain SQL: every batch of usage of an earlier month asks, and `close_of` takes longer to be
    # made into SQL than to be answered.
    with bulk.cursor() as cursor:
        cursor.execute(
            "SELECT closed_by, closed_at FROM period_close made WHERE month = %s"
            " AND NOT EXISTS (SELECT FROM period_reopening ended WHERE ended.close_id = made.id)",
            [str(month)],
            prepare=True,
        )
        close = cursor.fetchone()
    if close is None:
        return None
    closed_by, closed_at = close
    return ClosedMonth(
        closed_at,
        f"{month} was closed by {closed_by} on {closed_at:%Y-%m-%d}; what it was"
        " closed on stays as it is",
    )
