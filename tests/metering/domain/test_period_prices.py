"""What a period's totals change in the cost of its events: free allowances, committed volumes."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.cells import Cell
from metering.domain.money import RATING_QUANTUM
from metering.domain.period_prices import Use, adjustments
from metering.domain.prices import Price
from metering.domain.unit_prices import Allowance, Every, InvalidPrice, UnitPrice, Volume

DAY = date(2026, 10, 5)


def searches(
    id: int = 1,
    base: str = "14",
    free: int = 1500,
    every: Every = "day",
    group: str = "",
) -> Price:
    terms = UnitPrice(1000, Decimal(base), allowance=Allowance(Decimal(free), every, group))
    return Price(id, "google", f"m{id}", {"web_searches": terms})


def use(price: Price, quantity: str | int, day: date = DAY, unit: str = "web_searches") -> Use:
    return Use(Cell("google", "", day, price.model_id, unit, ""), price, unit, Decimal(quantity))


def test_the_first_of_a_day_are_free() -> None:
    [credit] = adjustments([use(searches(), 1000), use(searches(), 600)])
    assert (credit.cause, credit.start) == ("free_allowance", DAY)
    assert credit.quantity == 1500
    assert credit.amount == -21


def test_who_uses_less_than_the_allowance_gets_back_what_it_cost() -> None:
    [credit] = adjustments([use(searches(), 3)])
    assert credit.quantity == 3
    assert credit.amount == Decimal("-0.042")
    assert adjustments([use(searches(), 0)]) == ()


def test_every_day_has_its_own_allowance_and_a_month_has_one() -> None:
    days = [DAY + timedelta(days=n) for n in range(3)]
    daily = adjustments([use(searches(), 2000, day) for day in days])
    assert [(c.start, int(c.quantity)) for c in daily] == [(day, 1500) for day in days]
    monthly = adjustments([use(searches(every="month"), 2000, day) for day in days])
    assert [(c.start, int(c.quantity)) for c in monthly] == [(date(2026, 10, 1), 1500)]


def test_models_of_one_group_share_the_allowance_by_use() -> None:
    one, other = searches(1, "14", group="g"), searches(2, "35", group="g")
    given = adjustments([use(one, 4000), use(other, 2000)])
    assert [(c.price_id, int(c.quantity), str(c.amount)) for c in given] == [
        (1, 1000, "-14"),
        (2, 500, "-17.5"),
    ]
    with pytest.raises(InvalidPrice, match="allowance g: its prices grant different"):
        adjustments([use(one, 1), use(searches(3, free=9, group="g"), 1)])


def test_a_committed_volume_costs_less_beyond_its_starts() -> None:
    terms = UnitPrice(
        1_000_000,
        Decimal(3),
        volumes=(Volume(Decimal(10**9), Decimal(2)), Volume(Decimal(2 * 10**9), Decimal(1))),
    )
    price = Price(7, "acme", "m", {"input_tokens": terms})
    halves = [use(price, 10**9 + 10**8, DAY + timedelta(days=n), "input_tokens") for n in (0, 9)]
    [change] = adjustments(halves)
    assert (change.cause, change.start) == ("volume_price", date(2026, 10, 1))
    assert change.quantity == 12 * 10**8
    assert change.amount == -1000 - 2 * 200
    assert [cell.day.day for cell in change.cells] == [5, 14]
    assert adjustments([use(price, 10**9, unit="input_tokens")]) == ()


@given(
    st.lists(st.integers(0, 5000), min_size=1, max_size=6),
    st.integers(1, 4000),
    st.sampled_from(["", "g"]),
)
def test_what_is_granted_is_the_allowance_and_never_more_than_the_use(
    quantities: list[int], free: int, group: str
) -> None:
    priced = [searches(n, free=free, group=group) for n in range(len(quantities))]
    given = adjustments([use(p, q) for p, q in zip(priced, quantities, strict=True)])
    granted = sum(credit.quantity for credit in given)
    if group:
        assert granted == min(free, sum(quantities))
    else:
        assert granted == sum(min(free, q) for q in quantities)
    assert all(0 < c.quantity <= quantities[c.price_id] for c in given)
    assert all(abs(c.amount + c.quantity * 14 / 1000) <= RATING_QUANTUM for c in given)
