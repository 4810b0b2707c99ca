"""The month by real worker processes over a real broker, one of them killed: the same month."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

import psycopg
import pytest
from django.db import connection, transaction
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from pytest_django import DjangoDbBlocker

from billing import monthly_run
from config.celery import scheduler_command, worker_command
from metering.background.work_status import RunStatus
from metering.models import ScheduleFiring, WorkPart, WorkRun
from tests.allocation.october import OCTOBER
from tests.billing import a_month
from tests.billing.a_month import Made, made, nothing_twice
from tests.databases import ROOT, TestDatabases, pointed_at
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


@dataclass(frozen=True)
class SetUp:
    """A database with a month's usage and bill, and what the month comes to by hand."""

    database: str
    by_hand: Made


@pytest.fixture(scope="module")
def month(
    test_databases: TestDatabases,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SetUp]:
    """Done by hand once, which is rolled back; each test begins with a copy of the rest."""
    with django_db_blocker.unblock():
        name = test_databases.clone()
        with pointed_at(name):
            a_month.set_up(tmp_path_factory.mktemp("month"))
            with transaction.atomic():
                a_month.run_inline()
                by_hand = made()
                transaction.set_rollback(True)
    yield SetUp(name, by_hand)
    with django_db_blocker.unblock():
        test_databases.drop(name)


@pytest.fixture
def database(
    month: SetUp, test_databases: TestDatabases, django_db_blocker: DjangoDbBlocker
) -> Iterator[str]:
    """The test's own copy; the month is started by hand."""
    with django_db_blocker.unblock():
        name = test_databases.clone(month.database)
        with pointed_at(name):
            only_the_sweeper()
            yield name
        test_databases.drop(name)


@pytest.fixture
def owner(database: str, test_databases: TestDatabases) -> Iterator[psycopg.Connection]:
    with test_databases.connect("migrator", database) as connection:
        yield connection


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


def only_the_sweeper() -> None:
    """Nothing is due but to sweep, and that every second."""
    PeriodicTask.objects.update(enabled=False)
    scheduled("sweep work", seconds=1)


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


def test_the_month_by_workers_is_the_month_by_hand(
    database: str, redis_url: str, month: SetUp, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with (
        running(worker_command(), database, redis_url, log),
        running(scheduler_command(), database, redis_url, log),
    ):
        in_a_process(START, database, redis_url)
        until(at("close", "waiting"), log)
        in_a_process(CLOSE, database, redis_url)
        until(at("", "done"), log)
    assert made() == month.by_hand
    assert nothing_twice()


@pytest.mark.parametrize("step", ["reconcile", "divide", "assemble", "invoices"])
def test_a_worker_is_killed_in_the_middle_and_another_goes_on(
    database: str,
    redis_url: str,
    owner: psycopg.Connection,
    month: SetUp,
    tmp_path: Path,
    step: str,
) -> None:
    """It is killed when it has done all of a part but to commit it."""
    log = tmp_path / "log"
    with held_up_at(step, owner) as reached:
        with (
            running(worker_command(), database, redis_url, log),
            running(scheduler_command(), database, redis_url, log),
        ):
            in_a_process(START, database, redis_url)
            if step == "invoices":
                until(at("close", "waiting"), log)
                in_a_process(CLOSE, database, redis_url)
            until(reached, log)
        assert status().step == step
    with (
        running(worker_command(), database, redis_url, log),
        running(scheduler_command(), database, redis_url, log),
    ):
        if step != "invoices":
            until(at("close", "waiting"), log)
            in_a_process(CLOSE, database, redis_url)
        until(at("", "done"), log)
    assert max(WorkPart.objects.filter(step=step).values_list("attempts", flat=True)) > 1
    assert made() == month.by_hand
    assert nothing_twice()


def test_two_schedulers_answer_each_due_moment_of_the_month_once(
    fresh_db: str, redis_url: str, tmp_path: Path
) -> None:
    """The month before this one has nothing to it, so its run waits and is begun anew."""
    log = tmp_path / "log"
    only_the_sweeper()
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
