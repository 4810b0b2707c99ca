"""Amounts in the units that Stripe's API counts them in, and back.

Stripe's minor unit is not always ISO 4217's: it counts most currencies in hundredths, also some
that have no cents in use (docs.stripe.com/currencies: zero-decimal, three-decimal, special cases).
"""

from __future__ import annotations

from typing import Final

from metering.domain.money import minor_digits

_WHOLE: Final = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF"}
    | {"XOF", "XPF"}
)
"""Zero-decimal currencies: 500 is 500 yen."""

_THOUSANDTHS: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Three-decimal currencies, the last digit of whose amounts must be 0."""

_WHOLE_IN_HUNDREDTHS: Final = frozenset({"ISK", "UGX"})
"""Without decimals, yet counted in hundredths, whose last two digits must be 00. (HUF and TWD are
whole in payouts only; they are charged in hundredths.)"""


class Unrepresentable(ValueError):
    """Stripe cannot charge this amount exactly."""


def stripe_digits(currency: str) -> int:
    """How many decimals Stripe counts amounts of the currency (ISO 4217, upper case) with."""
    if currency in _WHOLE:
        return 0
    return 3 if currency in _THOUSANDTHS else 2


def to_stripe(amount_minor: int, currency: str) -> int:
    """So many minor units as Stripe counts them: 5 króna are 500, 5 yen are 5.

    Raises `Unrepresentable` for what it would round (1.234 dinars).
    """
    finer, coarser = _scales(currency)
    amount, rest = divmod(amount_minor * finer, coarser)
    if rest or amount % _step(currency):
        raise Unrepresentable(
            f"Stripe cannot charge {amount_minor} minor units of {currency} exactly: its last "
            "digit must be 0; settle the line by hand, or price in another currency"
        )
    return amount


def from_stripe(amount: int, currency: str) -> int:
    """Minor units of an amount as Stripe counts them; the inverse of `to_stripe`.

    Raises `Unrepresentable` for a fraction of a minor unit.
    """
    finer, coarser = _scales(currency)
    whole, rest = divmod(amount * coarser, finer)
    if rest:
        raise Unrepresentable(f"{amount} of Stripe's units is no whole minor unit of {currency}")
    return whole


def _scales(currency: str) -> tuple[int, int]:
    """By how much Stripe's unit is finer than ours, and by how much it is coarser: one is 1."""
    finer_digits = stripe_digits(currency) - minor_digits(currency)
    scale: int = 10 ** abs(finer_digits)
    return (scale, 1) if finer_digits >= 0 else (1, scale)


def _step(currency: str) -> int:
    """What Stripe's amounts of a currency must be a multiple of."""
    if currency in _THOUSANDTHS:
        return 10
    return 100 if currency in _WHOLE_IN_HUNDREDTHS else 1
