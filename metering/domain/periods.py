"""Half-open spans of time: accounting months, arbitrary periods, customers' cycles."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Self

BUCKET = timedelta(minutes=15)
"""Grain of the rollups. Every zone in use is offset from UTC by a multiple of 15 minutes, so a
cycle that starts at midnight anywhere falls on a bucket's edge."""

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)


class InvalidPeriod(ValueError):
    """The text does not name a calendar month as YYYY-MM."""


@dataclass(frozen=True, slots=True)
class Period:
    """The instants `start <= t < end`, both aware. Two adjacent periods share no instant."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise InvalidPeriod("a period needs instants with a time zone")
        if self.start >= self.end:
            raise InvalidPeriod(f"a period ends after it starts: {self.start} to {self.end}")

    @classmethod
    def of_day(cls, day: date) -> Self:
        """The UTC day."""
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return cls(start, start + timedelta(days=1))

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    def days(self) -> tuple[date, ...]:
        """The UTC days that the period touches, in order."""
        first = self.start.astimezone(UTC).date()
        last = (self.end.astimezone(UTC) - timedelta(microseconds=1)).date()
        return tuple(first + timedelta(days=i) for i in range((last - first).days + 1))


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """An accounting month, UTC. Written `2026-10`."""

    year: int
    month: int

    def __post_init__(self) -> None:
        if not (1 <= self.year <= 9998 and 1 <= self.month <= 12):  # noqa: PLR2004
            raise InvalidPeriod(f"{self.year}-{self.month} is no calendar month")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2026-10`; anything else raises `InvalidPeriod` with the form that is wanted."""
        match = _MONTH.fullmatch(text)
        if match is None:
            raise InvalidPeriod(f"{text!r} is no period; write the month as YYYY-MM, like 2026-10")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, instant: datetime) -> Self:
        """The UTC month that the (aware) instant falls in."""
        utc = instant.astimezone(UTC)
        return cls(utc.year, utc.month)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    @property
    def period(self) -> Period:
        return self.in_zone(UTC)

    def in_zone(self, zone: tzinfo) -> Period:
        """The month as a clock in `zone` reads it."""
        following = self.next()
        return Period(
            datetime(self.year, self.month, 1, tzinfo=zone),
            datetime(following.year, following.month, 1, tzinfo=zone),
        )

    def next(self) -> Month:
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    def previous(self) -> Month:
        return Month(self.year - (self.month == 1), (self.month - 2) % 12 + 1)

    def first_day(self) -> date:
        return date(self.year, self.month, 1)

    def last_day(self) -> date:
        return date(self.year, self.month, calendar.monthrange(self.year, self.month)[1])


def bucket_of(instant: datetime) -> datetime:
    """The start of the 15-minute UTC bucket that holds the (aware) instant."""
    utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return utc.replace(minute=utc.minute // 15 * 15, second=0, microsecond=0)
