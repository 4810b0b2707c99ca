from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.money import (
    UnknownCurrency,
    from_minor,
    from_units,
    minor_digits,
    plain,
    settle,
    to_units,
)

AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("1.005", "USD", 100),
        ("1.015", "USD", 102),
        ("-1.005", "USD", -100),
        ("47.34075", "USD", 4734),
        ("47.34075", "JPY", 47),
        ("47.34075", "KWD", 47341),
        ("0.005000000000000000000000001", "USD", 1),
    ],
)
def test_settling_rounds_once_half_to_even(amount: str, currency: str, minor: int) -> None:
    assert settle(Decimal(amount), currency) == minor


def test_a_currency_that_is_none_is_refused() -> None:
    with pytest.raises(UnknownCurrency, match="XXY"):
        minor_digits("XXY")


@given(AMOUNTS)
def test_settling_moves_no_amount_by_more_than_half_a_minor_unit(amount: Decimal) -> None:
    assert abs(from_minor(settle(amount, "USD"), "USD") - amount) <= Decimal("0.005")


@given(st.integers(-(10**18), 10**18))
def test_units_and_amounts_are_the_same_number(units: int) -> None:
    assert to_units(from_units(units)) == units


def test_an_amount_finer_than_a_unit_is_refused_not_rounded() -> None:
    with pytest.raises(ValueError, match="more than 12 decimals"):
        to_units(Decimal("0.0000000000001"))


@given(AMOUNTS)
def test_plain_text_is_the_same_amount_without_exponent_or_padding(amount: Decimal) -> None:
    text = plain(amount)
    assert Decimal(text) == amount
    assert "E" not in text
    assert not ("." in text and text.endswith(("0", ".")))


def test_equal_amounts_are_written_alike() -> None:
    assert {plain(Decimal(t)) for t in ("100", "1E+2", "100.00")} == {"100"}
    assert {plain(Decimal(t)) for t in ("0", "-0.00", "0E-9")} == {"0"}
