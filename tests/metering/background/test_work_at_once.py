"""Work by several at once, each on a connection of its own."""

from __future__ import annotations

import threading

import pytest
from django.db import OperationalError, connection, transaction

from metering.background import work, workers
from metering.background.flows import Leased, Part, Step
from metering.models import WorkPart
from tests.metering.background.made_work import (
    NOW,
    completed,
    flow,
    leased_first,
    only_part,
    start,
)
from tests.threads import at_once

pytestmark = pytest.mark.usefixtures("fresh_db", "test_flow")


def test_of_two_that_lease_one_gets_it() -> None:
    part = only_part(start())
    found = at_once(*[lambda: work.lease(part.pk, now=NOW)] * 4)
    assert sum(leased is not None for leased in found) == 1


def test_of_two_that_start_one_begins() -> None:
    started = at_once(*[lambda: work.start("test", "2026-10", author="schedule", now=NOW)] * 4)
    assert sorted(one.new for one in started) == [False, False, False, True]
    assert WorkPart.objects.count() == 1


def test_parts_that_end_together_open_the_next_step_once() -> None:
    run = start()
    with transaction.atomic():
        work.complete(leased_first(run), opens=[Part(f"{n}") for n in range(8)])
    gate = threading.Barrier(8, timeout=30)

    def together(leased: Leased) -> None:
        with transaction.atomic():
            gate.wait()
            work.complete(leased)

    flow(Step("first", completed), Step("second", together), Step("third", completed))
    ids = list(WorkPart.objects.filter(step="second").values_list("pk", flat=True))
    became = at_once(*[lambda pk=pk: workers.perform(pk, now=NOW) for pk in ids])
    assert became == ["done"] * 8
    assert WorkPart.objects.filter(step="third").count() == 1


def test_a_snapshot_too_old_to_see_the_other_part_fails_and_is_tried_again() -> None:
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
            at_once(lambda: completed(first))
            work.complete(second)

    with pytest.raises(OperationalError, match="could not serialize"):
        in_an_old_snapshot()
    completed(second)
    assert WorkPart.objects.filter(step="third").count() == 1
