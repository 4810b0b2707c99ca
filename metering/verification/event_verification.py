"""Checks of metering's own promises from the raw rows: which row, cell or bucket does not hold.

Every check recomputes a number by a second route (SQL where the first was Python, raw events
where the first was a rollup) and yields a `Finding` for each difference, at most `LIMIT` a check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.utils import timezone

from metering import seal_chain, seals
from metering.domain.periods import Month
from metering.models import Seal
from metering.verification import (
    decision_verification,
    digest_verification,
    line_verification,
    rollup_verification,
    share_verification,
    spot_checks,
)
from metering.verification.findings import Finding


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
        "ledger": lambda: decision_verification.ledger(period),
        "dispositions": lambda: decision_verification.dispositions(period),
        "revisions": lambda: decision_verification.revisions(period),
        "late queue": lambda: decision_verification.late_queue(month),
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
