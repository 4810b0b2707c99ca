"""A month's bills divided by a rule: nothing lost, nobody wronged, everything explained."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.domain.allocations import Allocation
from allocation.domain.bill_lines import BillLine
from allocation.domain.cost_shares import ASSIGNED, ROUNDING
from allocation.domain.division import NotConserved, Readings, divide, settle_owners
from allocation.domain.matching import match
from allocation.domain.pools import AmountTooFine, Gathered, driver_queries, gather, query_of
from allocation.domain.rules import ActivityBased, RuleContent, rule_content
from metering.domain.cells import UNALLOCATED, Cell, MeteredCell, Owner
from metering.domain.money import minor_digits

A, B, C = Owner("cc-a", "acme"), Owner("cc-b", "globex"), Owner("cc-c")
DAY = date(2026, 10, 3)

RULE = rule_content(
    {
        "name": "test",
        "pools": [
            {
                "name": "metered",
                "select": {"kinds": ["metered"]},
                "divide": {"strategy": "direct"},
            },
            {
                "name": "unmetered",
                "select": {"kinds": ["unmetered"]},
                "divide": {"strategy": "activity-based", "driver": "tokens"},
            },
            {
                "name": "fees",
                "select": {"kinds": ["fee"]},
                "divide": {
                    "strategy": "weighted",
                    "driver": "requests",
                    "by": "endpoint",
                    "weights": {"chat": 3, "*": 1},
                },
                "fallback": {"to": "driver", "driver": "driver:seats"},
            },
            {
                "name": "tax",
                "select": {"kinds": ["tax"]},
                "divide": {"strategy": "activity-based", "driver": "metered_cost"},
                "fallback": {"to": "owner", "cost_centre": "cc-finance"},
            },
            {
                "name": "credits",
                "select": {"kinds": ["credit"]},
                "divide": {"strategy": "activity-based", "driver": "metered_cost"},
            },
        ],
    }
)


def line(no: int, amount: str, **changes: Any) -> BillLine:
    return BillLine(
        1, no, "openai", "org", "proj", DAY, "usage", "gpt-4o", "input", "standard",
        None, "", Decimal(amount), "USD", "",
    )._replace(**changes)  # fmt: skip


def used(owner: Owner, cost: str | None, model: str = "gpt-4o", quantity: int = 10) -> MeteredCell:
    cell = Cell("openai", "proj", DAY, model, "input", "standard")
    amount = None if cost is None else Decimal(cost)
    return MeteredCell(cell, owner, Decimal(quantity), amount, "USD", 1)


def readings_for(gathered: Gathered, **values: dict[tuple[Owner, str], int]) -> Readings:
    return {
        query: {
            key: Decimal(value)
            for key, value in values.get(query.driver.replace(":", "_"), {}).items()
        }
        for query in driver_queries(gathered)
    }


def divided(
    lines: list[BillLine],
    metered: list[MeteredCell],
    rule: RuleContent = RULE,
    **values: dict[tuple[Owner, str], int],
) -> Allocation:
    gathered = gather(match(lines, metered).groups, rule)
    return divide(gathered, readings_for(gathered, **values))


def borne(allocation: Allocation) -> dict[str, Decimal]:
    return {s.cost_centre: s.exact for s in allocation.settlements}


def check_conservation(allocation: Allocation) -> None:
    for bill in allocation.bills:
        key = (bill.bill_id, bill.currency)
        digits = minor_digits(bill.currency)
        sources = [s.amount for s in allocation.sources if (s.bill_id, s.currency) == key]
        lines = [x for x in allocation.lines if (x.bill_id, x.currency) == key]
        settled = [s for s in allocation.settlements if (s.bill_id, s.currency) == key]
        shares = [x for x in lines if x.strategy != ROUNDING]
        assert sum(map(Fraction, sources)) == Fraction(bill.exact)
        assert sum(Fraction(x.amount) for x in shares) == Fraction(bill.exact)
        assert sum(Fraction(x.amount) for x in lines) == Fraction(bill.payable)
        assert sum(s.amount_minor for s in settled) == bill.payable_minor
        assert Fraction(bill.payable) == Fraction(bill.payable_minor, 10**digits)
        assert abs(Fraction(bill.payable) - Fraction(bill.exact)) <= Fraction(1, 2 * 10**digits)
        owned: defaultdict[tuple[str, str], Fraction] = defaultdict(Fraction)
        for x in shares:
            owned[x.cost_centre, x.tenant] += Fraction(x.amount)
        assert {(s.cost_centre, s.tenant): Fraction(s.exact) for s in settled} == owned
        for s in settled:
            assert abs(s.amount_minor - Fraction(s.exact) * 10**digits) < 1
            assert s.amount_minor * s.exact >= 0


class TestStrategiesByRule:
    def test_who_is_left_out_of_a_measure_bears_nothing_by_it(self) -> None:
        rule = rule_content(
            {
                "name": "narrow",
                "pools": [
                    {
                        "name": "all",
                        "select": {},
                        "divide": {
                            "strategy": "activity-based",
                            "driver": "tokens",
                            "except_cost_centres": ["cc-b"],
                        },
                        "fallback": {"to": "owner", "cost_centre": "cc-finance"},
                    }
                ],
            }
        )
        fee = line(1, "9.00", kind="fee")
        tokens = {(A, ""): 1, (B, ""): 7, (C, ""): 2}
        allocation = divided([fee], [], rule, tokens=tokens)
        assert borne(allocation) == {"cc-a": Decimal(3), "cc-c": Decimal(6)}
        alone = divided([fee], [], rule, tokens={(B, ""): 7})
        assert borne(alone) == {"cc-finance": Decimal(9)}

    def test_seats_and_active_users_are_read_of_all_providers(self) -> None:
        for driver in ("active_users", "driver:seats"):
            assert query_of(ActivityBased(driver=driver), "openai").providers == ()
        assert query_of(ActivityBased(driver="tokens"), "openai").providers == ("openai",)

    def test_a_metered_cell_goes_to_who_used_it(self) -> None:
        allocation = divided([line(1, "4.00")], [used(A, "3"), used(B, "1")])
        assert borne(allocation) == {"cc-a": Decimal(3), "cc-b": Decimal(1)}
        first = allocation.lines[0]
        assert (first.strategy, first.day, first.model) == ("direct", DAY, "gpt-4o")
        assert (first.basis, first.basis_value, first.basis_total) == (
            "metered_cost",
            Decimal(3),
            Decimal(4),
        )

    def test_lines_of_one_cell_are_divided_together_but_bills_apart(self) -> None:
        lines = [line(1, "0.01"), line(2, "-0.03"), line(3, "4.02"), line(1, "8", bill_id=2)]
        allocation = divided(lines, [used(A, "3"), used(B, "1")])
        assert [(x.bill_id, x.cost_centre, x.amount) for x in allocation.lines] == [
            (1, "cc-a", Decimal(3)),
            (1, "cc-b", Decimal(1)),
            (2, "cc-a", Decimal(6)),
            (2, "cc-b", Decimal(2)),
        ]
        check_conservation(allocation)

    def test_bill_only_usage_is_a_pool(self) -> None:
        allocation = divided([line(1, "4.00", model="o3")], [], tokens={(A, ""): 1, (B, ""): 3})
        assert borne(allocation) == {"cc-a": Decimal(1), "cc-b": Decimal(3)}
        assert {x.pool for x in allocation.lines} == {"unmetered"}
        assert {x.day for x in allocation.lines} == {None}

    def test_fees_are_weighted_and_explained(self) -> None:
        allocation = divided(
            [line(1, "7.00", kind="fee", model="", token_class="")],
            [],
            requests={(A, "chat"): 2, (A, "search"): 1, (B, "search"): 0, (C, "mail"): 7},
        )
        assert borne(allocation) == {"cc-a": Decimal("3.5"), "cc-c": Decimal("3.5")}
        chat = allocation.lines[0]
        assert (chat.driver_key, chat.weight, chat.basis_value, chat.basis_total) == (
            "chat",
            Decimal(3),
            Decimal(2),
            Decimal(14),
        )

    def test_a_credit_is_shared_like_the_cost_and_stays_a_credit(self) -> None:
        allocation = divided(
            [line(1, "-1.00", kind="credit", model="", token_class="")],
            [],
            metered_cost={(A, ""): 1, (B, ""): 2},
        )
        assert [s.amount_minor for s in allocation.settlements] == [-33, -67]
        check_conservation(allocation)

    def test_a_unit_that_metering_counted_is_direct_even_if_the_bill_says_fee(self) -> None:
        search = used(B, "0.01")._replace(
            cell=Cell("openai", "proj", DAY, "gpt-4o", "web_search", "standard")
        )
        allocation = divided(
            [line(1, "0.02", kind="fee", model="", token_class="web_search")], [search]
        )
        assert [(x.pool, x.cost_centre) for x in allocation.lines] == [("metered", "cc-b")]


class TestZeroDrivers:
    """Two systems of this field lost money here: a driver of zero deleted the amount."""

    def test_the_fallback_driver_divides(self) -> None:
        fee = line(1, "4.00", kind="fee", model="", token_class="")
        allocation = divided([fee], [], driver_seats={(B, ""): 4, (C, ""): 12})
        assert borne(allocation) == {"cc-b": Decimal(1), "cc-c": Decimal(3)}
        assert {x.basis for x in allocation.lines} == {"driver:seats"}

    def test_the_fallback_owner_bears_it(self) -> None:
        allocation = divided([line(1, "4.00", kind="tax", model="", token_class="")], [])
        assert [(x.strategy, x.cost_centre, x.basis) for x in allocation.lines] == [
            (ASSIGNED, "cc-finance", "metered_cost zero for everybody")
        ]

    def test_without_a_fallback_it_is_unallocated(self) -> None:
        allocation = divided([line(1, "4.00", model="o3")], [], tokens={(A, ""): 0})
        assert [(x.strategy, x.cost_centre, x.basis) for x in allocation.lines] == [
            (ASSIGNED, UNALLOCATED, "tokens zero for everybody")
        ]

    def test_what_no_pool_takes_is_unallocated(self) -> None:
        allocation = divided([line(1, "4.00", kind="adjustment", model="", token_class="")], [])
        assert borne(allocation) == {UNALLOCATED: Decimal(4)}
        assert {x.pool for x in allocation.lines} == {"no pool"}

    def test_a_pool_that_was_credited_in_full_has_nobody_to_bear_it(self) -> None:
        lines = [line(1, "4.00", model="o3"), line(2, "-4.00", model="o3")]
        allocation = divided(lines, [])
        assert allocation.lines == ()
        assert allocation.settlements == ()
        assert [s.amount for s in allocation.sources] == [Decimal(4), Decimal(-4)]


class TestMoney:
    def test_the_bills_own_rounding_is_a_line_that_nobody_bears(self) -> None:
        allocation = divided([line(1, "1.006")], [used(A, "1"), used(B, "1")])
        (bill,) = allocation.bills
        assert (bill.exact, bill.payable) == (Decimal("1.006"), Decimal("1.01"))
        (rounding,) = [x for x in allocation.lines if x.strategy == ROUNDING]
        assert (rounding.amount, rounding.cost_centre) == (Decimal("0.004"), "")
        assert [(s.amount_minor, s.rounding_units) for s in allocation.settlements] == [
            (51, 1),
            (50, 0),
        ]

    def test_each_currency_has_its_own_minor_unit(self) -> None:
        lines = [
            line(1, "10.4", currency="JPY", bill_id=1),
            line(1, "10.4444", currency="KWD", bill_id=2),
        ]
        allocation = divided(lines, [used(A, "1")])
        assert [(b.currency, b.payable_minor) for b in allocation.bills] == [
            ("JPY", 10),
            ("KWD", 10_444),
        ]
        check_conservation(allocation)

    def test_a_bill_finer_than_the_runs_units_is_divided_as_finely(self) -> None:
        allocation = divided(
            [line(1, "0.13080438340307526"), line(2, "1E-20", model="o3")],
            [used(A, "1"), used(B, "2")],
        )
        assert allocation.bills[0].scale == 20
        check_conservation(allocation)

    def test_more_decimals_than_any_provider_writes_are_refused(self) -> None:
        with pytest.raises(AmountTooFine, match="bill 1, line 2"):
            divided([line(1, "1"), line(2, "1E-31")], [])

    def test_trailing_zeros_are_no_decimals(self) -> None:
        (bill,) = divided([line(1, "1." + "0" * 40)], []).bills
        assert bill.scale == 12

    def test_shares_that_are_not_the_bill_are_never_settled(self) -> None:
        (bill,) = divided([line(1, "1.00")], [used(A, "1")]).bills
        with pytest.raises(NotConserved, match="bill 1"):
            settle_owners(bill, {A: 10**12 - 1})


amounts = st.decimals(-1_000, 1_000, places=13).filter(bool)
owners = st.sampled_from([A, B, C])
bill_lines = st.builds(
    lambda bill, amount, kind, model, currency: line(
        0,
        str(amount),
        bill_id=bill,
        kind=kind,
        model=model,
        token_class="input" if kind == "usage" else "",
        currency=currency,
    ),
    st.integers(1, 3),
    amounts,
    st.sampled_from(["usage", "usage", "usage", "fee", "credit", "tax", "adjustment"]),
    st.sampled_from(["gpt-4o", "o3", "gpt-4o-mini"]),
    st.sampled_from(["USD", "USD", "JPY"]),
)
metered_cells = st.builds(
    used,
    owners,
    st.one_of(st.none(), st.decimals(0, 100, places=9).map(str)),
    st.sampled_from(["gpt-4o", "o3"]),
    st.integers(0, 10**6),
)
drivers = st.dictionaries(st.tuples(owners, st.just("")), st.integers(0, 10**9))


@given(
    st.lists(bill_lines, max_size=12),
    st.lists(metered_cells, max_size=8),
    drivers,
    drivers,
    st.randoms(use_true_random=False),
)
def test_every_bill_is_conserved_whatever_it_says(
    lines: list[BillLine],
    metered: list[MeteredCell],
    tokens: dict[tuple[Owner, str], int],
    seats: dict[tuple[Owner, str], int],
    shuffler: random.Random,
) -> None:
    numbered = [one._replace(line_no=number) for number, one in enumerate(lines, start=1)]
    values = {"tokens": tokens, "metered_cost": tokens, "requests": {}, "driver_seats": seats}
    allocation = divided(numbered, metered, RULE, **values)
    check_conservation(allocation)
    assert len(allocation.sources) == len(lines)
    assert {b.bill_id for b in allocation.bills} == {one.bill_id for one in lines}
    shuffler.shuffle(numbered)
    shuffler.shuffle(metered)
    assert divided(numbered, metered, RULE, **values) == allocation
