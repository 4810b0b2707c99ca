"""Direct, activity-based and weighted allocation, on published examples and as properties."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from allocation.domain.activity import divide_by_activity
from allocation.domain.cost_shares import CostShare, SharesDoNotAdd, assign, conserved
from allocation.domain.direct import DirectBasis, direct_basis, divide_directly
from allocation.domain.weighted import divide_by_weight
from metering.domain.apportionment import NothingToApportionOver
from metering.domain.cells import Cell, MeteredCell, Owner
from metering.domain.money import to_units

A, B, C = Owner("cc-a", "acme"), Owner("cc-b", "globex"), Owner("cc-c")


def reading(
    owner: Owner,
    quantity: int,
    cost: str | None,
    *,
    token_class: str = "input",
    currency: str = "USD",
) -> MeteredCell:
    cell = Cell("openai", "proj", date(2026, 10, 3), "gpt-4o", token_class, "standard")
    amount = None if cost is None else Decimal(cost)
    return MeteredCell(cell, owner, Decimal(quantity), amount, currency, 1)


def units_by_owner(shares: tuple[CostShare, ...]) -> dict[Owner, int]:
    totals: dict[Owner, int] = {}
    for share in shares:
        totals[share.owner] = totals.get(share.owner, 0) + share.units
    return totals


class TestActivityBased:
    @pytest.mark.parametrize(
        ("pool", "activity", "expected"),
        [
            pytest.param(
                252_000, {A: 50, B: 1_750}, {A: 7_000, B: 245_000}, id="receiving, 140 each"
            ),
            pytest.param(
                120_000, {A: 400}, {A: 120_000}, id="inspection, all of it by one product"
            ),
            pytest.param(
                560_000,
                {A: 392_000, B: 61_600, C: 106_400},
                {A: 392_000, B: 61_600, C: 106_400},
                id="a rate of 1.00 an hour",
            ),
            pytest.param(100, {A: 25, B: 75}, {A: 25, B: 75}, id="unallocated worker node"),
            pytest.param(100, {A: 40, B: 35, C: 25}, {A: 40, B: 35, C: 25}, id="vCPU hours"),
            pytest.param(-30, {A: 1, B: 2}, {A: -10, B: -20}, id="a credit"),
        ],
    )
    def test_worked_examples(
        self, pool: int, activity: dict[Owner, int], expected: dict[Owner, int]
    ) -> None:
        readings = {owner: Decimal(value) for owner, value in activity.items()}
        assert units_by_owner(divide_by_activity(pool, "requests", readings)) == expected

    def test_each_share_shows_its_measure(self) -> None:
        shares = divide_by_activity(100, "requests", {A: Decimal(1), B: Decimal(2), C: Decimal(0)})
        assert shares == (
            CostShare(A, "", 33, 0, "requests", Decimal(1), Decimal(3), None),
            CostShare(B, "", 67, 1, "requests", Decimal(2), Decimal(3), None),
        )

    def test_a_driver_of_zero_does_not_lose_the_pool(self) -> None:
        with pytest.raises(NothingToApportionOver):
            divide_by_activity(27, "tokens", {A: Decimal(0), B: Decimal(0)})


class TestWeighted:
    def test_efforts_of_time_driven_costing(self) -> None:
        """Kaplan and Anderson's customer service: volumes times unit minutes over 578,600."""
        volumes = {
            (A, "orders"): Decimal(9_800),
            (A, "inquiries"): Decimal(280),
            (B, "credit checks"): Decimal(500),
        }
        minutes = {
            "orders": Decimal(40),
            "inquiries": Decimal(220),
            "credit checks": Decimal(250),
            "*": Decimal(0),
        }
        shares = divide_by_weight(462_880, "requests", volumes, minutes)
        assert [(s.driver_key, s.units) for s in shares] == [
            ("inquiries", 49_280),
            ("orders", 313_600),
            ("credit checks", 100_000),
        ]
        assert {s.basis_total for s in shares} == {Decimal(578_600)}

    def test_what_is_not_listed_has_the_other_weight(self) -> None:
        readings = {(A, "gpt-4o"): Decimal(10), (B, "gpt-4o-mini"): Decimal(10)}
        weights = {"gpt-4o": Decimal("2.5"), "*": Decimal("0.5")}
        shares = divide_by_weight(600, "tokens", readings, weights)
        assert [(s.owner, s.units, s.weight) for s in shares] == [
            (A, 500, Decimal("2.5")),
            (B, 100, Decimal("0.5")),
        ]

    def test_a_weight_of_zero_takes_no_part(self) -> None:
        readings = {(A, "free"): Decimal(10), (B, "paid"): Decimal(1)}
        shares = divide_by_weight(9, "tokens", readings, {"free": Decimal(0), "*": Decimal(1)})
        assert units_by_owner(shares) == {B: 9}

    @given(
        st.integers(-(10**15), 10**15),
        st.dictionaries(
            st.tuples(st.sampled_from([A, B, C]), st.sampled_from(["m1", "m2", "m3"])),
            st.integers(0, 10**9).map(Decimal),
            min_size=1,
        ),
        st.decimals(0, 100, places=3),
    )
    def test_every_share_is_within_a_unit_of_driver_times_weight(
        self, total: int, readings: dict[tuple[Owner, str], Decimal], weight: Decimal
    ) -> None:
        weights = {"m1": weight, "*": Decimal(1)}
        assume(any(v * weights.get(k, Decimal(1)) for (_, k), v in readings.items()))
        shares = divide_by_weight(total, "tokens", readings, weights)
        assert sum(s.units for s in shares) == total
        for share in shares:
            assert share.basis_value is not None
            assert share.basis_total is not None
            assert share.weight is not None
            ratio = (
                Fraction(share.basis_value) * Fraction(share.weight) / Fraction(share.basis_total)
            )
            assert abs(share.units - total * ratio) < 1


class TestDirect:
    def test_by_metered_cost(self) -> None:
        basis = direct_basis([reading(A, 900, "0.30"), reading(B, 100, "0.10")])
        assert basis == DirectBasis("metered_cost", {A: Decimal("0.30"), B: Decimal("0.10")})
        assert units_by_owner(divide_directly(40, basis)) == {A: 30, B: 10}

    def test_one_unpriced_reading_makes_quantity_the_measure(self) -> None:
        basis = direct_basis([reading(A, 900, "0.30"), reading(B, 100, None)])
        assert basis == DirectBasis("quantity", {A: Decimal(900), B: Decimal(100)})

    def test_free_usage_is_divided_by_quantity(self) -> None:
        basis = direct_basis([reading(A, 3, "0"), reading(B, 1, "0")])
        assert units_by_owner(divide_directly(100, basis)) == {A: 75, B: 25}

    def test_costs_in_two_currencies_do_not_compare(self) -> None:
        basis = direct_basis([reading(A, 3, "1"), reading(B, 1, "100", currency="JPY")])
        assert basis.basis == "quantity"

    def test_tokens_and_units_of_tools_do_not_add_up(self) -> None:
        basis = direct_basis(
            [reading(A, 1_000, None), reading(B, 7, None, token_class="web_search")]
        )
        assert basis == DirectBasis("quantity", {A: Decimal(1_000)})

    def test_where_no_tokens_were_used_units_of_tools_are_counted(self) -> None:
        basis = direct_basis([reading(A, 0, None), reading(B, 7, None, token_class="web_search")])
        assert basis == DirectBasis("quantity", {A: Decimal(0), B: Decimal(7)})

    def test_an_unpriced_reading_of_nothing_hides_no_cost(self) -> None:
        basis = direct_basis([reading(A, 900, "0.30"), reading(B, 0, None)])
        assert basis == DirectBasis("metered_cost", {A: Decimal("0.30")})

    @pytest.mark.parametrize("readings", [[], [reading(A, 0, None)], [reading(A, 0, "0")]])
    def test_no_usage_is_no_basis(self, readings: list[MeteredCell]) -> None:
        basis = direct_basis(readings)
        assert basis == DirectBasis("", {})
        with pytest.raises(NothingToApportionOver):
            divide_directly(1, basis)

    def test_an_owner_with_two_readings_has_one_share(self) -> None:
        shares = divide_directly(
            to_units(Decimal("0.01")), direct_basis([reading(A, 1, "1"), reading(A, 2, "2")])
        )
        assert [(s.owner, s.units, s.basis_value) for s in shares] == [(A, 10**10, Decimal(3))]


def test_what_is_assigned_names_the_reason() -> None:
    (share,) = assign(7, C, "tokens is zero")
    assert share == CostShare(C, "", 7, 0, "tokens is zero", None, None, None)


def test_shares_that_do_not_add_up_are_never_answered() -> None:
    with pytest.raises(SharesDoNotAdd, match="7 units were given out of 8"):
        conserved(8, assign(7, A, "because"))
