"""A bill that comes while the month's run waits is in what people are asked to agree with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from allocation.models import AllocationRun, Reconciliation
from billing import monthly_run
from metering.background import workers
from metering.background.work_status import RunStatus
from metering.models import WorkRun
from tests.allocation import october
from tests.allocation.october import NOW, OCTOBER
from tests.billing import a_month

MUCH_LATER = datetime(2999, 1, 1, tzinfo=UTC)
"""Than the moment at which a bill comes, which is the clock's."""


def worked_off() -> RunStatus:
    found = monthly_run.monthly_run_status(OCTOBER)
    assert found is not None
    workers.work_off(found.run_id, clock=lambda: MUCH_LATER)
    again = monthly_run.monthly_run_status(OCTOBER)
    assert again is not None
    return again


@pytest.mark.usefixtures("db")
def test_a_run_that_waits_for_a_bill_goes_on_when_it_comes(tmp_path: Path) -> None:
    october.company(tmp_path)
    october.call(3, "acme", 4_000_000)
    monthly_run.start(OCTOBER, author="ana", now=NOW, as_of=NOW)
    assert worked_off().state == "waiting"
    assert not AllocationRun.objects.exists()
    october.bill((3, "10.00", "usage"))
    found = worked_off()
    assert (found.step, found.author) == ("close", "ana")
    assert AllocationRun.objects.get().author == "ana"


@pytest.mark.usefixtures("db")
def test_a_second_bill_is_in_the_run_that_people_are_asked_to_close(tmp_path: Path) -> None:
    a_month.set_up(tmp_path)
    monthly_run.start(OCTOBER, now=NOW, as_of=NOW)
    assert worked_off().step == "close"
    october.bill((7, "3.00", "usage"))
    assert worked_off().step == "close"
    assert WorkRun.objects.filter(state=WorkRun.State.OPEN).count() == 1
    run = AllocationRun.objects.exclude(state="superseded").get()
    assert run.bills.count() == 2
    assert Reconciliation.objects.count() == 2


@pytest.mark.usefixtures("db")
def test_a_bill_starts_no_run_that_nobody_has_begun_and_troubles_none_that_is_at_work(
    tmp_path: Path,
) -> None:
    a_month.set_up(tmp_path)
    assert not WorkRun.objects.exists()
    started = monthly_run.start(OCTOBER, now=NOW, as_of=NOW)
    october.bill((7, "3.00", "usage"))
    assert WorkRun.objects.get().pk == started.run.pk
