"""The waterfall closes on anything, and each case of the field has its cause."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import pytest
from hypothesis import given

from allocation.domain.bill_lines import BillLine
from allocation.domain.matching import match
from allocation.domain.rounding import rounding_bound, smallest_units
from allocation.domain.variances import CAUSES, Cause
from allocation.domain.waterfall import DoesNotClose, MixedCurrencies, Waterfall, waterfall
from metering.domain.cells import MeteredCell
from metering.domain.money import from_minor, settle
from tests.allocation.domain.billed_months import (
    FALLBACK,
    calls,
    causes,
    cost_of,
    metering_of,
    month,
)
from tests.allocation.domain.bills import DAY, SNAPSHOT, bill_line, reading
from tests.allocation.domain.test_matching import bills, meterings


def test_a_bill_that_agrees_is_matched_to_the_last_digit() -> None:
    bill = month()
    found = waterfall(match(bill, metering_of(bill)))
    assert found.matched.amount == found.metered == found.bill
    assert len(found.matched.evidence) == 20
    assert all(step.amount == 0 for step in found.steps)


def test_usage_that_nobody_metered() -> None:
    bill = month()
    assert causes(bill, metering_of(bill)[3:]) == {
        "unmetered": sum(line.amount for line in bill[:3])
    }


def test_a_bill_that_counts_more_than_metering_is_unmetered_at_the_bills_price() -> None:
    found = causes([bill_line(quantity=12, amount="2.40")], [reading(quantity=10, cost="2")])
    assert found == {"unmetered": Decimal("0.40")}


def test_usage_that_the_bill_leaves_out() -> None:
    bill = month()
    assert causes(bill[2:], metering_of(bill)) == {
        "metered_not_billed": -sum(line.amount for line in bill[:2])
    }


def test_metering_that_counts_more_than_the_bill_is_not_billed_at_our_cost() -> None:
    found = waterfall(match([bill_line(quantity=9, amount=9)], [reading(quantity=10, cost=10)]))
    assert found.of("metered_not_billed") == -1
    assert found.matched.amount == 9


def test_usage_without_a_price_is_not_free() -> None:
    bill = month()
    metered = [m._replace(cost=None) for m in metering_of(bill)[:2]] + metering_of(bill)[2:]
    assert causes(bill, metered) == {"unpriced": sum(line.amount for line in bill[:2])}


def test_free_usage_that_is_billed_is_a_price_difference() -> None:
    assert causes([bill_line(amount="1")], [reading(cost=0)]) == {"price_difference": 1}


def test_a_cell_that_is_partly_unpriced_is_divided_by_quantity() -> None:
    metered = [reading(quantity=6, cost=6), reading("b", quantity=4, cost=None)]
    assert causes([bill_line(amount=10)], metered) == {"unpriced": 4}


def test_what_the_bill_counts_beyond_metering_is_no_part_of_what_has_no_price() -> None:
    """15 billed for 30, 10 metered: 5 of them are unmetered, and half of the rest unpriced."""
    metered = [reading(quantity=5, cost=10), reading("b", quantity=5, cost=None)]
    assert causes([bill_line(quantity=15, amount=30)], metered) == {"unmetered": 10, "unpriced": 10}


def test_a_line_that_counts_nothing_and_costs_something_tells_no_quantity() -> None:
    found = waterfall(match([bill_line(quantity=0, amount=3)], [reading(quantity=10, cost=2)]))
    assert {s.cause: s.amount for s in found.steps if s.amount} == {"unexplained": 1}
    assert found.matched.amount == 2


def test_rounding_explains_nothing_where_it_is_not_known_which_part_has_no_price() -> None:
    metered = [
        reading(quantity=5, cost="1.006"),
        reading(token_class="output", quantity=5, cost=None),
    ]
    line = bill_line(token_class="", quantity=None, amount="1.01")
    assert causes([line], metered) == {"unexplained": Decimal("0.004")}
    assert causes([line], metered[:1]) == {"rounding": Decimal("0.004")}


def test_where_nothing_has_a_price_all_of_the_amount_is_unpriced() -> None:
    metered = [reading(cost=None), reading(token_class="output", cost=None)]
    line = bill_line(token_class="", quantity=None, amount=3)
    assert causes([line], metered) == {"unpriced": 3}


def test_of_unpriced_usage_only_what_is_billed_is_told() -> None:
    """6 billed of 10: half of them have no price."""
    metered = [reading(quantity=5, cost=5), reading("b", quantity=5, cost=None)]
    found = waterfall(match([bill_line(quantity=6, amount=6)], metered))
    (piece,) = next(s for s in found.steps if s.cause == "unpriced").evidence
    assert (piece.amount, piece.quantity) == (Decimal(3), Decimal(3))


def test_another_price_is_found_however_small_the_cells() -> None:
    bill = month(unit_price="0.000002501")
    metered = metering_of(month())
    assert causes(bill, metered) == {
        "price_difference": sum(line.amount for line in bill) - sum(map(cost_of, metered))
    }


def test_quantity_and_price_are_told_apart_in_one_cell() -> None:
    """12 billed at 0.30, 10 metered at 0.20: two more at 0.30, ten at 0.10 more."""
    found = causes([bill_line(quantity=12, amount="3.60")], [reading(quantity=10, cost=2)])
    assert found == {"unmetered": Decimal("0.60"), "price_difference": 1}


def in_cents(lines: Iterable[BillLine]) -> list[BillLine]:
    return [x._replace(amount=from_minor(settle(x.amount, "USD"), "USD")) for x in lines]


def growing_month(unit_price: str) -> list[BillLine]:
    """Cells between 0.20 and 0.50 USD, no two alike."""
    return [
        line._replace(quantity=quantity, amount=quantity * Decimal(unit_price))
        for n, line in enumerate(month(days=28))
        for quantity in [Decimal(100_000 + n * 5_137)]
    ]


def test_a_bill_in_cents_is_rounding() -> None:
    true = growing_month("0.000002")
    found = waterfall(match(in_cents(true), metering_of(true)))
    assert {s.cause for s in found.steps if s.evidence} == {"rounding"}
    assert found.rounding_mean is not None
    assert abs(found.rounding_mean) < Decimal("0.001")


def test_a_small_price_rise_does_not_hide_in_the_rounding_of_cents() -> None:
    """Two per cent on 0.20 is less than half a cent, but it leans upwards all month."""
    true, dearer = growing_month("0.000002"), growing_month("0.00000204")
    found = causes(in_cents(dearer), metering_of(true))
    assert set(found) <= {"price_difference", "rounding"}
    assert abs(found.get("rounding", Decimal(0))) <= Decimal("0.01"), (
        "at most at the edges of the month"
    )
    assert found["price_difference"] > Decimal("0.15")


def test_differences_that_only_together_are_a_price() -> None:
    """Every cell is the nearest cent of its cost, and yet every one of them lies below it."""
    bill = [
        bill_line(n + 1, day=DAY.replace(day=n + 1), quantity=1000 + n, amount=f"{n + 1}.01")
        for n in range(30)
    ]
    metered = metering_of(bill)
    metered = [m._replace(cost=cost_of(m) - Decimal("0.0045")) for m in metered]
    assert causes(bill, metered) == {"price_difference": Decimal("0.135")}
    assert causes(bill[:10], metered[:10]) == {"rounding": Decimal("0.045")}, "too few to tell"


def test_on_the_first_and_last_day_of_another_price_small_differences_are_of_it_too() -> None:
    days = [DAY.replace(day=n) for n in (5, 9)]
    bill = [bill_line(n, day=day, project="p", amount="1.50") for n, day in enumerate(days, 1)]
    bill += [bill_line(n, day=day, project="q", amount="1.00") for n, day in enumerate(days, 3)]
    metered = [reading(day=day, project="p", cost="1.00") for day in days]
    metered += [reading(day=day, project="q", cost="0.996") for day in days]
    assert causes(bill, metered) == {"price_difference": Decimal("1.008")}


def test_no_bill_is_told_apart_finer_than_doubles_are() -> None:
    """The sum of binary doubles, to 17 digits: what lies beyond the ninth decimal is noise."""
    bill = [bill_line(amount="1.00000000000004")]
    assert smallest_units(match(bill, []).groups) == {1: Decimal("1E-9")}
    assert causes([bill_line(amount="1.00000000000004")], [reading(cost=1)]) == {
        "rounding": Decimal("4E-14")
    }


def test_the_same_quantity_every_day_rounds_the_same_way_every_day() -> None:
    bill = [bill_line(n + 1, day=DAY.replace(day=n + 1), amount="1.01") for n in range(30)]
    metered = [m._replace(cost=Decimal("1.0055")) for m in metering_of(bill)]
    assert causes(bill, metered) == {"rounding": Decimal("0.135")}


@pytest.mark.parametrize(
    ("cost", "cause"), [("1.004", "rounding"), ("1.006", "price_difference"), ("0.995", "rounding")]
)
def test_half_a_unit_is_rounding_and_more_is_not(cost: str, cause: Cause) -> None:
    assert set(causes([bill_line(amount="1.00")], [reading(cost=cost)])) == {cause}


def test_the_bound_of_rounding() -> None:
    cent = Decimal("0.01")
    assert rounding_bound(1, cent) == Decimal("0.005")
    assert rounding_bound(16, cent) == Decimal("0.08")
    assert rounding_bound(100, cent) == Decimal("0.2")


def test_a_fallback_whose_executed_model_was_not_reported() -> None:
    bill = calls("gpt-4o-mini-2024-07-18", FALLBACK, project="p")
    metered = metering_of(calls("o3", FALLBACK, times=8), project="")
    expected = sum(line.amount for line in bill) - sum(map(cost_of, metered))
    found = waterfall(match(bill, metered))
    assert {s.cause: s.amount for s in found.steps if s.amount} == {
        "executed_not_requested": expected
    }
    evidence = found.steps[CAUSES.index("executed_not_requested")].evidence
    assert len(evidence) == 6
    assert all(e.counterpart is not None for e in evidence)
    assert "metered as o3, billed as gpt-4o-mini-2024-07-18" in evidence[0].note


def test_a_fallback_among_other_calls_of_both_models() -> None:
    used = {"input": 5_000, "output": 900}
    moved = {"input": 700, "output": 55}
    both = {c: used[c] + moved[c] for c in used}
    bill = calls("o3", used, times=8) + calls("gpt-4o-mini", both)
    metered = metering_of(calls("o3", both, times=8) + calls("gpt-4o-mini", used))
    paid = sum(line.amount for line in calls("gpt-4o-mini", moved))
    meant = sum(line.amount for line in calls("o3", moved, times=8))
    assert causes(bill, metered) == {"executed_not_requested": paid - meant}


def test_one_surplus_explains_one_shortfall() -> None:
    bill = calls("gpt-4o-mini", FALLBACK)
    metered = metering_of(calls("o3", FALLBACK, times=8) + calls("o1", FALLBACK, times=9))
    assert set(causes(bill, metered)) == {"executed_not_requested", "metered_not_billed"}


def test_quantities_that_differ_in_one_class_are_no_fallback() -> None:
    bill = calls("gpt-4o-mini", FALLBACK)
    metered = metering_of(calls("o3", FALLBACK | {"output": 56}))
    assert set(causes(bill, metered)) == {"unmetered", "metered_not_billed"}


def test_a_small_number_in_one_class_alone_is_no_fallback() -> None:
    bill, metered = calls("a", {"input": 3}), metering_of(calls("b", {"input": 3}, times=2))
    assert set(causes(bill, metered)) == {"unmetered", "metered_not_billed"}


def test_known_projects_that_differ_are_no_fallback() -> None:
    bill = calls("gpt-4o-mini", FALLBACK, project="p")
    metered = metering_of(calls("o3", FALLBACK, times=8), project="q")
    assert set(causes(bill, metered)) == {"unmetered", "metered_not_billed"}


def test_the_same_calls_in_another_tier_are_a_price_difference() -> None:
    bill = [line._replace(tier="priority") for line in calls(SNAPSHOT, FALLBACK, times=2)]
    metered = metering_of(calls(SNAPSHOT, FALLBACK), tier="standard")
    assert causes(bill, metered) == {
        "price_difference": sum(line.amount for line in bill) - sum(map(cost_of, metered))
    }


def test_other_kinds_of_lines_are_causes_of_their_own() -> None:
    bill = [
        bill_line(1, kind="fee", model="", token_class="", amount=5),
        bill_line(2, kind="credit", model="", token_class="", amount=-3),
        bill_line(3, kind="tax", model="", token_class="", amount=2),
        bill_line(4, kind="adjustment", model="", token_class="", amount="-0.01"),
    ]
    assert causes(bill, []) == {
        "fees": 5,
        "credits": -3,
        "tax": 2,
        "adjustments": Decimal("-0.01"),
    }


def test_a_tool_that_nobody_metered_is_a_fee_and_a_metered_one_is_usage() -> None:
    line = bill_line(kind="fee", model="", token_class="web_search", quantity=2, amount="0.02")
    assert causes([line], []) == {"fees": Decimal("0.02")}
    assert causes([line], [reading(token_class="web_search", quantity=2, cost="0.02")]) == {}


def test_without_quantities_a_difference_stays_unexplained() -> None:
    bill = [bill_line(model="", token_class="", quantity=None, amount="7.50")]
    found = waterfall(match(bill, [reading(cost=3), reading(model="o3", cost=4)]))
    assert found.unexplained == Decimal("0.50")
    (evidence,) = found.steps[-1].evidence
    assert "no quantity" in evidence.note


def test_a_day_without_usage_of_ours_is_unmetered() -> None:
    bill = [bill_line(model="", token_class="", quantity=None, amount="7.50")]
    assert causes(bill, []) == {"unmetered": Decimal("7.50")}


@pytest.mark.parametrize(
    ("defect", "cause", "amount", "estimate"),
    [
        ("another price table", "price_difference", "0.007608", "0.077329"),
        ("cache buckets dropped", "unmetered", "0.022819", "0.062118"),
        ("half-counted tokens", "unmetered", "0.056668", "0.028269"),
    ],
)
def test_published_estimates_of_one_conversation(
    defect: str, cause: Cause, amount: str, estimate: str
) -> None:
    """The figures of a public report (OpenHands#4817): a true cost of 0.084937 USD, and what
    three defects made of it, each adding to the one before; here each stands against the bill."""
    true, seen = Decimal("0.084937"), Decimal(estimate)
    if defect == "another price table":
        bill = [bill_line(quantity=84_937, amount=true)]
        metered = [reading(quantity=84_937, cost=seen)]
    elif defect == "cache buckets dropped":
        bill = [
            bill_line(1, amount=seen),
            bill_line(2, token_class="cache_read", amount=true - seen),
        ]
        metered = [reading(cost=seen)]
    else:
        bill = [bill_line(quantity=84_937, amount=true)]
        metered = [reading(quantity=28_269, cost=seen)]
    assert causes(bill, metered) == {cause: Decimal(amount)}


def test_currencies_do_not_mix() -> None:
    with pytest.raises(MixedCurrencies, match="bill 1, line 1"):
        waterfall(match([bill_line(currency="EUR")], [reading()]))
    found = waterfall(match([bill_line(currency="EUR")], [reading(cost=None, currency="")]))
    assert found.currency == "EUR"


def test_a_waterfall_that_does_not_close_cannot_be_built() -> None:
    good = waterfall(match([bill_line(amount=2)], [reading()]))
    with pytest.raises(DoesNotClose):
        Waterfall(
            currency="USD",
            metered=good.metered,
            bill=good.bill + 1,
            matched=good.matched,
            steps=good.steps,
            unpriced_quantity=Decimal(0),
        )


@given(bills(), meterings())
def test_it_closes_on_anything(bill: list[BillLine], metered: list[MeteredCell]) -> None:
    found = waterfall(match(bill, metered))
    assert found.bill == sum((line.amount for line in bill), Decimal(0))
    assert found.metered == sum((m.cost for m in metered if m.cost is not None), Decimal(0))
    assert found.metered + sum(s.amount for s in found.steps) == found.bill
