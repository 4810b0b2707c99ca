"""Verification as work, which a schedule starts every night: each check of a month a part.

What does not hold fails its part for good and stands in its error, so that it is seen: on the start
page, among the work in progress, and by whoever asks for the run's status.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import transaction

from billing.verify import checks_of
from metering.background import schedules, work, work_status
from metering.background.flows import Flow, Leased, Part, Step, register
from metering.background.schedules import SCHEDULE
from metering.background.work import Started
from metering.background.work_status import RunStatus
from metering.domain.periods import Month

KIND: Final = "verification"
_CHECK: Final = "check"
_TOLD: Final = 5
"""Findings that a check's error names."""


class DoesNotHold(RuntimeError):
    """What a check has found; the message names the first findings."""


def start(month: Month, *, author: str = SCHEDULE, now: datetime) -> Started:
    """Start verifying the month, or join the run that is at it."""
    return work.start(KIND, str(month), author=author, now=now)


def start_on_schedule(name: str, *, now: datetime) -> bool:
    """Start the schedule's due moment: the month that it is in, and the one before, which people
    are about to close or have closed. Once for each moment; whether this call did."""

    def begin(due_at: datetime) -> Started:
        month = Month.of(due_at)
        start(month.previous(), now=now)
        return start(month, now=now)

    return schedules.answer(name, now=now, begin=begin)


def verification_status(month: Month) -> RunStatus | None:
    """How the month's newest verification stands; `None`: there was none."""
    return work_status.latest(KIND, str(month))


def open_checks(leased: Leased) -> None:
    """Open a part for each check."""
    names = checks_of(Month.parse(leased.subject))
    with transaction.atomic():
        work.complete(leased, opens=[Part(name) for name in names])


def check(leased: Leased) -> None:
    """Do one check. Raises `DoesNotHold`."""
    findings = checks_of(Month.parse(leased.subject))[leased.part]()
    if findings:
        told = "; ".join(": ".join(finding) for finding in findings[:_TOLD])
        more = len(findings) - _TOLD
        raise DoesNotHold(f"{told}; and {more} more" if more > 0 else told)
    with transaction.atomic():
        work.complete(leased, note="holds")


FLOW: Final = register(
    Flow(
        KIND,
        (Step("checks", open_checks), Step(_CHECK, check, refused_by=(DoesNotHold,))),
    )
)
