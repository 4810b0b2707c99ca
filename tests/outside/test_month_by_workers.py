"""The month by real worker processes over a real broker, one of them killed: the same month."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Final

import psycopg
import pytest
from django.db import connection, transaction
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from billing import monthly_run
from config.celery import scheduler_command, worker_command
from metering.background.work_status import RunStatus
from metering.models import ScheduleFiring, WorkPart, WorkRun
from tests.allocation.october import OCTOBER
from tests.billing import a_month
from tests.billing.a_month import Made, made, nothing_twice
from tests.databases import ROOT
from tests.serving import child_environment

pytestmark = pytest.mark.outside

DEADLINE_SECONDS: Final = 120
LEASE_SECONDS: Final = 3
HELD_UP: Final = 4711
SET_UP: Final = """
import django
django.setup()
from django.utils import timezone
from billing import monthly_run
from tests.allocation.october import NOW, OCTOBER
from tests.billing import a_month
"""
START: Final = "monthly_run.start(OCTOBER, now=timezone.now(), as_of=NOW)"
CLOSE: Final = "a_month.close()"


@pytest.fixture
def by_hand(fresh_db: str, tmp_path: Path) -> Made:
    """What the month comes to by hand, which is rolled back: only its usage and bill are there."""
    a_month.set_up(tmp_path)
    with transaction.atomic():
        a_month.run_inline()
        found = made()
        transaction.set_rollback(True)
    return found


@contextmanager
def running(command: list[str], database: str, broker: str, log: Path) -> Iterator[None]:
    """A process in a group of its own, which is killed at the end: nobody gets to clean up."""
    environment = child_environment(
        database, {"REDIS_URL": broker, "WORK_LEASE_SECONDS": str(LEASE_SECONDS)}
    )
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(what: Callable[[], bool], log: Path) -> None:
    """Look again and again; give up after a while, with what the workers said."""
    give_up = monotonic() + DEADLINE_SECONDS
    while not what():
        if monotonic() > give_up:
            pytest.fail(f"it did not come to that:\n{log.read_text()[-4000:]}")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.05)")


def status() -> RunStatus:
    found = monthly_run.monthly_run_status(OCTOBER)
    assert found is not None
    return found


def at(step: str, state: str) -> Callable[[], bool]:
    return lambda: (status().step, status().state) == (step, state)


def in_a_process(act: str, database: str, broker: str) -> None:
    """Do it as people do, by a process that sends its messages to the workers' broker."""
    subprocess.run(
        [sys.executable, "-c", SET_UP + act],
        cwd=ROOT,
        env=child_environment(database, {"REDIS_URL": broker}),
        check=True,
    )


def scheduled(name: str, *, seconds: int) -> None:
    """Let the schedule be due every so many seconds, as people can in the admin."""
    every, _ = IntervalSchedule.objects.get_or_create(every=seconds, period="seconds")
    task = PeriodicTask.objects.get(name=name)
    task.crontab, task.interval, task.enabled = None, every, True
    task.save()


@contextmanager
def held_up_at(step: str, owner: psycopg.Connection) -> Iterator[Callable[[], bool]]:
    """Nobody gets past the end of a part of that step; whether somebody has come to it."""
    owner.execute(
        f"CREATE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" PERFORM pg_advisory_xact_lock_shared({HELD_UP}); RETURN NEW; END $$;"
        f"CREATE TRIGGER wait_here BEFORE UPDATE ON work_part FOR EACH ROW"
        f" WHEN (NEW.state = 'done' AND NEW.step = '{step}') EXECUTE FUNCTION wait_here()"
    )
    owner.execute(f"SELECT pg_advisory_lock({HELD_UP})")

    def reached() -> bool:
        return bool(
            owner.execute(
                "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                f" AND objid = {HELD_UP} AND database = (SELECT oid FROM pg_database"
                "  WHERE datname = current_database())"
            ).fetchone()
        )

    try:
        yield reached
    finally:
        owner.execute(f"SELECT pg_advisory_unlock({HELD_UP})")
        owner.execute("DROP TRIGGER wait_here ON work_part")


@pytest.fixture(autouse=True)
def _schedules(fresh_db: str) -> None:
    """Only the sweeper is due, and that every second: the month is started by hand."""
    PeriodicTask.objects.update(enabled=False)
    scheduled("sweep work", seconds=1)


def test_the_month_by_workers_is_the_month_by_hand(
    fresh_db: str, redis_url: str, by_hand: Made, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with (
        running(worker_command(), fresh_db, redis_url, log),
        running(scheduler_command(), fresh_db, redis_url, log),
    ):
        in_a_process(START, fresh_db, redis_url)
        until(at("close", "waiting"), log)
        in_a_process(CLOSE, fresh_db, redis_url)
        until(at("", "done"), log)
    assert made() == by_hand
    assert nothing_twice()


@pytest.mark.parametrize("step", ["gather", "divide", "assemble", "invoices"])
def test_a_worker_is_killed_in_the_middle_and_another_goes_on(
    fresh_db: str,
    redis_url: str,
    owner_connection: psycopg.Connection,
    by_hand: Made,
    tmp_path: Path,
    step: str,
) -> None:
    """It is killed when it has done all of a part but to commit it."""
    log = tmp_path / "log"
    with held_up_at(step, owner_connection) as reached:
        with (
            running(worker_command(), fresh_db, redis_url, log),
            running(scheduler_command(), fresh_db, redis_url, log),
        ):
            in_a_process(START, fresh_db, redis_url)
            if step == "invoices":
                until(at("close", "waiting"), log)
                in_a_process(CLOSE, fresh_db, redis_url)
            until(reached, log)
        assert status().step == step
    with (
        running(worker_command(), fresh_db, redis_url, log),
        running(scheduler_command(), fresh_db, redis_url, log),
    ):
        if step != "invoices":
            until(at("close", "waiting"), log)
            in_a_process(CLOSE, fresh_db, redis_url)
        until(at("", "done"), log)
    assert max(WorkPart.objects.filter(step=step).values_list("attempts", flat=True)) > 1
    assert made() == by_hand
    assert nothing_twice()


def test_two_schedulers_answer_each_due_moment_of_the_month_once(
    fresh_db: str, redis_url: str, tmp_path: Path
) -> None:
    """The month before this one has nothing to it, so its run waits and is begun anew."""
    log = tmp_path / "log"
    scheduled("run the month", seconds=2)
    with (
        running(worker_command(), fresh_db, redis_url, log),
        running(scheduler_command(), fresh_db, redis_url, log),
        running(scheduler_command(), fresh_db, redis_url, log),
    ):
        until(lambda: ScheduleFiring.objects.count() > 2, log)
    firings = ScheduleFiring.objects.all()
    assert {firing.schedule for firing in firings} == {"run the month"}
    assert all(firing.due_at.second % 2 == 0 for firing in firings)
    assert WorkRun.objects.filter(state="open").count() == 1
    assert WorkRun.objects.count() <= firings.count()
