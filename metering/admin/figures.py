"""Numbers, days, states and digests as the pages show them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext
from typing import Final
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from django.conf import settings
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from metering.domain.money import EXACT, from_minor, minor_digits
from metering.domain.periods import Month

LOCALE: Final = "en_GB"
NOTHING: Final = SafeString("\N{EN DASH}")
_NO_FIGURE: Final = SafeString('<span class="figure">\N{EN DASH}</span>')
_MINUS: Final = "\N{MINUS SIGN}"
_ALL_DIGITS: Final = 30

STATES: Final[Mapping[str, str]] = {
    "draft": "info",
    "approved": "primary",
    "closed": "success",
    "finalized": "success",
    "superseded": "",
    "void": "",
    "open": "info",
    "reopened": "warning",
    "priced": "success",
    "unpriced": "danger",
    "free": "",
    "counted": "success",
    "uncounted": "warning",
    "merged": "",
    "success": "success",
    "error": "danger",
    "missing": "danger",
    "expected": "warning",
    "none": "",
    "in": "success",
    "done": "success",
    "running": "info",
    "pending": "info",
    "failed": "danger",
    "active": "success",
    "revoked": "danger",
    "expired": "warning",
    "showback": "info",
    "chargeback": "primary",
}
"""The colour of each state, the same on every page."""


def number(value: int | Decimal | None) -> str:
    """Grouped in thousands, every digit kept."""
    if value is None:
        return NOTHING
    return _grouped(Decimal(value), 0, _ALL_DIGITS)


def money(amount: Decimal | None, currency: str) -> SafeString:
    """An amount to the minor unit, with its currency."""
    return exact(amount, currency, extra=0)


def minor(amount_minor: int | None, currency: str) -> SafeString:
    """Settled money."""
    return (
        _NO_FIGURE if amount_minor is None else money(from_minor(amount_minor, currency), currency)
    )


def exact(amount: Decimal | None, currency: str, *, extra: int = 6) -> SafeString:
    """An exact amount, with up to `extra` decimals beyond the minor unit; all are in the title."""
    if amount is None:
        return _NO_FIGURE
    digits = minor_digits(currency) if currency else 2
    text = _grouped(amount, digits, digits + extra)
    return format_html(
        '<span class="figure" title="{}">{} <span class="currency">{}</span></span>',
        f"{amount:f} {currency}",
        text,
        currency,
    )


def _grouped(value: Decimal, least: int, most: int) -> str:
    """Grouped in thousands, with `least` to `most` decimals."""
    with localcontext(EXACT):
        text = f"{round(value, most):,f}"
    whole, _, decimals = text.partition(".")
    decimals = decimals.rstrip("0").ljust(least, "0")
    return (f"{whole}.{decimals}" if decimals else whole).replace("-", _MINUS)


def figure(value: int | Decimal | None) -> SafeString:
    """A number in a column of figures."""
    return format_html('<span class="figure">{}</span>', number(value))


def month_name(value: Month) -> str:
    """`October 2026`."""
    return format_date(value.first_day(), format="MMMM y", locale=LOCALE)


def day(value: date | None) -> str:
    return NOTHING if value is None else format_date(value, format="d MMM y", locale=LOCALE)


def instant(value: datetime | None, *, seconds: bool = False) -> SafeString:
    """To the minute or second by the company's clock; the exact UTC instant is in the title."""
    if value is None:
        return NOTHING
    local = value.astimezone(ZoneInfo(settings.COMPANY_TIME_ZONE))
    return format_html(
        '<span class="instant" title="{}">{}</span>',
        value.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds"),
        format_datetime(
            local, format="d MMM y, HH:mm:ss" if seconds else "d MMM y, HH:mm", locale=LOCALE
        ),
    )


def validity(start: datetime | None, end: datetime | None) -> SafeString | str:
    """From when to when something holds; without a start, as far back as anyone can know."""
    match start, end:
        case None, None:
            return "always"
        case None, _:
            return format_html("until {}", instant(end))
        case _, None:
            return format_html("since {}", instant(start))
        case _:
            return format_html("{} to {}", instant(start), instant(end))


def digest(value: str | bytes | None, length: int = 12) -> SafeString:
    """The beginning of a digest (or all of a key), with all of it in the title."""
    text = value.hex() if isinstance(value, bytes | memoryview) else value
    if not text:
        return NOTHING
    return format_html('<code class="digest" title="{}">{}</code>', text, text[:length])


def label(state: str, words: str | None = None) -> SafeString:
    """A state as a coloured label."""
    colour = STATES.get(state) or "plain"
    return format_html(
        '<span class="state state-{}">{}</span>', colour, words or state.replace("_", " ")
    )


def link(name: str, key: object, words: object) -> SafeString | str:
    """The words, as a link to the admin's page of a row (`app_model`, its key)."""
    try:
        url = reverse(f"admin:{name}_change", args=[key])
    except NoReverseMatch:
        return str(words)
    return format_html('<a href="{}" class="link">{}</a>', url, words)


def listing(name: str, words: object, **filters: object) -> SafeString:
    """The words, as a link to a list of rows that the filters narrow."""
    return format_html(
        '<a href="{}" class="link">{}</a>',
        reverse(f"admin:{name}_changelist", query=filters),
        words,
    )
