"""The hours of the week in which LiteLLM's price map makes a model cheaper.

Hours are in UTC; the weekday is the calendar's of `weekday_timezone` (UTC if it is not given) at
the instant of the call, also of a window that goes on past midnight. So a window becomes one of
that zone's clock, cut at its midnights. Where the zone has summer time no clock of it says what is
meant all year, and the price is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from metering.domain.prices import Conditions, DailyWindow, InvalidPrice, UnitPrice
from metering.domain.units import UNITS
from metering.pricelists.litellm_rows import Amount, Row, amount_of

_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_RULE: Final = ("hours_utc", "weekdays")
_NO_PRICE: Final = ("windows", "hours_utc", "weekday_timezone")
_WEEK: Final = tuple(range(1, 8))
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MIDNIGHT: Final = time(0)
_YEARS: Final = range(2020, 2040)
"""In which a zone is looked at for summer time."""


def off_peak(entry: Mapping[str, Any], rows: Sequence[Row]) -> Iterator[Row]:
    """The standard price with the off-peak ones over it, in every window of the week."""
    said = entry.get("off_peak_pricing")
    if said is None:
        return
    if len(rows) > 1:
        raise InvalidPrice("off-peak hours beside tiers or multipliers: nobody says which is first")
    cheaper = {}
    for key, value in said.items():
        if key in _NO_PRICE:
            continue
        found = amount_of(key, value, str(entry.get("mode") or ""))
        if not isinstance(found, Amount) or found.above is not None or found.tier:
            raise InvalidPrice(f"off_peak_pricing: {key} is not known there")
        cheaper[found.unit] = UnitPrice(UNITS[found.unit].per, found.price)
    if any(price.tiers for unit, price in rows[0].unit_prices.items() if unit in cheaper):
        raise InvalidPrice("off-peak hours beside thresholds: nobody says what holds above them")
    rules = list(said.get("windows") or ())
    if said.get("hours_utc"):
        rules.append({"hours_utc": said["hours_utc"]})
    if not rules or not cheaper:
        raise InvalidPrice("off_peak_pricing without windows or prices")
    for window in _distinct(rules, str(said.get("weekday_timezone") or "UTC")):
        yield Row({**rows[0].unit_prices, **cheaper}, Conditions(window=window), rank=1)


def _distinct(rules: Sequence[Mapping[str, Any]], zone: str) -> dict[DailyWindow, None]:
    return dict.fromkeys(window for rule in rules for window in _windows(rule, zone))


def _windows(said: Mapping[str, Any], zone: str) -> Iterator[DailyWindow]:
    hours = said.get("hours_utc")
    if set(said).difference(_RULE) or not hours:
        raise InvalidPrice(f"off-peak window {said!r:.80} is not understood")
    days = _weekdays(said.get("weekdays"))
    for text in [hours] if isinstance(hours, str) else hours:
        found = _HOURS.fullmatch(str(text))
        if found is None:
            raise InvalidPrice(f"off-peak hours {text!r}: they are written 22:00-06:00")
        start_hour, start_minute, end_hour, end_minute = (int(group) for group in found.groups())
        start, end = time(start_hour, start_minute), time(end_hour, end_minute)
        if days == _WEEK and start != end:
            yield DailyWindow(start, end)
        else:
            yield from _on_weekdays(start, end, zone, days)


def _on_weekdays(start: time, end: time, zone: str, days: tuple[int, ...]) -> Iterator[DailyWindow]:
    """The hours by the zone's own clock, which every instant is judged by: no window goes past its
    midnight."""
    if start == end:
        yield DailyWindow(_MIDNIGHT, _MIDNIGHT, zone, days)
        return
    offset = _offset(zone)
    local_start, local_end = _shifted(start, offset), _shifted(end, offset)
    if local_start < local_end or local_end == _MIDNIGHT:
        yield DailyWindow(local_start, local_end, zone, days)
        return
    yield DailyWindow(local_start, _MIDNIGHT, zone, days)
    yield DailyWindow(_MIDNIGHT, local_end, zone, days)


def _offset(zone: str) -> timedelta:
    """What the zone's clock is ahead of UTC by, all year."""
    try:
        info = UTC if zone == "UTC" else ZoneInfo(zone)
    except (ValueError, OSError, KeyError) as error:
        raise InvalidPrice(f"weekday_timezone {zone!r} is no time zone") from error
    offsets = {
        info.utcoffset(datetime(year, month, 1, tzinfo=info))
        for year in _YEARS
        for month in range(1, 13)
    }
    [offset, *others] = offsets
    if others or offset is None:
        raise InvalidPrice(
            f"weekday_timezone {zone}: hours in UTC are other hours there in summer than in winter"
        )
    return offset


def _shifted(clock: time, offset: timedelta) -> time:
    return (datetime(2020, 1, 2, clock.hour, clock.minute, tzinfo=UTC) + offset).time()


def _weekdays(said: object) -> tuple[int, ...]:
    """ISO numbers, from numbers or English names; all days where nothing is said."""
    if said is None:
        return _WEEK
    if not isinstance(said, list) or not said:
        raise InvalidPrice(f"off-peak weekdays {said!r:.60}: they are a list like [1, 2, 5]")
    found = set()
    for day in said:
        named = str(day).strip().lower()[:3]
        if named in _DAYS and isinstance(day, str):
            found.add(_DAYS.index(named) + 1)
        elif isinstance(day, int) and not isinstance(day, bool) and day in _WEEK:
            found.add(day)
        else:
            raise InvalidPrice(f"off-peak weekday {day!r:.60}: it is 1 (Monday) to 7, or a name")
    return tuple(sorted(found))
