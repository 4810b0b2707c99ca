"""Checks of metering's own promises from the raw rows: which row, cell or bucket does not hold.

Every check recomputes a number by a second route (SQL where the first was Python, raw events
where the first was a rollup) and yields a `Finding` for each difference, at most `LIMIT` a check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from django.utils import timezone

from metering import seal_chain, seals
from metering.domain.periods import Month, Period
from metering.models import Seal
from metering.verification import (
    digest_verification,
    line_verification,
    rollup_verification,
    share_verification,
    spot_checks,
)
from metering.verification.findings import Finding, rows


def checks(month: Month) -> dict[str, Callable[[], Iterator[Finding]]]:
    """Metering's checks over one UTC month, by name; none depends on another. Those that take
    longest come first, so that whoever does several at once is not left with a long one."""
    period = month.period
    return {
        "rollups": lambda: rollup_verification.check(period),
        "event digests": lambda: digest_verification.check(period),
        "cells, cost lines and price rows": lambda: line_verification.check(period),
        "shares": lambda: share_verification.check(period),
        "seals": lambda: _seals(month),
        "requests of some days": lambda: spot_checks.check(period, draw=str(timezone.now().date())),
        "chain of seals": lambda: seal_chain.check(month),
        "ledger": lambda: _ledger(period),
        "dispositions": lambda: _successors(period),
    }


def check_month(month: Month) -> Iterator[Finding]:
    """All of metering's checks over one UTC month, one after the other."""
    for check in checks(month).values():
        yield from check()


def _seals(month: Month) -> Iterator[Finding]:
    for found in seals.broken(month):
        yield Finding(f"seal of the {found.book} book", str(month), found.what)


def unsealed_books(month: Month) -> list[str]:
    """The books in which the month has no seal."""
    sealed = set(Seal.objects.filter(month=str(month)).values_list("book", flat=True))
    return sorted(set(seals.BOOKS) - sealed)


def _bounds(period: Period) -> dict[str, Any]:
    return {"period_start": period.start, "period_end": period.end}


_WITHIN: Final = "occurred_at >= %(period_start)s AND occurred_at < %(period_end)s"


def _ledger(period: Period) -> Iterator[Finding]:
    for key, in_ledger in rows(
        "SELECT coalesce(e.event_key, l.event_key), l.event_key IS NOT NULL"
        f" FROM (SELECT event_key FROM usage_event WHERE {_WITHIN}) e"
        f" FULL JOIN (SELECT event_key FROM event_ledger WHERE {_WITHIN}) l"
        " ON l.event_key = e.event_key WHERE e.event_key IS NULL OR l.event_key IS NULL ORDER BY 1",
        _bounds(period),
    ):
        yield Finding(
            "ledger",
            f"event {key}",
            "its key is claimed but the event is gone"
            if in_ledger
            else "the event is there but its key was never claimed",
        )


def _successors(period: Period) -> Iterator[Finding]:
    """What took an event's place is there; nothing is merged into nothing."""
    for key, by in rows(
        "SELECT event_key, superseded_by FROM event_disposition d"
        f" WHERE {_WITHIN} AND superseded_by IS NOT NULL AND NOT EXISTS"
        " (SELECT FROM event_ledger l WHERE l.event_key = d.superseded_by) ORDER BY 1, 2",
        _bounds(period),
    ):
        yield Finding(
            "dispositions", f"event {key}", f"event {by}, which took its place, is not there"
        )
    for (key,) in rows(
        "SELECT event_key FROM event_disposition"
        f" WHERE {_WITHIN} AND state = 'merged' AND superseded_by IS NULL ORDER BY 1",
        _bounds(period),
    ):
        yield Finding("dispositions", f"event {key}", "is merged into nothing")
