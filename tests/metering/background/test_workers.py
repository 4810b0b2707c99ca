"""Workers: what becomes of a part that is performed, and which parts are hinted at again."""

from __future__ import annotations

from datetime import datetime, timedelta
from unittest import mock

import pytest
from django.db import transaction
from kombu.exceptions import OperationalError as BrokerGone

from config.celery import app
from metering.background import flows, hints, work, workers
from metering.background.flows import Leased, Part, Step, UnknownWork
from metering.background.work_status import latest
from metering.models import WorkPart, WorkRun
from tests.metering.background.made_work import LEASE, NOW, flow, leased_first, only_part, start

pytestmark = pytest.mark.usefixtures("db", "test_flow")


class WaitsForABill(Exception):
    pass


class Refused(Exception):
    pass


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
        with mock.patch.object(app, "send_task", side_effect=BrokerGone("gone")):
            hints.send([1])
