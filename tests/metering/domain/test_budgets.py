"""Where a budget stands, from amounts alone."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.budgets import Budget, InvalidBudget, Spending, Standing
from metering.domain.money import UnknownCurrency
from metering.domain.periods import Month

OCTOBER = Month(2026, 10).period
PLAIN: dict[str, Any] = {
    "scope": "tenant",
    "key": "acme",
    "book": "cost",
    "amount": Decimal(100),
    "currency": "USD",
    "warn_share": Decimal("0.8"),
}


def stands(spent: str, **different: Any) -> Standing:
    return Standing(Budget(**{**PLAIN, **different}), Spending(OCTOBER, Decimal(spent)))


@pytest.mark.parametrize(
    ("spent", "warned_and_exceeded"),
    [
        ("79.999999999999999999", (False, False)),
        ("80", (True, False)),
        ("100", (True, False)),
        ("100.000000000000000001", (True, True)),
    ],
)
def test_the_edges_are_exact(spent: str, warned_and_exceeded: tuple[bool, bool]) -> None:
    found = stands(spent)
    assert (found.is_warning, found.is_exceeded) == warned_and_exceeded


def test_what_is_used_is_a_share() -> None:
    assert stands("1", amount=Decimal(3)).used == Decimal("0.333333333333333333")
    assert str(stands("50").used) == "0.5"
    assert stands("120").left == Decimal(-20)


@given(
    spent=st.decimals(0, 10**9, places=12),
    amount=st.decimals("0.000001", 10**9, places=6),
    share=st.decimals("0.001", 1, places=3),
)
def test_who_is_exceeded_is_warned_and_has_less_than_nothing_left(
    spent: Decimal, amount: Decimal, share: Decimal
) -> None:
    found = Standing(
        Budget(**{**PLAIN, "amount": amount, "warn_share": share}), Spending(OCTOBER, spent)
    )
    assert found.is_exceeded == (found.left < 0)
    assert found.is_warning or not found.is_exceeded
    assert found.used * amount - spent <= Decimal("1e-8")


@pytest.mark.parametrize(
    "different",
    [
        {"amount": Decimal(0)},
        {"amount": Decimal("NaN")},
        {"amount": Decimal("Infinity")},
        {"amount": Decimal(10) ** 15},
        {"warn_share": Decimal(0)},
        {"warn_share": Decimal("1.01")},
        {"scope": "everything"},
        {"key": ""},
        {"scope": "source", "book": "charge"},
    ],
)
def test_a_budget_that_cannot_be_is_not_built(different: dict[str, Any]) -> None:
    with pytest.raises(InvalidBudget):
        stands("0", **different)


def test_a_currency_that_is_none_is_refused() -> None:
    with pytest.raises(UnknownCurrency):
        stands("0", currency="XXY")


@pytest.mark.parametrize(
    "more",
    [
        {"unpriced_calls": 1},
        {"unpriced_tokens": 1},
        {"elsewhere": {"EUR": Decimal(1)}},
        {"unknown": "no plan"},
    ],
)
def test_spend_is_whole_only_if_nothing_is_unknown(more: dict[str, Any]) -> None:
    assert Spending(OCTOBER, Decimal(1)).is_whole
    assert not Spending(OCTOBER, Decimal(1), **more).is_whole
