"""What stands in the fields of a contract's rows: numbers, days, hours, currencies; each refusal
names the line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

from metering.domain.money import UnknownCurrency, minor_digits
from metering.domain.prices import Conditions, DailyWindow, InvalidPrice
from metering.pricelists.parsed import UnreadablePriceList

WHEN: Final = ("service_tier", "processing", "region", "endpoint", "speed")
_DAY: Final = len("2026-10-01")
_MOST_DIGITS: Final = 40
_YEARS: Final = range(2000, 2200)
_CLOCK: Final = r"((?:[01][0-9]|2[0-3]):[0-5][0-9])"
_HOURS: Final = re.compile(f"{_CLOCK}-{_CLOCK}")
_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Line(NamedTuple):
    """A row, and what it is called in a refusal: `line 7`."""

    place: str
    row: Mapping[str, str]

    def said(self, column: str) -> str:
        """What stands in the column; empty where the file has none."""
        return self.row.get(column, "")


def number(text: str, column: str, place: str) -> Decimal:
    """A decimal of at least 0."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0 or abs(amount.adjusted()) > _MOST_DIGITS:
        raise UnreadablePriceList(f"{place}: {column} {text!r} is no number of at least 0")
    return amount


def whole(text: str, column: str, place: str, *, digits: int = 9) -> int:
    """A whole number of at least 0."""
    if not (text.isascii() and text.isdigit()) or len(text) > digits:
        raise UnreadablePriceList(f"{place}: {column} {text!r} is no whole number")
    return int(text)


def instant(text: str, place: str) -> datetime:
    """A day (its beginning in UTC), or an instant with its offset."""
    try:
        if len(text) == _DAY:
            day = date.fromisoformat(text)
            found = datetime(day.year, day.month, day.day, tzinfo=UTC)
        else:
            found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnreadablePriceList(
            f"{place}: {text!r} is no date; write 2026-10-01 or 2026-10-01T00:00:00Z"
        ) from error
    if found.tzinfo is None:
        raise UnreadablePriceList(f"{place}: {text!r} has no offset; add Z for UTC")
    if found.year not in _YEARS:
        raise UnreadablePriceList(f"{place}: {text!r}: no price is of that year")
    return found


def currency(lines: Iterable[Line]) -> str:
    """The one that all of the rows name."""
    found = {line.row.get("currency", ""): line.place for line in lines}
    [only, *others] = found
    if others:
        raise UnreadablePriceList(f"{found[others[0]]}: one model is priced in one currency")
    try:
        minor_digits(only)
    except UnknownCurrency as error:
        raise UnreadablePriceList(f"{found[only]}: {error}") from error
    return only


def conditions(line: Line) -> Conditions:
    """The calls that the row's price is for."""
    said = [part.strip() for part in line.said("when").split(";") if part.strip()]
    on = dict(part.lower().partition("=")[::2] for part in said)
    for key, value in on.items():
        if key not in WHEN or not value:
            raise UnreadablePriceList(
                f"{line.place}: when {key!r}: write one of {', '.join(WHEN)}, like "
                "service_tier=flex"
            )
    return Conditions(on, _window(line))


def _window(line: Line) -> DailyWindow | None:
    hours, days, zone = line.said("hours"), line.said("weekdays"), line.said("zone")
    if not (hours or days):
        if zone:
            raise UnreadablePriceList(f"{line.place}: zone {zone!r} of which hours? Give hours")
        return None
    found = _HOURS.fullmatch(hours or "00:00-00:00")
    if found is None:
        raise UnreadablePriceList(
            f"{line.place}: hours {hours!r}: they are written 22:00-06:00, from 00:00 to 23:59"
        )
    start, end = (time.fromisoformat(clock) for clock in found.groups())
    try:
        return DailyWindow(start, end, zone or "UTC", _weekdays(days, line.place))
    except InvalidPrice as error:
        raise UnreadablePriceList(f"{line.place}: {error}") from error


def _weekdays(said: str, place: str) -> tuple[int, ...]:
    """`mon-fri;sun` as ISO numbers; none where nothing is said."""
    found: set[int] = set()
    for part in (part.strip() for part in said.lower().split(";") if part.strip()):
        ends = [end.strip() for end in part.split("-")]
        if len(ends) > 2 or not set(ends) <= {*_WEEKDAYS}:  # noqa: PLR2004
            raise UnreadablePriceList(
                f"{place}: weekdays {part!r}: they are written mon;tue or mon-fri"
            )
        first, last = _WEEKDAYS.index(ends[0]), _WEEKDAYS.index(ends[-1])
        found.update((day % 7) + 1 for day in range(first, last + (7 if last < first else 0) + 1))
    return tuple(sorted(found))
