"""The nightly verification: what holds ends it, what does not stands in it by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import psycopg
import pytest
from django_celery_beat.models import PeriodicTask

from billing import verification_run
from billing.tasks import START_VERIFICATION, start_verification
from billing.verify import checks_of
from config.celery import app
from metering.background import workers
from metering.background.flows import Leased
from metering.background.work_status import RunStatus
from metering.models import ScheduleFiring, WorkRun
from metering.rollups import fold
from metering.verification import spot_checks
from metering.verification.findings import Finding
from tests.allocation.october import NOW, OCTOBER
from tests.billing import a_month

NIGHT = datetime(2026, 11, 4, 2, 30, tzinfo=UTC)
TAMPER = "UPDATE day_rollup SET events = events + 1 WHERE day = '2026-10-03'"


@pytest.fixture
def month(fresh_db: str, tmp_path: Path) -> None:
    a_month.set_up(tmp_path)
    a_month.run_inline()
    fold()


def verified() -> RunStatus:
    verification_run.start(OCTOBER, now=NOW)
    found = verification_run.verification_status(OCTOBER)
    assert found is not None
    workers.work_off(found.run_id, clock=lambda: NOW)
    again = verification_run.verification_status(OCTOBER)
    assert again is not None
    return again


@pytest.mark.usefixtures("month")
def test_a_month_that_holds_ends_with_every_check_done() -> None:
    found = verified()
    assert (found.state, found.errors) == ("done", ())
    checks = len(checks_of(OCTOBER))
    assert [(step.parts, step.done) for step in found.steps] == [(1, 1), (checks, checks)]


@pytest.mark.usefixtures("month")
def test_what_does_not_hold_fails_its_check_for_good_and_the_others_are_done(
    owner_connection: psycopg.Connection,
) -> None:
    owner_connection.execute(TAMPER)
    found = verified()
    assert found.state == "failed"
    assert len(found.errors) == 2
    assert all("2026-10-03" in error for error in found.errors)
    assert any("spot check" in error for error in found.errors)
    assert found.steps[-1].done == len(checks_of(OCTOBER)) - 2

    owner_connection.execute(TAMPER.replace("+", "-"))
    assert verified().state == "done", "the next night begins anew"


@pytest.mark.usefixtures("month")
def test_a_night_verifies_its_month_and_the_one_before_once() -> None:
    for _ in range(2):
        verification_run.start_on_schedule("verify by night", now=NIGHT + timedelta(hours=1))
    assert sorted(WorkRun.objects.values_list("subject", flat=True)) == ["2026-10", "2026-11"]
    firing = ScheduleFiring.objects.get()
    assert (firing.schedule, firing.due_at) == ("verify by night", NIGHT)


def test_the_schedule_names_a_task_that_workers_know(db: None) -> None:
    assert PeriodicTask.objects.get(name="verify by night").task == START_VERIFICATION
    assert START_VERIFICATION in app.tasks
    start_verification.apply(headers={"periodic_task_name": "verify by night"})
    assert ScheduleFiring.objects.get().schedule == "verify by night"


@pytest.mark.usefixtures("month")
def test_each_draw_finds_what_lies_beneath_any_of_its_cells(
    owner_connection: psycopg.Connection,
) -> None:
    period = OCTOBER.period
    assert list(spot_checks.check(period, draw="a")) == []
    owner_connection.execute(
        "INSERT INTO usage_rollup_tail SELECT * FROM usage_rollup WHERE tenant = 'globex'"
    )
    (found,) = spot_checks.check(period, draw="b")
    assert (found.check, found.where[:10]) == ("spot check", "2026-10-31")
    assert found.what == "1 requests, cost 5 by request; 2 requests, cost 10 by day"


@pytest.mark.parametrize(("findings", "said"), [(5, "e"), (6, "and 1 more"), (9, "and 4 more")])
def test_a_check_names_its_first_findings_and_how_many_more_there_are(
    findings: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Finding("check", "place", letter) for letter in "abcdefghi"[:findings]]
    monkeypatch.setattr(verification_run, "checks_of", lambda _: {"some": lambda: found})
    leased = SimpleNamespace(subject="2026-10", part="some")
    with pytest.raises(verification_run.DoesNotHold, match=rf"place: e(; )?{said}$|: {said}$"):
        verification_run.check(cast("Leased", leased))
