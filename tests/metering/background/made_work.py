"""A flow of three steps, runs of it, and their parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import transaction

from metering.background import flows, work
from metering.background.flows import Flow, Leased, Step
from metering.models import WorkPart, WorkRun

NOW: Final = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
LEASE: Final = timedelta(seconds=360)


def completed(leased: Leased) -> None:
    with transaction.atomic():
        work.complete(leased)


def flow(*steps: Step, kind: str = "test") -> Flow:
    return flows.register(Flow(kind, steps))


def three_steps() -> Flow:
    return flow(*(Step(name, completed) for name in ("first", "second", "third")))


def start(kind: str = "test", subject: str = "2026-10") -> WorkRun:
    return work.start(kind, subject, author="schedule", now=NOW).run


def only_part(run: WorkRun, step: str = "first") -> WorkPart:
    return WorkPart.objects.get(run=run, step=step)


def leased_first(run: WorkRun, now: datetime = NOW) -> Leased:
    leased = work.lease(only_part(run).pk, now=now)
    assert leased is not None
    return leased
