"""Numbers as people read them. Programs get exact decimal strings instead (`money.plain`)."""

from __future__ import annotations

import calendar
from datetime import date
from decimal import Decimal, localcontext
from typing import Final

from babel.dates import format_date
from babel.numbers import format_currency, format_percent, get_currency_symbol

from metering.domain.money import EXACT, from_minor, minor_digits
from metering.domain.periods import Month

LOCALE: Final = "en_GB"
EXTRA_DIGITS: Final = 4
"""Exact amounts are shown to four decimals beyond the minor unit; the files hold all of them."""

_QUANTITY_DIGITS: Final = 4
_HUNDRED: Final = Decimal(100)

MINUS: Final = "\N{MINUS SIGN}"


def money(amount_minor: int, currency: str) -> str:
    """Settled money in full: `US$1,234.56`."""
    return whole_amount(from_minor(amount_minor, currency), currency)


def amount(exact: Decimal, currency: str, extra: int = EXTRA_DIGITS) -> str:
    """An exact amount, shown to `extra` decimals beyond the minor unit, without the currency."""
    return _grouped(exact, minor_digits(currency) + extra)


def whole_amount(exact: Decimal, currency: str) -> str:
    """An exact amount as a person says it in a sentence: symbol, minor units, rounded."""
    spaced = get_currency_symbol(currency, locale=LOCALE)[-1].isalpha()
    pattern = "¤\N{NO-BREAK SPACE}#,##0.00" if spaced else "¤#,##0.00"
    return _minus(format_currency(exact, currency, format=pattern, locale=LOCALE))


def quantity(value: Decimal) -> str:
    """A measured driver: grouped, at most four decimals."""
    text = _grouped(value, _QUANTITY_DIGITS)
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(ratio: Decimal) -> str:
    """A ratio to a hundredth of a per cent; one that is not zero is never shown as zero."""
    if 0 < ratio < Decimal("0.00005"):
        return "< 0.01%"
    return f"{_grouped(EXACT.multiply(ratio, _HUNDRED), 2)}%"


def change(ratio: Decimal) -> str:
    """A relative change with its sign: `+4.20%`."""
    return _minus(format_percent(ratio, format="+#,##0.0%;-#,##0.0%", locale=LOCALE))


def month_name(month: Month) -> str:
    return f"{calendar.month_name[month.month]} {month.year}"


def day_name(day: date) -> str:
    return format_date(day, format="d MMM", locale=LOCALE)


def _grouped(value: Decimal, digits: int) -> str:
    """In groups of thousands, rounded half to even. A page has thousands of these: this is what
    the locale's pattern gives, without reading the pattern anew for each."""
    with localcontext(EXACT):
        return _minus(f"{value:,.{digits}f}")


def _minus(text: str) -> str:
    return text.replace("-", MINUS)
