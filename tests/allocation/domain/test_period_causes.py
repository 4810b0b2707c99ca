"""What hangs on a month is named where a bill shows it, and the waterfall closes all the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.domain.bill_lines import BillLine
from allocation.domain.matching import match
from allocation.domain.variances import Cause
from allocation.domain.waterfall import Waterfall, waterfall
from metering.domain.capacity import capacity_costs
from metering.domain.cells import Cell, MeteredCell
from metering.domain.commitments import Commitment
from metering.domain.period_costs import EstimatedUse, PeriodCosts, Reserved
from metering.domain.period_prices import Adjustment, Use, adjustments
from metering.domain.periods import Month
from metering.domain.prices import Price, UnitPrice
from metering.domain.unit_prices import Allowance, Volume
from tests.allocation.domain.bills import DAY, SNAPSHOT, bill_line, reading

OCTOBER = Month(2026, 10)
NEXT = date(2026, 10, 4)
FREE = UnitPrice(1000, Decimal(14), allowance=Allowance(Decimal(1500), "day"))
VOLUME = UnitPrice(1_000_000, Decimal(2), volumes=(Volume(Decimal(10**9), Decimal(1)),))


def searches(quantity: int, day: date = DAY) -> MeteredCell:
    return reading(
        token_class="web_search", quantity=quantity, cost=Decimal(quantity) * 14 / 1000, day=day
    )


def credited(*cells: MeteredCell, terms: UnitPrice = FREE) -> tuple[Adjustment, ...]:
    unit = "web_searches" if terms is FREE else "input_tokens"
    price = Price(1, "openai", SNAPSHOT, {unit: terms})
    return adjustments(Use(cell.cell, price, unit, cell.quantity) for cell in cells)


def explained(lines: Sequence[BillLine], metered: Sequence[MeteredCell], **costs: Any) -> Waterfall:
    return waterfall(match(lines, metered), PeriodCosts(OCTOBER, **costs))


def amounts(found: Waterfall) -> dict[Cause, Decimal]:
    return {step.cause: step.amount for step in found.steps if step.amount}


def searched(amount: str, quantity: int | None = None, **said: Any) -> BillLine:
    return bill_line(token_class="web_search", quantity=quantity, amount=amount, **said)


def credit(amount: str, description: str = "", kind: Any = "credit", **said: Any) -> BillLine:
    line = bill_line(9, kind=kind, model="", token_class="", quantity=None, amount=amount, **said)
    return line._replace(description=description)


class TestFreeAllowance:
    metered = (searches(2000), searches(600, NEXT))
    given = credited(*metered)

    def test_in_place_for_the_same_quantity(self) -> None:
        lines = [searched("7", 2000), searched("0", 600, line_no=2, day=NEXT)]
        found = explained(lines, self.metered, adjustments=self.given)
        assert (found.metered, found.bill) == (Decimal("36.4"), Decimal(7))
        assert amounts(found) == {"free_allowance": Decimal("-29.4")}

    def test_in_place_as_a_smaller_quantity(self) -> None:
        found = explained([searched("7", 500)], self.metered, adjustments=self.given)
        assert amounts(found) == {"free_allowance": Decimal("-29.4")}

    @pytest.mark.parametrize(
        ("amount", "description"), [("-29.4", ""), ("-29.39", "Free tier: grounding")]
    )
    def test_as_a_credit_of_its_own(self, amount: str, description: str) -> None:
        lines = [
            searched("28", 2000),
            searched("8.4", 600, line_no=2, day=NEXT),
            credit(amount, description, day=date(2026, 10, 31)),
        ]
        found = explained(lines, self.metered, adjustments=self.given)
        assert amounts(found) == {"free_allowance": Decimal(amount)}

    def test_more_than_is_agreed_stays_a_price(self) -> None:
        found = explained([searched("5", 2000)], self.metered[:1], adjustments=self.given[:1])
        assert amounts(found) == {"free_allowance": -21, "price_difference": -2}

    def test_what_the_bill_leaves_out_is_told(self) -> None:
        found = explained([searched("28", 2000)], self.metered[:1], adjustments=self.given[:1])
        assert amounts(found) == {}
        [told] = found.steps[5].evidence
        assert told.cause == "free_allowance"
        assert told.amount == 0
        assert told.note == "-21 more is agreed, and not on the bill"

    def test_another_credit_is_none_of_it(self) -> None:
        lines = [searched("7", 2000), credit("-3", "Goodwill")]
        found = explained(lines, self.metered[:1], adjustments=self.given[:1])
        assert amounts(found) == {"free_allowance": -21, "credits": -3}


def test_a_volume_price_is_found_on_the_days_that_are_cheaper() -> None:
    metered = [
        reading(quantity=800_000_000, cost=1600, day=DAY),
        reading(quantity=700_000_000, cost=1400, day=NEXT),
    ]
    lines = [
        bill_line(1, quantity=800_000_000, amount=1600),
        bill_line(2, quantity=700_000_000, amount=900, day=NEXT),
    ]
    found = explained(lines, metered, adjustments=credited(*metered, terms=VOLUME))
    assert amounts(found) == {"volume_price": -500}
    assert [e.group.cell.day for e in found.steps[6].evidence] == [NEXT]


def reserved(units: int = 50, model: str = "gpt-4o", start: int = 1) -> Reserved:
    held = Commitment(
        kind="reserved_capacity",
        provider="openai",
        model=model,
        units=units,
        price=Decimal(2),
        currency="USD",
        valid_from=datetime(2026, 10, start, tzinfo=UTC),
    )
    return Reserved(held, capacity_costs(held, OCTOBER.period))


def hours(amount: int | str, line_no: int = 1, **said: Any) -> BillLine:
    plain: dict[str, Any] = {"token_class": "provisioned_hours", "quantity": None}
    return bill_line(line_no, amount=amount, **plain | said)


class TestReservedCapacity:
    """50 units at 2 an hour for 744 hours are 74,400."""

    @pytest.mark.parametrize(
        "said",
        [
            {},
            {"model": ""},
            {"kind": "fee"},
            {"token_class": "", "tier": "provisioned"},
        ],
    )
    def test_its_lines_are_what_is_reserved(self, said: dict[str, Any]) -> None:
        free = reading(tier="provisioned", cost=0)
        found = explained([hours(74_400, **said)], [free], reserved=[reserved()])
        assert amounts(found) == {"reserved_capacity": 74_400}
        assert found.metered == 0

    def test_what_is_asked_beyond_is_another_price(self) -> None:
        lines = [hours(50_000), hours(30_000, 2)]
        found = explained(lines, [], reserved=[reserved()])
        assert amounts(found) == {"reserved_capacity": 74_400, "price_difference": 5_600}

    def test_what_is_not_asked_is_told(self) -> None:
        found = explained([hours(74_000)], [], reserved=[reserved()])
        assert amounts(found) == {"reserved_capacity": 74_000}
        notes = [e.note for e in found.steps[8].evidence]
        assert "400 more is reserved for gpt-4o, and not on the bill" in notes

    @pytest.mark.parametrize("billed", [[], [bill_line(1, amount=7, model="o3")]])
    def test_a_reservation_without_any_line_is_told(self, billed: list[BillLine]) -> None:
        """At its model's calls, where there were any; else at whatever the month has."""
        metered = [reading(tier="provisioned", cost=0)] if not billed else []
        found = explained(billed, metered, reserved=[reserved()])
        [told] = found.steps[8].evidence
        assert told.amount == 0
        assert told.note.startswith("74400 more is reserved for gpt-4o, and not on the bill: no ")

    def test_without_a_reservation_it_is_unmetered(self) -> None:
        assert amounts(explained([hours(9)], [])) == {"unmetered": 9}
        other = explained([hours(9)], [], reserved=[reserved(model="o3")])
        assert amounts(other) == {"unmetered": 9}

    def test_each_model_has_its_own(self) -> None:
        lines = [hours(74_400), hours(3_000, 2, model="o3"), hours(1_000, 3, model="")]
        found = explained(lines, [], reserved=[reserved(), reserved(1, "o3", start=11)])
        assert amounts(found) == {
            "reserved_capacity": 74_400 + 21 * 24 * 2,
            "price_difference": 3_000 + 1_000 - 21 * 24 * 2,
        }


def minimum(amount: int = 1000) -> Commitment:
    return Commitment(
        kind="monthly_minimum",
        provider="openai",
        price=Decimal(amount),
        currency="USD",
        valid_from=datetime(2026, 1, 1, tzinfo=UTC),
    )


class TestCommittedMinimum:
    metered = (reading(cost=400),)
    used = bill_line(amount=400)

    @pytest.mark.parametrize("kind", ["fee", "adjustment", "usage"])
    def test_a_charge_that_comes_to_it_or_says_so(self, kind: str) -> None:
        for charge in (credit("600", kind=kind), credit("600", "Commitment shortfall", kind=kind)):
            found = explained([self.used, charge], self.metered, minimums=[minimum()])
            assert amounts(found) == {"committed_minimum": 600}

    def test_another_fee_is_none_of_it_and_counts_to_the_spend(self) -> None:
        lines = [self.used, credit("50", "Support plan", kind="fee"),
                 credit("550", "Minimum spend", kind="fee")._replace(line_no=10)]  # fmt: skip
        found = explained(lines, self.metered, minimums=[minimum()])
        assert amounts(found) == {"committed_minimum": 550, "fees": 50}

    def test_usage_that_nobody_metered_leaves_less_to_miss(self) -> None:
        lines = [self.used, bill_line(2, model="o3", quantity=5, amount=100),
                 credit("500", "Minimum spend", kind="fee")]  # fmt: skip
        found = explained(lines, self.metered, minimums=[minimum()])
        assert amounts(found) == {"unmetered": 100, "committed_minimum": 500}

    def test_a_month_that_reaches_it_or_a_bill_that_does_not_ask(self) -> None:
        fee = credit("20", "Support plan", kind="fee")
        found = explained([self.used, fee], self.metered, minimums=[minimum(400)])
        assert amounts(found) == {"fees": 20}
        found = explained([self.used], self.metered, minimums=[minimum()])
        assert amounts(found) == {}
        notes = [e.note for e in found.steps[9].evidence]
        assert notes == ["600 is missing to the minimum of 1000, and not on the bill"]


class TestEstimates:
    cell = reading().cell

    def found(self, billed: int, amount: str, estimated: str) -> dict[Cause, Decimal]:
        use = {self.cell: EstimatedUse(Decimal(2), Decimal(estimated))}
        line = bill_line(quantity=billed, amount=amount)
        return amounts(explained([line], [reading(quantity=10, cost=10)], estimated=use))

    def test_a_count_that_is_off_is_the_estimates_at_most_so_far_as_they_go(self) -> None:
        assert self.found(11, "11", "2") == {"estimated_usage": 1}
        assert self.found(9, "9", "2") == {"estimated_usage": -1}
        assert self.found(15, "15", "2") == {"estimated_usage": 2, "unmetered": 3}

    def test_a_price_is_no_matter_of_estimates(self) -> None:
        assert self.found(10, "12", "5") == {"price_difference": 2}

    def test_other_cells_are_not_estimated(self) -> None:
        use = {self.cell._replace(model="other"): EstimatedUse(Decimal(2), Decimal(2))}
        found = explained([bill_line(quantity=11, amount=11)],
                          [reading(quantity=10, cost=10)], estimated=use)  # fmt: skip
        assert amounts(found) == {"unmetered": 1}


money = st.decimals(-100, 100, places=2)


@given(
    billed=st.lists(
        st.tuples(st.sampled_from([DAY, NEXT]), st.integers(0, 3000), money), max_size=5
    ),
    extra=st.lists(
        st.tuples(
            st.sampled_from(["fee", "credit", "adjustment", "tax"]),
            money,
            st.sampled_from(["", "free", "minimum"]),
        ),
        max_size=4,
    ),
    used=st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    estimated=st.decimals(0, 50, places=2),
)
def test_it_closes_whatever_stands_on_the_bill_and_takes_no_more_than_is_agreed(
    billed: list[tuple[date, int, Decimal]],
    extra: list[tuple[Any, Decimal, str]],
    used: tuple[int, int],
    estimated: Decimal,
) -> None:
    metered = [searches(used[0]), searches(used[1], NEXT)]
    lines = [
        *(searched(str(a), q, line_no=n, day=d) for n, (d, q, a) in enumerate(billed, 1)),
        *(credit(str(a), text, kind=k)._replace(line_no=20 + n)
          for n, (k, a, text) in enumerate(extra)),
    ]  # fmt: skip
    agreed = credited(*metered)
    cell: Cell = metered[0].cell
    found = explained(
        lines,
        metered,
        adjustments=agreed,
        minimums=[minimum(50)],
        reserved=[reserved(1)],
        estimated={cell: EstimatedUse(Decimal(1), estimated)},
    )
    assert found.metered + sum(step.amount for step in found.steps) == found.bill
    assert sum(each.amount for each in agreed) <= found.of("free_allowance") <= 0
    assert found.of("committed_minimum") >= 0
    assert abs(found.of("estimated_usage")) <= 2 * estimated
