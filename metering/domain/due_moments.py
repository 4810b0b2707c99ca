"""When a schedule was last due: reckoned from the schedule alone, the same for whoever asks."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_DAYS_BACK: Final = 366 * 41
"""A 29 February on a certain weekday may be 40 years back; what is not due in that is never."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class NeverDue(ValueError):
    """The schedule has no moment at all in the years past."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """What a crontab names, as numbers: due in each minute that is in all five. Sunday is 0."""

    minutes: AbstractSet[int]
    hours: AbstractSet[int]
    days_of_week: AbstractSet[int]
    days_of_month: AbstractSet[int]
    months: AbstractSet[int]

    def last_due(self, now: datetime) -> datetime:
        """The last moment until `now`, by the clock of `now`'s zone; in UTC. Raises `NeverDue`."""
        for back in range(_DAYS_BACK):
            day = now.date() - timedelta(days=back)
            if not (
                day.month in self.months
                and day.day in self.days_of_month
                and day.isoweekday() % 7 in self.days_of_week
            ):
                continue
            for hour in sorted(self.hours, reverse=True):
                for minute in sorted(self.minutes, reverse=True):
                    moment = datetime(
                        day.year, day.month, day.day, hour, minute, tzinfo=now.tzinfo
                    ).astimezone(UTC)
                    if moment <= now:
                        return moment
        raise NeverDue(f"{self} was not due once in the last {_DAYS_BACK} days")


def last_multiple(every: timedelta, now: datetime) -> datetime:
    """The last multiple of the interval until `now`, counted from 1970, in UTC."""
    return (now - (now - _EPOCH) % every).astimezone(UTC)
