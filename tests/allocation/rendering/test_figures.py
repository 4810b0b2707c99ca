"""Figures on pages are what the locale's patterns say, which are only faster to write."""

from __future__ import annotations

from decimal import Decimal, localcontext

from babel.numbers import format_decimal, format_percent
from hypothesis import example, given
from hypothesis import strategies as st

from allocation.rendering import figures
from metering.domain.money import EXACT

DECIMALS = st.decimals(
    min_value=Decimal(-(10**15)), max_value=Decimal(10**15), allow_nan=False, allow_infinity=False
)


def by_pattern(value: Decimal, pattern: str) -> str:
    with localcontext(EXACT):
        text = format_decimal(value, format=pattern, locale=figures.LOCALE)
    return text.replace("-", figures.MINUS)


@given(DECIMALS)
@example(Decimal("-0"))
@example(Decimal("-0.0000001"))
@example(Decimal("0.0000005"))
@example(Decimal("1E+5"))
def test_amounts_and_quantities_are_written_as_by_the_locale(value: Decimal) -> None:
    assert figures.amount(value, "USD") == by_pattern(value, "#,##0.000000")
    assert figures.amount(value, "JPY", extra=0) == by_pattern(value, "#,##0")
    assert figures.quantity(value) == by_pattern(value, "#,##0.####")


@given(DECIMALS)
@example(Decimal("0.99995"))
@example(Decimal("-0.00004"))
def test_percentages_are_written_as_by_the_locale(ratio: Decimal) -> None:
    written = format_percent(ratio, format="#,##0.00%", locale=figures.LOCALE)
    expected = "< 0.01%" if 0 < ratio < Decimal("0.00005") else written
    assert figures.percent(ratio) == expected.replace("-", figures.MINUS)
