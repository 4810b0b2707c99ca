"""Work as rows: whatever happens in whatever order, a part has its effect once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TypeVar
from unittest import mock

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from kombu.exceptions import OperationalError as BrokerGone

from metering.background import flows, hints, work, workers
from metering.background.flows import FenceLost, Flow, Leased, Part, Step, UnknownWork
from metering.background.work_status import latest, status
from metering.models import WorkPart, WorkRun

NOW = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
LEASE = timedelta(seconds=360)
_T = TypeVar("_T")
_serial = count(1)


class WaitsForABill(Exception):
    pass


class Refused(Exception):
    pass


def _completed(leased: Leased) -> None:
    with transaction.atomic():
        work.complete(leased)


def flow(*steps: Step, kind: str = "test") -> Flow:
    return flows.register(Flow(kind, steps))


@pytest.fixture(autouse=True)
def _flows_of_the_test() -> Iterator[None]:
    with mock.patch.dict(flows._FLOWS):
        flow(Step("first", _completed), Step("second", _completed), Step("third", _completed))
        yield


def start(kind: str = "test", subject: str = "2026-10") -> WorkRun:
    return work.start(kind, subject, author="schedule", now=NOW).run


def only_part(run: WorkRun, step: str = "first") -> WorkPart:
    return WorkPart.objects.get(run=run, step=step)


def leased_first(run: WorkRun, now: datetime = NOW) -> Leased:
    leased = work.lease(only_part(run).pk, now=now)
    assert leased is not None
    return leased


def at_once(*tasks: Callable[[], _T]) -> list[_T]:
    """Start the tasks together, each on a connection of its own."""
    gate = threading.Barrier(len(tasks))

    def begin(task: Callable[[], _T]) -> _T:
        try:
            gate.wait(timeout=30)
            return task()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(begin, tasks))


class Workers(RuleBasedStateMachine):
    """Workers that lease, complete, fail, give back and die, by a clock that runs on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.subject = f"subject {next(_serial)}"
        self.tokens: list[Leased] = []
        self.effects: Counter[int] = Counter()
        self.fences: dict[int, int] = {}
        self.runs = 0

    @initialize()
    def begin(self) -> None:
        self.start_again()

    @rule()
    def start_again(self) -> None:
        started = work.start("test", self.subject, author="schedule", now=self.now)
        self.runs += started.new
        assert WorkRun.objects.filter(subject=self.subject).count() == self.runs

    @rule(seconds=st.integers(1, 1000))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(data=st.data())
    def lease_a_part(self, data: st.DataObject) -> None:
        parts = list(WorkPart.objects.filter(run__subject=self.subject).select_related("run"))
        part = data.draw(st.sampled_from(parts))
        ready = part.run.state == "open" and (
            (part.state == "waiting" and part.due_at <= self.now)
            or (part.lease_until is not None and part.lease_until < self.now)
        )
        leased = work.lease(part.pk, now=self.now)
        assert (leased is not None) == (ready and part.attempts < work.ATTEMPTS)
        if leased is not None:
            assert leased.fence > part.fence
            self.tokens.append(leased)

    @precondition(lambda self: self.tokens)
    @rule(data=st.data(), wide=st.booleans())
    def complete_one(self, data: st.DataObject, wide: bool) -> None:  # noqa: FBT001
        leased = data.draw(st.sampled_from(self.tokens))
        opens = [Part("a"), Part("b")] if wide else [Part()]
        if self._done(leased, lambda: work.complete(leased, opens=opens)):
            self.effects[leased.part_id] += 1

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def fail_one(self, data: st.DataObject) -> None:
        leased = data.draw(st.sampled_from(self.tokens))
        self._done(leased, lambda: work.fail(leased, "broken"))

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def postpone_one(self, data: st.DataObject) -> None:
        leased = data.draw(st.sampled_from(self.tokens))
        until = self.now + timedelta(minutes=1)
        self._done(leased, lambda: work.postpone(leased, "waits", until=until))

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def hold_one(self, data: st.DataObject) -> None:
        self._done(leased := data.draw(st.sampled_from(self.tokens)), lambda: work.hold(leased))

    def _done(self, leased: Leased, act: Callable[[], object]) -> bool:
        """Whether it could be done, which is so for the last lease of an unfinished part only."""
        part = WorkPart.objects.get(pk=leased.part_id)
        current = part.state == "leased" and part.fence == leased.fence
        try:
            with transaction.atomic():
                act()
        except FenceLost:
            assert not current
            return False
        assert current
        return True

    @invariant()
    def every_effect_is_had_once(self) -> None:
        done = WorkPart.objects.filter(run__subject=self.subject, state="done")
        assert self.effects == Counter(done.values_list("pk", flat=True))

    @invariant()
    def fences_only_rise(self) -> None:
        fences = dict(WorkPart.objects.filter(run__subject=self.subject).values_list("pk", "fence"))
        assert all(fences[pk] >= fence for pk, fence in self.fences.items())
        self.fences = fences

    @invariant()
    def steps_follow_each_other(self) -> None:
        for run in WorkRun.objects.filter(subject=self.subject):
            steps = list(run.parts.values_list("step", flat=True).distinct().order_by())
            if run.state == "done":
                assert set(steps) == {"first", "second", "third"}
                assert not run.parts.exclude(state="done").exists()
            if run.state == "open":
                assert run.parts.filter(step=run.step).exclude(state="done").exists()
                assert not run.parts.exclude(step=run.step).exclude(state="done").exists()


@pytest.mark.usefixtures("db")
def test_however_workers_interleave_each_effect_is_had_once() -> None:
    run_state_machine_as_test(
        Workers, settings=hypothesis_settings(max_examples=15, stateful_step_count=25)
    )


@pytest.mark.usefixtures("db")
class TestLeases:
    def test_a_leased_part_is_nobody_elses_until_its_lease_runs_out(self) -> None:
        part = only_part(start())
        first = work.lease(part.pk, now=NOW)
        assert first is not None
        assert work.lease(part.pk, now=NOW + LEASE) is None
        second = work.lease(part.pk, now=NOW + LEASE + timedelta(seconds=1))
        assert second is not None
        assert (first.attempt, second.attempt) == (1, 2)
        with pytest.raises(FenceLost, match=r"first .* is not this worker's any more"):
            _completed(first)
        _completed(second)
        assert only_part(WorkRun.objects.get()).state == "done"

    def test_what_cannot_be_taken_is_left_alone(self) -> None:
        run = start()
        assert work.lease(0, now=NOW) is None
        assert work.lease(only_part(run).pk, now=NOW - timedelta(seconds=1)) is None
        _completed(leased_first(run))
        assert work.lease(only_part(run).pk, now=NOW) is None

    def test_a_worker_that_never_comes_back_fails_the_part_in_the_end(self) -> None:
        run = start()
        now = NOW
        for _ in range(work.ATTEMPTS):
            assert work.lease(only_part(run).pk, now=now) is not None
            now += LEASE + timedelta(seconds=1)
        assert work.lease(only_part(run).pk, now=now) is None
        part = only_part(run)
        assert (part.state, part.error) == ("failed", "no worker came back from it in 5 attempts.")
        assert status(run).state == "failed"

    def test_completion_belongs_into_the_transaction_of_the_effect(self) -> None:
        leased = leased_first(start())
        with (
            mock.patch.object(connection, "in_atomic_block", new=False),
            pytest.raises(RuntimeError, match="inside the transaction that has its effect"),
        ):
            work.hold(leased)

    def test_the_database_lets_no_fence_sink_and_no_done_part_be_opened(self) -> None:
        leased = leased_first(start())
        part = WorkPart.objects.filter(pk=leased.part_id)
        with pytest.raises(IntegrityError, match="only rises"), transaction.atomic():
            part.update(fence=0)
        _completed(leased)
        with pytest.raises(Exception, match="Invalid transition"), transaction.atomic():
            part.update(state="waiting", finished_at=None)


@pytest.mark.usefixtures("db")
class TestPerforming:
    def performed(self, *, error: Exception) -> tuple[str, WorkPart]:
        def raising(leased: Leased) -> None:
            raise error

        flow(Step("first", raising, waits_for=(WaitsForABill,), refused_by=(Refused,)))
        run = start()
        return workers.perform(only_part(run).pk, now=NOW), only_part(run)

    def test_what_a_part_waits_for_is_no_failure(self) -> None:
        became, part = self.performed(error=WaitsForABill("no bill yet"))
        assert (became, part.state, part.attempts) == ("waiting", "waiting", 0)
        assert part.due_at == NOW + timedelta(hours=1)
        standing = latest("test", "2026-10")
        assert standing is not None
        assert (standing.state, standing.waits_for) == ("waiting", ("no bill yet",))

    def test_a_refusal_is_not_tried_again(self) -> None:
        became, part = self.performed(error=Refused("name another rule"))
        assert (became, part.state, part.error) == ("failed", "failed", "name another rule")

    def test_an_error_is_tried_again_later_and_kept_in_the_end(self) -> None:
        became, part = self.performed(error=ZeroDivisionError("oh"))
        assert (became, part.state, part.error) == (
            "to be tried again",
            "waiting",
            "ZeroDivisionError: oh",
        )
        pauses = []
        now = NOW
        while part.state == "waiting":
            pauses.append((part.due_at - now).total_seconds())
            now = part.due_at
            assert workers.perform(part.pk, now=now - timedelta(seconds=1)) == "left alone"
            became = workers.perform(part.pk, now=now)
            part.refresh_from_db()
        assert pauses == [10, 20, 40, 80]
        assert (became, part.state, part.error) == ("failed", "failed", "ZeroDivisionError: oh")

    def test_a_message_that_comes_twice_does_nothing_twice(self) -> None:
        part = only_part(start())
        assert workers.perform(part.pk, now=NOW) == "done"
        assert workers.perform(part.pk, now=NOW + LEASE * 2) == "left alone"
        assert WorkPart.objects.filter(step="second").count() == 1

    def test_a_process_without_the_flow_says_so_and_spoils_nothing(self) -> None:
        run = start()
        del flows._FLOWS["test"]
        assert workers.perform(only_part(run).pk, now=NOW) == "to be tried again"
        assert "no flow 'test' is registered here" in only_part(run).error
        with pytest.raises(UnknownWork):
            start("unheard of")

    def test_a_step_without_parts_is_passed_over(self) -> None:
        run = start()
        with transaction.atomic():
            work.complete(leased_first(run), opens=[])
        assert list(run.parts.values_list("step", flat=True)) == ["first", "third"]

    def test_material_reaches_its_part_and_results_those_who_ask_in_their_order(self) -> None:
        run = start()
        parts = [Part(f"{n}", b"%d" % n) for n in range(20)]
        with transaction.atomic():
            work.complete(leased_first(run), opens=parts)
        for part_id in reversed(work.ready_parts(run.pk, now=NOW)):
            leased = work.lease(part_id, now=NOW)
            assert leased is not None
            assert leased.material is not None
            with transaction.atomic():
                work.complete(leased, result=leased.material * 2)
        assert work.results(run.pk, "second") == [b"%d%d" % (n, n) for n in range(20)]
        workers.work_off(run.pk, clock=lambda: NOW)
        assert WorkRun.objects.get().state == "done"
        assert work.results(run.pk, "second") == []


@pytest.mark.usefixtures("db")
class TestStarting:
    def test_a_run_at_work_is_joined(self) -> None:
        run = start()
        again = work.start("test", "2026-10", author="analyst", now=NOW)
        assert (again.run, again.new) == (run, False)

    def test_a_run_that_waits_or_has_failed_is_begun_anew(self) -> None:
        run = start()
        leased = leased_first(run)
        work.postpone(leased, "no bill yet", until=NOW + timedelta(hours=1))
        second = start()
        assert second != run
        work.fail(leased_first(second), "refused", for_good=True)
        third = start()
        states = WorkRun.objects.order_by("pk").values_list("state", flat=True)
        assert list(states) == ["ended", "ended", "open"]
        workers.work_off(third.pk, clock=lambda: NOW)
        assert start() != third

    def test_who_works_on_a_run_that_has_ended_commits_nothing(self) -> None:
        run = start()
        leased = leased_first(run)
        WorkPart.objects.filter(pk=leased.part_id).update(note="still waiting")
        start()
        with pytest.raises(FenceLost):
            _completed(leased)


@pytest.mark.usefixtures("db")
class TestHints:
    def sent(self, now: datetime) -> list[int]:
        with mock.patch.object(hints, "send") as send:
            workers.sweep(now=now)
        (found,) = send.call_args.args
        return list(found)

    def test_only_what_nobody_seems_to_have_heard_of_is_sent_again(self) -> None:
        part = only_part(start())
        assert self.sent(NOW + timedelta(minutes=1)) == []
        late = NOW + workers.AGAIN_AFTER + timedelta(seconds=1)
        assert self.sent(late) == [part.pk]
        assert self.sent(late) == []

    def test_what_waited_and_what_was_leased_in_vain_is_sent_when_its_time_comes(self) -> None:
        run = start()
        work.postpone(leased_first(run), "no bill", until=NOW + timedelta(minutes=2))
        part = only_part(run)
        assert self.sent(NOW + timedelta(minutes=1)) == []
        assert self.sent(NOW + timedelta(minutes=3)) == [part.pk]
        leased = work.lease(part.pk, now=NOW + timedelta(minutes=3))
        assert leased is not None
        assert self.sent(NOW + timedelta(minutes=8)) == []
        assert self.sent(NOW + timedelta(minutes=10)) == [part.pk]

    def test_a_broker_that_is_not_there_is_no_error(self) -> None:
        from config.celery import app

        with mock.patch.object(app, "send_task", side_effect=BrokerGone("gone")):
            hints.send([1])


@pytest.mark.usefixtures("fresh_db")
class TestAtOnce:
    def test_of_two_that_lease_one_gets_it(self) -> None:
        part = only_part(start())
        found = at_once(*[lambda: work.lease(part.pk, now=NOW)] * 4)
        assert sum(leased is not None for leased in found) == 1

    def test_of_two_that_start_one_begins(self) -> None:
        started = at_once(*[lambda: work.start("test", "2026-10", author="schedule", now=NOW)] * 4)
        assert sorted(one.new for one in started) == [False, False, False, True]
        assert WorkPart.objects.count() == 1

    def test_parts_that_end_together_open_the_next_step_once(self) -> None:
        run = start()
        with transaction.atomic():
            work.complete(leased_first(run), opens=[Part(f"{n}") for n in range(8)])
        gate = threading.Barrier(8, timeout=30)

        def together(leased: Leased) -> None:
            with transaction.atomic():
                gate.wait()
                work.complete(leased)

        flow(Step("first", _completed), Step("second", together), Step("third", _completed))
        ids = list(WorkPart.objects.filter(step="second").values_list("pk", flat=True))
        became = at_once(*[lambda pk=pk: workers.perform(pk, now=NOW) for pk in ids])
        assert became == ["done"] * 8
        assert WorkPart.objects.filter(step="third").count() == 1

    def test_a_snapshot_too_old_to_see_the_other_part_fails_and_is_tried_again(self) -> None:
        run = start()
        with transaction.atomic():
            work.complete(leased_first(run), opens=[Part("a"), Part("b")])
        first, second = (work.lease(pk, now=NOW) for pk in work.ready_parts(run.pk, now=NOW))
        assert first is not None
        assert second is not None

        def in_an_old_snapshot() -> None:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    cursor.execute("SELECT 1")
                at_once(lambda: _completed(first))
                work.complete(second)

        with pytest.raises(OperationalError, match="could not serialize"):
            in_an_old_snapshot()
        _completed(second)
        assert WorkPart.objects.filter(step="third").count() == 1
