"""The last due moment of a schedule: on its grid, not to come, and none between it and now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.due_moments import Calendar, NeverDue, last_multiple

START = datetime(2020, 1, 1, tzinfo=UTC)
INSTANTS = st.timedeltas(timedelta(0), timedelta(days=6000)).map(lambda since: START + since)
ALL = frozenset
EVERY_DAY, EVERY_DATE, EVERY_MONTH = ALL(range(7)), ALL(range(1, 32)), ALL(range(1, 13))


def some(first: int, last: int) -> st.SearchStrategy[frozenset[int]]:
    return st.frozensets(st.integers(first, last), min_size=1, max_size=6)


def named(calendar: Calendar, moment: datetime) -> bool:
    return (
        moment.minute in calendar.minutes
        and moment.hour in calendar.hours
        and moment.isoweekday() % 7 in calendar.days_of_week
        and moment.day in calendar.days_of_month
        and moment.month in calendar.months
    )


@given(
    st.builds(
        Calendar,
        minutes=some(0, 59),
        hours=some(0, 23),
        days_of_week=some(0, 6),
        days_of_month=some(1, 28),
        months=some(1, 12),
    ),
    INSTANTS,
)
def test_it_is_named_and_not_to_come_and_stays_the_last_until_the_next(
    calendar: Calendar, now: datetime
) -> None:
    found = calendar.last_due(now)
    assert named(calendar, found)
    assert found <= now
    assert calendar.last_due(found) == found
    assert calendar.last_due(found - timedelta(minutes=1)) < found
    halfway = found + (now - found) / 2
    assert calendar.last_due(halfway) == found


@given(some(0, 59), some(0, 23), INSTANTS)
def test_no_minute_between_it_and_now_is_named(
    minutes: frozenset[int], hours: frozenset[int], now: datetime
) -> None:
    calendar = Calendar(minutes, hours, EVERY_DAY, EVERY_DATE, EVERY_MONTH)
    minute = now.replace(second=0, microsecond=0)
    while not named(calendar, minute):
        minute -= timedelta(minutes=1)
    assert calendar.last_due(now) == minute


def test_it_is_by_the_clock_of_the_zone() -> None:
    calendar = Calendar(ALL({0}), ALL({6}), EVERY_DAY, ALL({2}), EVERY_MONTH)
    now = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)
    assert calendar.last_due(now) == datetime(2026, 10, 2, 6, tzinfo=UTC)
    in_kolkata = calendar.last_due(now.astimezone(ZoneInfo("Asia/Kolkata")))
    assert in_kolkata == datetime(2026, 11, 2, 0, 30, tzinfo=UTC)


def test_a_leap_day_is_found_and_a_day_that_never_comes_is_not() -> None:
    now = datetime(2026, 11, 2, tzinfo=UTC)
    leap = Calendar(ALL({0}), ALL({0}), EVERY_DAY, ALL({29}), ALL({2}))
    assert leap.last_due(now) == datetime(2024, 2, 29, tzinfo=UTC)
    never = Calendar(ALL({0}), ALL({0}), EVERY_DAY, ALL({31}), ALL({2}))
    with pytest.raises(NeverDue):
        never.last_due(now)


@given(st.timedeltas(timedelta(seconds=1), timedelta(days=40)), INSTANTS)
def test_multiples_of_an_interval_are_the_same_for_whoever_asks(
    every: timedelta, now: datetime
) -> None:
    found = last_multiple(every, now)
    assert found <= now < found + every
    assert last_multiple(every, found) == found
