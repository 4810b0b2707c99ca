from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.domain.cycles import Cycle, InvalidTerm, Term, cycles_ending_in
from metering.domain.periods import BUCKET, Month, bucket_of

ZONES = (
    "UTC",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "America/Los_Angeles",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
    "America/Havana",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Asia/Beirut",
    "America/St_Johns",
)
LONG_AGO = date(2000, 1, 1)
MONTHS = st.builds(Month, st.integers(2010, 2030), st.integers(1, 12))


def only(cycles: tuple[Cycle, ...]) -> Cycle:
    (cycle,) = cycles
    return cycle


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "anchor", "start", "end"),
    [
        ("UTC", 1, "2026-10-01T00:00", "2026-11-01T00:00"),
        ("UTC", 15, "2026-09-15T00:00", "2026-10-15T00:00"),
        ("UTC", 31, "2026-09-30T00:00", "2026-10-31T00:00"),
        ("Asia/Kolkata", 1, "2026-09-30T18:30", "2026-10-31T18:30"),
        ("Asia/Kolkata", 15, "2026-09-14T18:30", "2026-10-14T18:30"),
        ("Asia/Kolkata", 31, "2026-09-29T18:30", "2026-10-30T18:30"),
        ("Asia/Kathmandu", 1, "2026-09-30T18:15", "2026-10-31T18:15"),
        ("Asia/Kathmandu", 15, "2026-09-14T18:15", "2026-10-14T18:15"),
        ("Asia/Kathmandu", 31, "2026-09-29T18:15", "2026-10-30T18:15"),
        ("America/Los_Angeles", 1, "2026-10-01T07:00", "2026-11-01T07:00"),
        ("America/Los_Angeles", 15, "2026-09-15T07:00", "2026-10-15T07:00"),
        ("America/Los_Angeles", 31, "2026-09-30T07:00", "2026-10-31T07:00"),
    ],
)
def test_the_cycle_that_ends_in_october(zone: str, anchor: int, start: str, end: str) -> None:
    term = Term(LONG_AGO, None, zone, anchor)
    cycle = only(cycles_ending_in(Month(2026, 10), term))
    assert cycle.period.start == utc(start)
    assert cycle.period.end == utc(end)


def test_a_cycle_across_a_clock_change_has_an_hour_more() -> None:
    cycle = only(cycles_ending_in(Month(2026, 11), Term(LONG_AGO, None, "America/Los_Angeles", 1)))
    assert cycle.period.end - cycle.period.start == timedelta(days=30, hours=1)
    assert cycle.days == cycle.full_days == 30


def test_a_midnight_that_never_was_is_the_instant_of_the_change() -> None:
    """In Cairo on 2026-04-24 the clock goes from 23:59:59 to 01:00."""
    cycle = only(cycles_ending_in(Month(2026, 5), Term(LONG_AGO, None, "Africa/Cairo", 24)))
    start = cycle.period.start
    assert start.astimezone(ZoneInfo("Africa/Cairo")).isoformat() == "2026-04-24T01:00:00+03:00"
    before = (start - timedelta(seconds=1)).astimezone(ZoneInfo("Africa/Cairo"))
    assert before.date() == date(2026, 4, 23)


def test_the_first_cycle_begins_with_the_subscription() -> None:
    term = Term(date(2026, 10, 10), None, "UTC", 1)
    cycle = only(cycles_ending_in(Month(2026, 10), term))
    assert (cycle.first_day, cycle.end_day) == (date(2026, 10, 10), date(2026, 11, 1))
    assert (cycle.days, cycle.full_days) == (22, 31)
    assert cycles_ending_in(Month(2026, 9), term) == ()


def test_a_subscription_that_ends_after_its_last_turnover_has_two_cycles_in_the_month() -> None:
    term = Term(LONG_AGO, date(2026, 10, 20), "UTC", 15)
    whole, rest = cycles_ending_in(Month(2026, 10), term)
    assert (whole.first_day, whole.end_day, whole.full_days) == (
        date(2026, 9, 15),
        date(2026, 10, 15),
        30,
    )
    assert (rest.first_day, rest.end_day, rest.days, rest.full_days) == (
        date(2026, 10, 15),
        date(2026, 10, 20),
        5,
        31,
    )
    assert cycles_ending_in(Month(2026, 11), term) == ()


@pytest.mark.parametrize(
    ("first_day", "end_day", "zone", "anchor", "message"),
    [
        (date(2026, 1, 1), None, "UTC", 0, "use 1 to 31"),
        (date(2026, 1, 1), None, "UTC", 32, "use 1 to 31"),
        (date(2026, 1, 1), date(2026, 1, 1), "UTC", 1, "not after it starts"),
        (date(2026, 1, 1), None, "Mars/Olympus", 1, "no time zone"),
        (date(2026, 1, 1), None, "../etc/passwd", 1, "no time zone"),
    ],
)
def test_a_term_that_cannot_be_right_is_refused(
    first_day: date, end_day: date | None, zone: str, anchor: int, message: str
) -> None:
    with pytest.raises(InvalidTerm, match=message):
        Term(first_day, end_day, zone, anchor)


def test_a_cycle_is_no_longer_than_a_full_one() -> None:
    with pytest.raises(InvalidTerm, match="31 days cannot be part of a cycle of 30"):
        Cycle(date(2026, 10, 1), date(2026, 11, 1), "UTC", 30)


TERMS = st.builds(
    Term,
    st.dates(date(2009, 6, 1), date(2011, 6, 1)),
    st.none() | st.dates(date(2011, 6, 2), date(2012, 6, 1)),
    st.sampled_from(ZONES),
    st.integers(1, 31),
)


@given(TERMS)
def test_cycles_part_the_term_without_gap_or_overlap(term: Term) -> None:
    """Over 2009 to 2012, in which Samoa skipped a day and clocks changed at midnight."""
    month = Month(2009, 5)
    cycles: list[Cycle] = []
    while month < Month(2012, 7):
        cycles.extend(cycles_ending_in(month, term))
        month = month.next()
    assert cycles[0].first_day == term.first_day
    assert all(a.end_day == b.first_day for a, b in pairwise(cycles))
    assert all(a.period.end == b.period.start for a, b in pairwise(cycles))
    if term.end_day is not None:
        assert cycles[-1].end_day == term.end_day


@given(MONTHS, st.sampled_from(ZONES), st.integers(1, 31))
def test_the_last_instant_of_a_cycle_lies_in_its_month(
    month: Month, zone: str, anchor: int
) -> None:
    cycle = only(cycles_ending_in(month, Term(LONG_AGO, None, zone, anchor)))
    last = (cycle.period.end - timedelta(microseconds=1)).astimezone(ZoneInfo(zone))
    assert (last.year, last.month) == (month.year, month.month)
    assert 28 <= cycle.days == cycle.full_days <= 31


@given(MONTHS, st.sampled_from(ZONES), st.integers(1, 31))
def test_cycles_begin_on_the_edge_of_a_rollup_bucket(month: Month, zone: str, anchor: int) -> None:
    cycle = only(cycles_ending_in(month, Term(LONG_AGO, None, zone, anchor)))
    assert bucket_of(cycle.period.start) == cycle.period.start
    assert (cycle.period.end - cycle.period.start) % BUCKET == timedelta(0)
