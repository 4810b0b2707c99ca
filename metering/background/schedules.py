"""Schedules, which people edit in the admin: when they were due, and that each moment counts once.

A scheduler only sends word that a schedule is due. Which moment that was is reckoned from the
schedule itself, and the moment is answered by whoever claims it first in the database. So two
schedulers, a message that comes twice, or one that comes late have the effect of one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from metering.background.work import Started
from metering.domain.due_moments import Calendar, last_multiple
from metering.models import ScheduleFiring

SCHEDULE: Final = "schedule"
"""Who starts what no person has started. It is no person, and never approves."""


def answer(name: str, *, now: datetime, begin: Callable[[datetime], Started | None]) -> bool:
    """Begin what the schedule's last due moment asks for, if nobody has; whether it was us.

    `begin` is given the moment, and runs in the transaction that claims it: if it raises, or the
    process dies, the moment is still to be claimed.
    """
    due_at = due_before(name, now=now)
    with transaction.atomic():
        firing, claimed = ScheduleFiring.objects.get_or_create(
            schedule=name, due_at=due_at, defaults={"fired_at": now}
        )
        if not claimed:
            return False
        started = begin(due_at)
        if started is not None:
            firing.run = started.run
            firing.save(update_fields=["run"])
    return True


def due_before(name: str, *, now: datetime) -> datetime:
    """The schedule's last due moment until now. The minute, if no schedule of that name is kept
    (any more), or if it is of a kind that has no grid of moments."""
    task = PeriodicTask.objects.filter(name=name).first()
    if task is not None and task.crontab is not None:
        return _calendar(task.crontab).last_due(now.astimezone(task.crontab.timezone))
    if task is not None and task.interval is not None:
        return last_multiple(task.interval.schedule.run_every, now)
    return now.astimezone(UTC).replace(second=0, microsecond=0)


def _calendar(row: Any) -> Calendar:
    cron = row.schedule
    return Calendar(
        minutes=cron.minute,
        hours=cron.hour,
        days_of_week=cron.day_of_week,
        days_of_month=cron.day_of_month,
        months=cron.month_of_year,
    )
