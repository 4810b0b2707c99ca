"""Work as rows: runs that are started, parts that are leased and completed."""

from __future__ import annotations

from datetime import timedelta
from unittest import mock

import pytest
from django.db import IntegrityError, connection, transaction

from metering.background import work, workers
from metering.background.flows import FenceLost
from metering.background.work_status import is_at_work, status
from metering.models import WorkPart, WorkRun
from tests.metering.background.made_work import (
    LEASE,
    NOW,
    completed,
    leased_first,
    only_part,
    start,
)

pytestmark = pytest.mark.usefixtures("db", "test_flow")


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
            completed(leased)

    def test_whether_it_is_at_work_is_what_its_status_says(self) -> None:
        run = start()
        leased = leased_first(run)
        said = []
        for then in (
            lambda: None,
            lambda: work.postpone(leased, "no bill yet", until=NOW + timedelta(hours=1)),
            start,
        ):
            then()
            run.refresh_from_db()
            assert is_at_work(run) is (status(run).state == "at work")
            said.append(status(run).state)
        newest = start()
        work.fail(leased_first(newest), "refused", for_good=True)
        assert not is_at_work(newest)
        done = start()
        workers.work_off(done.pk, clock=lambda: NOW)
        assert not is_at_work(done)
        assert said == ["at work", "waiting", "ended"]


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
            completed(first)
        completed(second)
        assert only_part(WorkRun.objects.get()).state == "done"

    def test_what_cannot_be_taken_is_left_alone(self) -> None:
        run = start()
        assert work.lease(0, now=NOW) is None
        assert work.lease(only_part(run).pk, now=NOW - timedelta(seconds=1)) is None
        completed(leased_first(run))
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
        completed(leased)
        with pytest.raises(Exception, match="Invalid transition"), transaction.atomic():
            part.update(state="waiting", finished_at=None)
