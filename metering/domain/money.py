"""Exact amounts, and the one place where an amount is rounded to money.

Costs, prices and shares are `Decimal` of any scale. Money that someone owes is an integer of the
currency's minor units (cents, yen, fils); `settle` is the only way from the one to the other.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import cache
from typing import Final

from babel.numbers import get_currency_precision, list_currencies

EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
"""Wide enough that no sum or product of amounts, prices and counts is ever rounded by it."""

RUN_SCALE: Final = 12
"""Allocation runs divide in integer units of 10^-12 of the currency."""

RATING_QUANTUM: Final = Decimal(1).scaleb(-18)
"""Where a price per unit does not terminate (a third of a cent), the line is rounded here."""


class UnknownCurrency(ValueError):
    """The code is no ISO 4217 currency."""


@cache
def minor_digits(currency: str) -> int:
    """How many decimals the currency's minor unit has: USD 2, JPY 0, KWD 3 (ISO 4217, CLDR)."""
    if currency not in _currencies():
        raise UnknownCurrency(f"{currency!r} is no ISO 4217 currency code; write it like USD")
    return get_currency_precision(currency)


@cache
def _currencies() -> frozenset[str]:
    return frozenset(list_currencies())


def settle(amount: Decimal, currency: str) -> int:
    """Round an exact amount to minor units, half to even: where a rated amount becomes a debt."""
    with localcontext(EXACT):
        scaled = amount.scaleb(minor_digits(currency))
        return int(scaled.to_integral_value(rounding=ROUND_HALF_EVEN))


def from_minor(amount_minor: int, currency: str) -> Decimal:
    """The exact amount of so many minor units: 1250 USD-cents is 12.50."""
    with localcontext(EXACT):
        return Decimal(amount_minor).scaleb(-minor_digits(currency))


def to_units(amount: Decimal, scale: int = RUN_SCALE) -> int:
    """The amount in integer units of 10^-scale; raises if that would lose a digit."""
    scaled = EXACT.scaleb(amount, scale)
    units = int(scaled)
    if scaled != units:
        raise ValueError(f"{amount} has more than {scale} decimals")
    return units


def from_units(units: int, scale: int = RUN_SCALE) -> Decimal:
    """The exact amount of so many units of 10^-scale."""
    return EXACT.scaleb(Decimal(units), -scale)


def plain(amount: Decimal) -> str:
    """The one way an amount is written on the wire and in digests: no exponent, no padding.

    `Decimal("1E+2")`, `Decimal("100.00")` and `Decimal("100")` are all written `100`.
    """
    text = str(amount)
    if "E" in text:
        text = format(amount, "f")
    if text[-1] != "0":
        return text
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
