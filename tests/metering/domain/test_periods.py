from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.periods import BUCKET, InvalidPeriod, Month, Period, bucket_of

MONTHS = st.builds(Month, st.integers(1990, 2100), st.integers(1, 12))


@pytest.mark.parametrize(
    "text",
    [
        "2026-13",
        "2026-00",
        "2026-1",
        "October 2026",
        "",
        "2026-10-01",
        "\uff12\uff10\uff12\uff16-10",
        "2026-1\u0660",
    ],
)
def test_what_is_no_month_is_refused_with_the_form_wanted(text: str) -> None:
    with pytest.raises(InvalidPeriod, match="YYYY-MM"):
        Month.parse(text)


@given(MONTHS)
def test_months_follow_each_other_without_gap_or_overlap(month: Month) -> None:
    assert month.period.end == month.next().period.start
    assert month.next().previous() == month
    assert Month.parse(str(month)) == month
    assert len(month.period.days()) == month.last_day().day


@given(
    st.datetimes(
        timezones=st.just(UTC),
        min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
        max_value=datetime(9998, 12, 31),  # noqa: DTZ001
    )
)
def test_every_instant_is_in_one_month_and_one_bucket(instant: datetime) -> None:
    assert instant in Month.of(instant).period
    start = bucket_of(instant)
    assert start <= instant < start + BUCKET
    assert bucket_of(start) == start


def test_a_month_in_kathmandu_starts_on_a_bucket() -> None:
    start = Month.parse("2026-10").in_zone(ZoneInfo("Asia/Kathmandu")).start
    assert start == datetime(2026, 9, 30, 18, 15, tzinfo=UTC)
    assert bucket_of(start) == start


def test_midnight_is_on_a_bucket_everywhere() -> None:
    zones = [zone for zone in available_timezones() if zone.count("/") == 1]
    assert len(zones) > 300
    off = [
        zone
        for zone in zones
        for midnight in [datetime(2026, 10, 1, tzinfo=ZoneInfo(zone))]
        if bucket_of(midnight) != midnight
    ]
    assert off == []


def test_an_empty_or_zoneless_period_cannot_be_built() -> None:
    start = datetime(2026, 10, 1, tzinfo=UTC)
    with pytest.raises(InvalidPeriod, match="ends after it starts"):
        Period(start, start)
    with pytest.raises(InvalidPeriod, match="time zone"):
        Period(start.replace(tzinfo=None), start + timedelta(days=1))
