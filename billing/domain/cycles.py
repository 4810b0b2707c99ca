"""Billing cycles: spans of whole days by the customer's clock, from one anchor day to the next.

A cycle begins at the first instant of the anchor day (of the month's last day, where the month is
shorter) and ends where the next begins, so cycles share no instant and leave none out. Midnight
that a clock change skips is the instant of the change; of two midnights the first counts.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from metering.domain.periods import Month, Period

MAX_ANCHOR_DAY = 31


class InvalidTerm(ValueError):
    """A subscription's dates, anchor day or zone cannot be right."""


@dataclass(frozen=True, slots=True)
class Term:
    """When and by which clock a subscription is billed.

    It runs from the first instant of `first_day` until before `end_day` (`None`: until further
    notice), days of the customer's `zone`. Cycles turn over on `anchor_day` of the month.
    """

    first_day: date
    end_day: date | None
    zone: str
    anchor_day: int

    def __post_init__(self) -> None:
        if not 1 <= self.anchor_day <= MAX_ANCHOR_DAY:
            raise InvalidTerm(f"anchor day {self.anchor_day} is no day of a month; use 1 to 31")
        if self.end_day is not None and self.end_day <= self.first_day:
            raise InvalidTerm(f"it ends on {self.end_day}, not after it starts, {self.first_day}")
        zone_of(self.zone)

    def covers(self, day: date) -> bool:
        return self.first_day <= day and (self.end_day is None or day < self.end_day)


@dataclass(frozen=True, slots=True)
class Cycle:
    """One billing cycle, or the part of it that a subscription covers.

    The days are those of `zone`; `end_day` is the first day after. `full_days` counts the days of
    the whole cycle, so `days / full_days` is the part of a fee that is due, 1 for a whole one.
    """

    first_day: date
    end_day: date
    zone: str
    full_days: int

    def __post_init__(self) -> None:
        if not 0 < self.days <= self.full_days:
            raise InvalidTerm(f"{self.days} days cannot be part of a cycle of {self.full_days}")

    @property
    def days(self) -> int:
        return (self.end_day - self.first_day).days

    @property
    def last_day(self) -> date:
        return self.end_day - timedelta(days=1)

    @property
    def period(self) -> Period:
        """The instants of the cycle, UTC."""
        zone = zone_of(self.zone)
        return Period(start_of_day(self.first_day, zone), start_of_day(self.end_day, zone))

    def overlaps(self, period: Period) -> bool:
        return self.period.start < period.end and period.start < self.period.end


@cache
def zone_of(key: str) -> ZoneInfo:
    """The time zone of that name; raises `InvalidTerm` for a name the tz database does not have."""
    try:
        return ZoneInfo(key)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidTerm(f"{key!r} is no time zone; write it like Asia/Kolkata or UTC") from error


def start_of_day(day: date, zone: tzinfo) -> datetime:
    """The first instant of the day by the zone's clock, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def turnover(month: Month, anchor_day: int) -> date:
    """The day of the month on which cycles turn over."""
    last = calendar.monthrange(month.year, month.month)[1]
    return date(month.year, month.month, min(anchor_day, last))


def cycles_ending_in(month: Month, term: Term) -> tuple[Cycle, ...]:
    """The term's cycles whose last instant lies in the month, by the customer's clock, in order.

    A cycle that ends at the first instant of November has its last instant in October. Usually one;
    none before the first cycle has ended; two where a subscription ends in the month, after its
    last turnover.
    """
    turnovers = [
        turnover(m, term.anchor_day)
        for m in (month.previous().previous(), month.previous(), month, month.next(),
                  month.next().next())
    ]  # fmt: skip
    found: list[Cycle] = []
    for start, end in pairwise(turnovers):
        first = max(start, term.first_day)
        after = end if term.end_day is None else min(end, term.end_day)
        if first < after and month.first_day() <= after - timedelta(days=1) <= month.last_day():
            found.append(Cycle(first, after, term.zone, (end - start).days))
    return tuple(found)


def cycle_on(day: date, term: Term) -> Cycle | None:
    """The term's cycle that the day (of the customer's clock) belongs to; `None` if the term does
    not cover it."""
    month = Month(day.year, day.month)
    return next(
        (
            cycle
            for ending in (month, month.next())
            for cycle in cycles_ending_in(ending, term)
            if cycle.first_day <= day < cycle.end_day
        ),
        None,
    )
