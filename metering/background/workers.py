"""Doing work: one part at a time, by whoever has heard of it; and hearing of what was forgotten.

A Celery task, a command and a test call `perform`. It needs no message to be true: a part that is
done, leased or not due is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Literal

from metering.background import hints, work
from metering.background.flows import FenceLost, Leased, Step, flow_of

Became = Literal["done", "left alone", "waiting", "to be tried again", "failed", "overtaken"]
"""What became of a part. `left alone`: it could not be leased. `overtaken`: somebody else has the
lease by now, and nothing of what was done here counts."""

AGAIN_AFTER: Final = timedelta(minutes=10)
"""A message about a part that is ready and that nobody has taken is taken for lost after this."""
MOST_HINTS: Final = 1_000

logger = logging.getLogger(__name__)


def perform(part_id: int, *, now: datetime) -> Became:
    """Take the part and do it, if it is there to be taken."""
    leased = work.lease(part_id, now=now)
    if leased is None:
        return "left alone"
    try:
        return _perform(leased)
    except FenceLost as lost:
        logger.warning("%s", lost)
        return "overtaken"


def sweep(*, now: datetime) -> int:
    """Send word again of parts that are ready and that nobody seems to have heard of: their
    message was lost, their worker was, or what they waited for may have come. How many."""
    found = work.to_be_hinted(now=now, again_after=AGAIN_AFTER, most=MOST_HINTS)
    hints.send(found)
    return len(found)


def work_off(run_id: int, *, clock: Callable[[], datetime]) -> None:
    """Do the run's parts here, one after the other, until none of them can be taken."""
    while ready := work.ready_parts(run_id, now=clock()):
        for part_id in ready:
            perform(part_id, now=clock())


def _perform(leased: Leased) -> Became:
    step: Step | None = None
    try:
        step = flow_of(leased.kind).step(leased.step)
        step.perform(leased)
    except FenceLost:
        raise
    except Exception as error:  # whatever it is: it is kept with the part, for a person to see
        if step is not None and isinstance(error, step.waits_for):
            work.postpone(leased, str(error), until=leased.at + step.looks_again)
            return "waiting"
        refused = step is not None and isinstance(error, step.refused_by)
        if not refused:
            logger.exception("%s %s: %s", leased.kind, leased.subject, leased.step)
        told = str(error) if refused else f"{type(error).__name__}: {error}"
        failed = work.fail(leased, told, for_good=refused)
        return "failed" if failed else "to be tried again"
    return "done"
