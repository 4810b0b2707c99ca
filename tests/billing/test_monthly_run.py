"""The month as a run of work: the same as by hand, however often it is cut off or begun."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, connections, transaction
from hypothesis import given
from hypothesis import strategies as st

from billing import monthly_run
from billing.models import Invoice
from billing.tasks import start_month
from config.celery import app
from metering.background import hints, work, workers
from metering.background.flows import FenceLost
from metering.background.work_status import RunStatus
from metering.models import ScheduleFiring, WorkRun
from tests.allocation.october import NOW, OCTOBER
from tests.billing import a_month
from tests.billing.a_month import CUSTOMERS, Made, made, nothing_twice
from tests.billing.billed import PLANS, plans
from tests.prebuilt import Prebuilt
from tests.threads import at_once

WATCHED = (
    "metering/background/work.py",
    "metering/background/workers.py",
    "allocation/month_steps.py",
    "allocation/allocation_run.py",
    "billing/monthly_run.py",
    "billing/invoice_run.py",
)


@pytest.fixture
def month(db: None, prebuilt: Prebuilt) -> Iterator[None]:
    with prebuilt.at(a_month.set_up):
        yield


def status() -> RunStatus:
    found = monthly_run.monthly_run_status(OCTOBER)
    assert found is not None
    return found


def worked_off(now: datetime = NOW) -> RunStatus:
    started = monthly_run.start(OCTOBER, now=now, as_of=NOW)
    workers.work_off(started.run.pk, clock=lambda: now)
    return status()


def go_on(now: datetime) -> RunStatus:
    workers.work_off(status().run_id, clock=lambda: now)
    return status()


@pytest.fixture
def by_hand(fresh_db: str, tmp_path: Path) -> Made:
    """What the month comes to by hand, which is rolled back: only its usage and bill are there."""
    a_month.set_up(tmp_path)
    with transaction.atomic():
        a_month.run_inline()
        found = made()
        transaction.set_rollback(True)
    return found


def test_it_waits_for_people_and_then_drafts_invoices(month: None) -> None:
    assert worked_off().state == "waiting"
    assert not Invoice.objects.exists()
    a_month.close()
    assert go_on(NOW + timedelta(minutes=1)).state == "done"
    assert nothing_twice()
    invoices = Invoice.objects.values_list("tenant", "state", "author")
    assert sorted(invoices) == [(tenant, "draft", "schedule") for tenant in CUSTOMERS]


def test_a_month_that_is_done_can_be_run_again_and_stays_as_it_is(month: None) -> None:
    worked_off()
    a_month.close()
    go_on(NOW + timedelta(minutes=1))
    before = made()
    assert worked_off(NOW + timedelta(days=1)).state == "done"
    assert made() == before
    assert nothing_twice()
    assert WorkRun.objects.count() == 2


@pytest.fixture(params=[1, 2], ids=["a customer a part", "customers of one part"])
def customers_a_part(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    size: int = request.param
    monkeypatch.setattr(monthly_run, "CUSTOMERS_A_PART", size)
    return size


def test_parts_say_whom_they_are_for_and_what_became_of_them(
    month: None, customers_a_part: int
) -> None:
    later = PLANS.replace('"pro"', '"later"').replace("2026-01-01", "2026-11-01")
    plans('tenant = "initech"\nplan = "later"\nvalid_from = 2026-10-01', text=later)
    worked_off()
    a_month.close()
    go_on(NOW + timedelta(minutes=1))
    told = {part.part: part.note for part in status().told if part.step == "invoices"}
    without = "initech: plan later has no version on 2026-10-01; import one that is valid from"
    if customers_a_part == 1:
        assert {name: note[:50] for name, note in told.items()} == {
            "acme": "created 1",
            "globex": "created 1",
            "initech": f"no_terms 1; {without}"[:50],
        }
    else:
        assert told["acme"] == "created 1"
        assert told["globex to initech (2)"].startswith(f"created 1, no_terms 1; {without}")


class Killed(BaseException):
    """Stands for the end of the process."""


def ending_after(lines: int) -> Callable[..., Any]:
    """A tracer that ends the process after so many lines of the watched files."""
    left = lines

    def entered(frame: FrameType, _event: str, _argument: object) -> Any:
        return at_a_line if frame.f_code.co_filename.endswith(WATCHED) else None

    def at_a_line(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left
        if event == "line":
            left -= 1
            if left < 0:
                raise Killed
        return at_a_line

    return entered


def killed_after(lines: int, part_id: int, now: datetime) -> bool:
    """Do the part, and be killed after so many lines; whether we were."""
    before = sys.gettrace()
    sys.settrace(ending_after(lines))
    try:
        workers.perform(part_id, now=now)
    except Killed:
        return True
    finally:
        sys.settrace(before)
        # as of a dead process: the server hears that it is gone, and Django knows nothing of it
        if connection.connection is not None:
            connection.connection.close()
        del connections["default"]
    return False


@pytest.mark.parametrize(
    "longer", [23, pytest.param(1, marks=pytest.mark.outside, id="between any two lines")]
)
def test_killed_again_and_again_the_month_comes_to_the_same(
    by_hand: Made, monkeypatch: pytest.MonkeyPatch, longer: int
) -> None:
    """Every part is begun again and again, and lives for so many lines longer each time; also
    between the invoices of the customers that share one."""
    monkeypatch.setattr(work, "ATTEMPTS", 1_000)
    now, kills = NOW, 0
    run_id = monthly_run.start(OCTOBER, now=now, as_of=NOW).run.pk
    while status().state != "done":
        for part_id in work.ready_parts(run_id, now=now):
            lines = 0
            while killed_after(lines, part_id, now):
                lines, kills = lines + longer, kills + 1
                now += work.lease_length() + timedelta(seconds=1)
        if status().state == "waiting":
            a_month.close()
            now += timedelta(minutes=1)
    assert kills > 300 / longer
    assert made() == by_hand
    assert nothing_twice()


@pytest.mark.usefixtures("customers_a_part")
def test_two_workers_on_everything_at_once_come_to_the_same(by_hand: Made) -> None:
    run_id = monthly_run.start(OCTOBER, now=NOW, as_of=NOW).run.pk
    at_once(*[lambda: workers.work_off(run_id, clock=lambda: NOW)] * 3)
    assert status().state == "waiting"
    a_month.close()
    later = NOW + timedelta(minutes=1)
    at_once(*[lambda: workers.work_off(run_id, clock=lambda: later)] * 3)
    assert status().state == "done"
    assert made() == by_hand
    assert nothing_twice()


@pytest.mark.usefixtures("customers_a_part")
def test_who_was_overtaken_stores_nothing(by_hand: Made) -> None:
    """Each part is taken over and done by another before its first worker gets on with it."""
    run_id = monthly_run.start(OCTOBER, now=NOW, as_of=NOW).run.pk
    now, overtaken = NOW, []
    while status().state != "done":
        for part_id in work.ready_parts(run_id, now=now):
            slow = work.lease(part_id, now=now)
            assert slow is not None
            now += work.lease_length() + timedelta(seconds=1)
            if workers.perform(part_id, now=now) == "waiting":
                a_month.close()
                now += timedelta(minutes=1)
                assert workers.perform(part_id, now=now) == "done"
            with pytest.raises(FenceLost):
                monthly_run.FLOW.step(slow.step).perform(slow)
            overtaken.append(slow.step)
    assert set(overtaken) == {step.name for step in monthly_run.FLOW.steps}
    assert made() == by_hand
    assert nothing_twice()


@pytest.mark.usefixtures("month")
def test_who_was_overtaken_drafts_nothing_before_the_other_does() -> None:
    worked_off()
    a_month.close()
    run_id, now = status().run_id, NOW + timedelta(minutes=1)
    while status().step != "invoices":
        workers.perform(*work.ready_parts(run_id, now=now), now=now)
    part_id, *_ = work.ready_parts(run_id, now=now)
    slow = work.lease(part_id, now=now)
    assert slow is not None
    assert work.lease(part_id, now=now + timedelta(hours=1)) is not None
    with pytest.raises(FenceLost):
        monthly_run.draft_invoices(slow)
    assert not Invoice.objects.exists()


@pytest.fixture
def committed_month(fresh_db: str, tmp_path: Path) -> None:
    a_month.set_up(tmp_path)


@pytest.mark.usefixtures("committed_month")
class TestSchedule:
    def test_two_schedulers_start_the_month_before_once(self) -> None:
        def fire() -> bool:
            return monthly_run.start_on_schedule("run the month", now=NOW)

        assert sorted(at_once(fire, fire)) == [False, True]
        run = WorkRun.objects.get()
        assert (run.subject, run.author) == ("2026-10", "schedule")
        firing = ScheduleFiring.objects.get()
        assert firing.due_at == datetime(2026, 11, 3, 6, tzinfo=UTC)

    def test_the_next_day_begins_a_month_anew_that_waits_and_leaves_one_that_is_done(self) -> None:
        monthly_run.start_on_schedule("run the month", now=NOW)
        workers.work_off(status().run_id, clock=lambda: NOW)
        tomorrow = NOW + timedelta(days=1)
        monthly_run.start_on_schedule("run the month", now=tomorrow)
        assert WorkRun.objects.count() == 2
        workers.work_off(status().run_id, clock=lambda: tomorrow)
        a_month.close()
        go_on(tomorrow + timedelta(minutes=1))
        monthly_run.start_on_schedule("run the month", now=NOW + timedelta(days=2))
        assert WorkRun.objects.count() == 2
        assert status().state == "done"

    def test_the_task_knows_which_schedule_sent_it(self) -> None:
        start_month.apply(headers={"periodic_task_name": "run the month"})
        assert ScheduleFiring.objects.get().schedule == "run the month"


@pytest.mark.usefixtures("month")
class TestCommand:
    def said(self, *arguments: str) -> dict[str, Any]:
        out = io.StringIO()
        call_command("run_month", "2026-10", "--json", *arguments, stdout=out)
        answer: dict[str, Any] = json.loads(out.getvalue())
        return answer

    def test_by_hand_without_a_worker(self) -> None:
        answer = self.said("--here", "--as", "analyst")
        assert (answer["state"], answer["step"], answer["author"]) == (
            "waiting",
            "close",
            "analyst",
        )
        (wanted,) = answer["waits_for"]
        assert wanted == (
            "run 1 of 2026-10 waits for a person to approve it: "
            "manage.py approve_allocation 2026-10 --as USER"
        )
        assert self.said("--status")["steps"][0] == {
            "name": "reconcile",
            "parts": 1,
            "done": 1,
            "failed": 0,
        }

    def test_without_a_worker_waiting_ends_with_a_remedy(self) -> None:
        with pytest.raises(CommandError, match="is a worker running"):
            self.said("--wait", "--timeout", "0")

    def test_a_failed_month_is_no_success(self) -> None:
        with pytest.raises(CommandError, match="fairest"):
            self.said("--here", "--rule", "fairest")

    @pytest.mark.parametrize("arguments", [("--as", "nobody"), ("--status",)])
    def test_refusals(self, arguments: tuple[str, ...]) -> None:
        with pytest.raises(CommandError):
            self.said(*arguments)


def hear_messages(database: str) -> int:
    """Do what the messages in the database's queue say, and what those bring about; how many."""
    app.loader.import_default_modules()
    heard = 0
    with app.connection_for_read() as broker:
        queue = broker.SimpleQueue(hints.queue_of(database))
        while queue.qsize():
            message = queue.get(block=False)
            arguments, _, _ = message.decode()
            app.tasks[message.headers["task"]].apply(arguments)
            message.ack()
            heard += 1
    return heard


def test_messages_alone_bring_the_month_to_its_end(fresh_db: str, tmp_path: Path) -> None:
    a_month.set_up(tmp_path)
    call_command("run_month", "2026-10", stdout=io.StringIO())
    assert hear_messages(fresh_db) == sum(step.parts for step in status().steps)
    assert status().step == "close"
    a_month.close()
    assert hear_messages(fresh_db) == 3, "the close, the customers, their one part"
    assert status().state == "done"
    assert nothing_twice()


@given(st.lists(st.text()), st.integers(1, 9))
def test_customers_are_parted_evenly(customers: list[str], most: int) -> None:
    parts = monthly_run.in_even_parts(customers, most=most)
    assert [each for part in parts for each in part] == customers
    sizes = [len(part) for part in parts]
    assert len(sizes) == math.ceil(len(customers) / most)
    assert not sizes or 0 < min(sizes) <= max(sizes) <= min(most, min(sizes) + 1)
