"""A schedule's due moment is answered once, however many schedulers and messages there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from metering.background import flows, schedules, work
from metering.background.flows import Flow, Step
from metering.background.work import Started
from metering.models import ScheduleFiring, WorkRun
from tests.metering.background.made_work import completed
from tests.threads import at_once

NAME = "run the test"
NOW = datetime(2026, 11, 2, 6, 0, 30, tzinfo=UTC)


@pytest.fixture
def monthly(fresh_db: str) -> None:
    flows.register(Flow("scheduled", (Step("only", completed),)))
    crontab = CrontabSchedule.objects.create(hour="6", minute="0", day_of_month="2-4")
    PeriodicTask.objects.create(name=NAME, task="any", crontab=crontab)


def begin(due_at: datetime) -> Started:
    return work.start("scheduled", f"{due_at:%Y-%m-%d}", author="schedule", now=NOW)


def fire(now: datetime = NOW) -> bool:
    return schedules.answer(NAME, now=now, begin=begin)


@pytest.mark.usefixtures("monthly")
def test_two_schedulers_at_once_start_one_run() -> None:
    answered = at_once(*[fire] * 4)
    assert sorted(answered) == [False, False, False, True]
    firing = ScheduleFiring.objects.get()
    assert firing.due_at == datetime(2026, 11, 2, 6, tzinfo=UTC)
    assert firing.run == WorkRun.objects.get()


@pytest.mark.usefixtures("monthly")
def test_a_late_message_belongs_to_the_moment_it_was_late_for() -> None:
    assert fire(NOW)
    assert not fire(NOW + timedelta(hours=23))
    assert fire(NOW + timedelta(hours=24))
    assert fire(NOW + timedelta(days=20))
    assert not fire(NOW + timedelta(days=25))
    assert [str(run.subject) for run in WorkRun.objects.order_by("pk")] == [
        "2026-11-02",
        "2026-11-03",
        "2026-11-04",
    ]


@pytest.mark.usefixtures("monthly")
def test_a_moment_whose_answer_failed_is_still_to_be_answered() -> None:
    def broken(due_at: datetime) -> Started:
        begin(due_at)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        schedules.answer(NAME, now=NOW, begin=broken)
    assert not WorkRun.objects.exists()
    assert fire()


@pytest.mark.usefixtures("monthly")
def test_an_edited_schedule_has_other_moments() -> None:
    CrontabSchedule.objects.filter(day_of_month="2-4").update(hour="5", timezone="Asia/Kolkata")
    assert schedules.due_before(NAME, now=NOW) == datetime(2026, 11, 1, 23, 30, tzinfo=UTC)


@pytest.mark.usefixtures("db")
def test_an_installation_begins_with_schedules_that_people_then_edit() -> None:
    tasks = dict(PeriodicTask.objects.values_list("name", "task"))
    assert {
        "sweep work": "metering.sweep_work",
        "fold rollups": "metering.fold_rollups",
        "make partitions": "metering.make_partitions",
        "keep up calls": "metering.keep_up_calls",
        "run the month": "billing.start_month",
        "apply Stripe's events": "billing.apply_stripe_events",
    }.items() <= tasks.items()


@pytest.mark.usefixtures("db")
def test_every_schedule_names_a_task_that_a_worker_knows() -> None:
    from config.celery import app

    app.loader.import_default_modules()
    unknown = set(PeriodicTask.objects.values_list("task", flat=True)) - set(app.tasks)
    assert not unknown
