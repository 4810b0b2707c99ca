"""A month divided by many hands is, byte for byte, the month divided in one piece."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation import allocation_run, period_close
from allocation.domain.division import assemble, divide, divide_portion
from allocation.domain.matching import match
from allocation.domain.pools import Gathered, gather
from allocation.domain.portions import portions, providers
from allocation.domain.rules import DatedRule
from allocation.models import AllocationRun, Reconciliation
from allocation.month_steps import STEPS
from allocation.portion_codec import decode_lines, decode_portion, encode_lines, encode_portion
from allocation.rule_book import store_rule
from allocation.run_rows import outputs_digest, read_allocation
from metering.background import flows, work, workers
from metering.background.flows import Flow
from metering.background.work_status import RunStatus, latest
from metering.domain.cells import Cell, MeteredCell, Owner
from tests.allocation import october
from tests.allocation.domain.test_division import DAY, RULE, A, B, C, line, readings_for, used
from tests.allocation.october import CONTROLLER, NOW, OCTOBER

AMOUNTS = st.decimals(-1000, 1000, places=4).map(lambda amount: str(abs(amount)))
MODELS = st.sampled_from(["gpt-4o", "o3", "o4-mini"])
KINDS = st.sampled_from(["usage", "fee", "tax", "credit"])


@st.composite
def months(draw: st.DrawFn) -> Gathered:
    """Two bills, in two currencies, of lines that meet usage and lines that do not."""
    lines = [
        line(
            number,
            f"-{amount}" if kind == "credit" else amount,
            kind=kind,
            model=model if kind == "usage" else "",
            token_class="input" if kind == "usage" else "",
            bill_id=bill,
            currency="USD" if bill == 1 else "JPY",
        )
        for number, (bill, kind, model, amount) in enumerate(
            draw(
                st.lists(
                    st.tuples(st.sampled_from([1, 2]), KINDS, MODELS, AMOUNTS),
                    min_size=1,
                    max_size=12,
                )
            ),
            1,
        )
    ]
    metered: list[MeteredCell] = [
        used(owner, cost, model)
        for owner, cost, model in draw(
            st.lists(st.tuples(st.sampled_from([A, B, C]), AMOUNTS, MODELS), max_size=8)
        )
    ]
    return gather(match(lines, metered).groups, RULE)


@given(months(), st.integers(1, 3))
def test_by_portions_over_the_wire_as_in_one_piece(gathered: Gathered, most: int) -> None:
    readings = readings_for(
        gathered,
        tokens={(A, ""): 3, (B, ""): 5},
        requests={(A, "chat"): 1, (C, ""): 2},
        metered_cost={(B, ""): 7},
        driver_seats={(A, ""): 10**30},
    )
    whole = divide(gathered, readings)
    sent = [encode_portion(portion, readings) for portion in portions(gathered, most=most)]
    left = [encode_lines(divide_portion(*decode_portion(raw))) for raw in sent]
    made = assemble(gathered.scales, gathered.sources, providers(gathered), decode_lines(left))
    assert made == whole
    assert outputs_digest(made) == outputs_digest(whole)


def test_every_amount_is_in_one_portion_and_a_large_pool_makes_several() -> None:
    cells = [Cell("openai", "proj", DAY, f"model {n}", "input", "standard") for n in range(7)]
    gathered = gather(
        match(
            [line(n, "1.00", model=cell.model) for n, cell in enumerate(cells, 1)],
            [MeteredCell(cell, Owner("cc-a"), Decimal(1), Decimal(1), "USD", 1) for cell in cells],
        ).groups,
        RULE,
    )
    found = portions(gathered, most=3)
    assert [len(portion.direct) for portion in found] == [3, 3, 1]
    assert tuple(amount for portion in found for amount in portion.direct) == gathered.direct


@pytest.fixture
def company(db: None, tmp_path: Path) -> None:
    flows.register(Flow("to the close", STEPS))
    october.company(tmp_path)


def worked_off() -> RunStatus:
    started = work.start("to the close", "2026-10", author="schedule", now=NOW, arguments={})
    workers.work_off(started.run.pk, clock=lambda: NOW)
    return standing()


def standing() -> RunStatus:
    found = latest("to the close", "2026-10")
    assert found is not None
    return found


def the_run() -> AllocationRun:
    return AllocationRun.objects.exclude(state="superseded").get()


def inline() -> AllocationRun:
    """The month again, in one piece."""
    AllocationRun.objects.exclude(state="superseded").update(state="superseded")
    return october.run()


@pytest.mark.usefixtures("company")
class TestMonth:
    def test_the_run_is_that_of_the_month_divided_in_one_piece(self) -> None:
        october.usage_and_bill()
        status = worked_off()
        assert (status.state, status.step) == ("waiting", "close")
        by_parts = the_run()
        assert by_parts.author == ""
        again = inline()
        assert by_parts.inputs_digest == again.inputs_digest
        assert by_parts.outputs_digest == again.outputs_digest
        assert read_allocation(by_parts.pk) == read_allocation(again.pk)

    def test_it_waits_for_a_bill_and_goes_on_when_there_is_one(self) -> None:
        october.call(3, "acme", 4_000_000)
        status = worked_off()
        assert (status.state, status.step) == ("waiting", "reconcile")
        assert status.waits_for == (
            "no bill covers 2026-10; import one with import_bill FILE --provider P",
        )
        october.bill((3, "10.00", "usage"))
        assert worked_off().step == "close"
        assert Reconciliation.objects.count() == 1

    def test_a_month_that_has_not_changed_keeps_its_run_and_its_approval(self) -> None:
        october.usage_and_bill()
        worked_off()
        run = the_run()
        period_close.approve(run, by=CONTROLLER, now=NOW)
        status = worked_off()
        (wanted,) = status.waits_for
        assert wanted == (
            "run 1 of 2026-10 is approved; the month waits for a person to close it: "
            "manage.py close_period 2026-10 --as USER"
        )
        run.refresh_from_db()
        assert run.state == "approved"
        assert ("divide", 0) in [(step.name, step.parts) for step in status.steps]

    def test_usage_that_comes_between_reading_and_assembling_is_in_the_run(self) -> None:
        october.usage_and_bill()
        run = work.start("to the close", "2026-10", author="analyst", now=NOW).run
        workers.perform(*work.ready_parts(run.pk, now=NOW), now=NOW)  # reconcile
        october.call(4, "globex", 1_000_000)
        workers.work_off(run.pk, clock=lambda: NOW)
        made = the_run()
        assert made.inputs_digest == inline().inputs_digest
        assert made.author == "analyst"
        assert AllocationRun.objects.count() == 2

    def test_a_closed_month_is_left_as_it_is(self) -> None:
        october.usage_and_bill()
        worked_off()
        period_close.approve(the_run(), by=CONTROLLER, now=NOW)
        period_close.close(OCTOBER, by=october.AUDITOR, now=NOW)
        october.call(4, "globex", 1_000_000)
        status = worked_off()
        assert status.state == "done"
        assert {part.note for part in status.told} == {
            "the month is closed",
            "closed by auditor",
        }
        assert AllocationRun.objects.count() == 1

    def test_a_rule_that_is_not_there_is_for_a_person_to_see_to(self) -> None:
        october.usage_and_bill()
        run = work.start(
            "to the close", "2026-10", author="schedule", now=NOW, arguments={"rule": "fairest"}
        ).run
        workers.work_off(run.pk, clock=lambda: NOW)
        status = standing()
        assert (status.state, status.step) == ("failed", "reconcile")
        assert "fairest" in status.errors[0]
        assert Reconciliation.objects.count() == 1

    def test_the_rule_in_use_is_kept(self) -> None:
        october.usage_and_bill()
        store_rule(DatedRule(RULE, date(2026, 1, 1)), author="analyst", now=NOW)
        allocation_run.run(OCTOBER, rule="test", author="analyst", now=NOW)
        worked_off()
        assert the_run().rule_version.rule_id == "test"
