"""Prices that cannot be right cannot be built; those that can be say when and on what they hold."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from metering.domain.prices import Conditions, DailyWindow, InvalidPrice, Price, Tier, UnitPrice
from metering.domain.unit_prices import Allowance, Volume

M = 1_000_000
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TWO = UnitPrice(M, Decimal(2))


@pytest.mark.parametrize(
    "amount", [Decimal("-0.01"), Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity")]
)
def test_a_price_is_a_finite_amount_of_at_least_zero(amount: Decimal) -> None:
    with pytest.raises(InvalidPrice, match="a price is a decimal of at least 0"):
        UnitPrice(M, amount)
    with pytest.raises(InvalidPrice, match="a price is a decimal of at least 0"):
        Tier(0, amount)


@pytest.mark.parametrize("starts", [(200, 100), (100, 100)])
def test_tiers_ascend_and_start_once_each(starts: tuple[int, int]) -> None:
    tiers = tuple(Tier(start, Decimal(1)) for start in starts)
    with pytest.raises(InvalidPrice, match="ascending order, each once"):
        UnitPrice(M, Decimal(1), tiers)


def test_a_price_buys_at_least_one_unit_and_a_tier_starts_at_least_at_zero() -> None:
    with pytest.raises(InvalidPrice, match="not per 0"):
        UnitPrice(0, Decimal(1))
    with pytest.raises(InvalidPrice, match="starts at -1"):
        Tier(-1, Decimal(1))


def test_validity_is_aware_and_holds_at_some_instant() -> None:
    with pytest.raises(InvalidPrice, match=r"price of acme/m: .* is never valid"):
        Price(1, "acme", "m", {"input_tokens": TWO}, NOON, NOON)
    with pytest.raises(InvalidPrice, match="time zone"):
        Price(1, "acme", "m", {"input_tokens": TWO}, NOON.replace(tzinfo=None))


def test_an_unknown_unit_names_its_place() -> None:
    with pytest.raises(InvalidPrice, match=r"price of acme/m: smells is no known unit"):
        Price(1, "acme", "m", {"smells": TWO})


def test_conditions_are_lower_case() -> None:
    with pytest.raises(InvalidPrice, match="compared in lower case"):
        Conditions({"service_tier": "Flex"})


def test_a_window_holds_some_instants_by_the_clock_of_one_zone() -> None:
    with pytest.raises(InvalidPrice, match="holds no instant"):
        DailyWindow(time(4), time(4))
    with pytest.raises(InvalidPrice, match="holds no instant"):
        DailyWindow(time(0), time(0))
    with pytest.raises(InvalidPrice, match="without a zone"):
        DailyWindow(time(1, tzinfo=UTC), time(4, tzinfo=UTC))


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd"])
def test_a_window_is_in_a_zone_that_exists(zone: str) -> None:
    with pytest.raises(InvalidPrice, match="is no time zone"):
        DailyWindow(time(1), time(4), zone)


@pytest.mark.parametrize("weekdays", [(0,), (8,), (2, 1), (1, 1)])
def test_weekdays_are_those_there_are_each_once_and_in_order(weekdays: tuple[int, ...]) -> None:
    with pytest.raises(InvalidPrice, match=r"from 1 .Monday. to 7"):
        DailyWindow(time(1), time(4), weekdays=weekdays)


FRIDAY, SATURDAY, SUNDAY = (datetime(2026, 11, day, tzinfo=UTC) for day in (20, 21, 22))


def test_a_window_that_wraps_belongs_to_the_day_it_starts_on() -> None:
    night = DailyWindow(time(22), time(6), weekdays=(5,))
    assert night.holds_at(FRIDAY.replace(hour=22))
    assert night.holds_at(SATURDAY.replace(hour=5, minute=59))
    assert not night.holds_at(SATURDAY.replace(hour=6))
    assert not night.holds_at(FRIDAY.replace(hour=5))
    assert not night.holds_at(SATURDAY.replace(hour=22))
    sunday_night = DailyWindow(time(22), time(6), weekdays=(7,))
    assert sunday_night.holds_at(SUNDAY + timedelta(days=1, hours=3))


def test_from_midnight_to_midnight_is_the_whole_of_its_weekdays() -> None:
    weekend = DailyWindow(time(0), time(0), weekdays=(6, 7))
    assert [weekend.holds_at(FRIDAY + timedelta(hours=h)) for h in (23, 24, 71, 72)] == [
        *(False, True, True, False)
    ]


def test_a_window_follows_the_clock_of_its_zone() -> None:
    office = DailyWindow(time(9), time(17), "America/New_York")
    assert office.holds_at(datetime(2026, 7, 1, 13, tzinfo=UTC)), "09:00 in summer"
    assert not office.holds_at(datetime(2026, 12, 1, 13, tzinfo=UTC)), "08:00 in winter"
    shanghai = DailyWindow(time(0), time(8), "Asia/Shanghai", weekdays=(6,))
    assert shanghai.holds_at(FRIDAY.replace(hour=16)), "Saturday has begun there"
    assert not shanghai.holds_at(SATURDAY.replace(hour=16))


def test_validity_is_half_open() -> None:
    price = Price(1, "acme", "m", {"input_tokens": TWO}, NOON, NOON + timedelta(days=1))
    assert price.holds_at(NOON)
    assert not price.holds_at(NOON - timedelta(microseconds=1))
    assert not price.holds_at(NOON + timedelta(days=1))


@given(st.times(), st.times(), st.times())
def test_a_window_and_its_complement_share_the_day(start: time, end: time, clock: time) -> None:
    if start == end:
        return
    assert (clock in DailyWindow(start, end)) != (clock in DailyWindow(end, start))
    assert start in DailyWindow(start, end)
    assert end not in DailyWindow(start, end)


def test_a_threshold_is_exclusive_unless_it_says_otherwise() -> None:
    price = UnitPrice(M, Decimal(1), (Tier(200_000, Decimal(2), inclusive=True),))
    assert [price.at(total) for total in (199_999, 200_000)] == [1, 2]
    assert UnitPrice(M, Decimal(1), (Tier(200_000, Decimal(2)),)).at(200_000) == 1
    with pytest.raises(InvalidPrice, match="nothing to the base price"):
        Tier(0, Decimal(1), inclusive=True)
    with pytest.raises(InvalidPrice, match="ascending order, each once"):
        UnitPrice(M, Decimal(1), (Tier(9, Decimal(2)), Tier(10, Decimal(3), inclusive=True)))


def test_what_prices_nothing_is_no_part_of_a_price() -> None:
    one = Decimal(1)
    with pytest.raises(InvalidPrice, match="marginal price has tiers"):
        UnitPrice(M, one, marginal=True)
    for nothing in (Decimal(0), Decimal(-1), Decimal("NaN")):
        with pytest.raises(InvalidPrice, match=r"minimum of .* is none"):
            UnitPrice(M, one, minimum=nothing)
        with pytest.raises(InvalidPrice, match=r"allowance of .* is none"):
            Allowance(nothing, "day")
        with pytest.raises(InvalidPrice, match="starts above 0"):
            Volume(nothing, one)
    with pytest.raises(InvalidPrice, match="every day or month"):
        Allowance(one, "week")  # type: ignore[arg-type]
    free, beyond = Allowance(one, "day"), (Volume(one, one),)
    with pytest.raises(InvalidPrice, match="an allowance or volumes"):
        UnitPrice(M, one, allowance=free, volumes=beyond)
    with pytest.raises(InvalidPrice, match="neither tiers nor a minimum"):
        UnitPrice(M, one, (Tier(1, one),), allowance=free)
    with pytest.raises(InvalidPrice, match="neither tiers nor a minimum"):
        UnitPrice(M, one, minimum=one, volumes=beyond)
    with pytest.raises(InvalidPrice, match="volumes start at 5, 5"):
        UnitPrice(M, one, volumes=(Volume(Decimal(5), one), Volume(Decimal(5), one)))


def test_words_that_nobody_writes_are_refused() -> None:
    written = UnitPrice(M, Decimal(1), (Tier(5, Decimal(2)),)).as_json()
    with pytest.raises(InvalidPrice, match="request or marginal"):
        UnitPrice.from_json({**written, "scope": "graduated"})
    with pytest.raises(InvalidPrice, match="inclusive or not"):
        UnitPrice.from_json({**written, "tiers": [[5, "2", "maybe"]]})


@given(
    st.lists(st.integers(0, 10**6), unique=True, max_size=4).map(sorted), st.integers(0, 2 * 10**6)
)
def test_the_highest_tier_that_the_total_exceeds_prices_everything(
    starts: list[int], total: int
) -> None:
    price = UnitPrice(M, Decimal(0), tuple(Tier(s, Decimal(s + 1)) for s in starts))
    exceeded = [start for start in starts if total > start]
    assert price.at(total) == (Decimal(exceeded[-1] + 1) if exceeded else 0)


amounts = st.decimals(0, 10**6, allow_nan=False, places=9)
above_zero = st.decimals(1, 10**6, allow_nan=False, places=3)
tiers = st.lists(st.integers(1, 10**6), unique_by=lambda start: start // 2, max_size=3).flatmap(
    lambda starts: st.tuples(
        *(st.builds(Tier, st.just(s), amounts, st.booleans()) for s in sorted(starts))
    )
)
volumes = st.lists(above_zero, unique=True, max_size=3).flatmap(
    lambda starts: st.tuples(*(st.builds(Volume, st.just(s), amounts) for s in sorted(starts)))
)
allowances = st.builds(
    Allowance, above_zero, st.sampled_from(["day", "month"]), st.sampled_from(["", "searches"])
)


@st.composite
def unit_prices(draw: st.DrawFn) -> UnitPrice:
    per, base = draw(st.sampled_from([1, 1000, 3600, M])), draw(amounts)
    if draw(st.booleans()):
        allowance = draw(st.none() | allowances)
        graduated = () if allowance else draw(volumes)
        return UnitPrice(per, base, allowance=allowance, volumes=graduated)
    steps = draw(tiers)
    assume(all(later.above > earlier.above for earlier, later in pairwise(steps)))
    marginal = bool(steps) and draw(st.booleans())
    return UnitPrice(per, base, steps, marginal, draw(st.none() | above_zero))


windows = st.tuples(
    st.times(),
    st.times(),
    st.sampled_from(["UTC", "Asia/Shanghai"]),
    st.sets(st.integers(1, 7)).map(lambda days: tuple(sorted(days))),
).filter(lambda parts: parts[0] != parts[1])
conditions = st.builds(
    Conditions,
    st.dictionaries(st.sampled_from(["service_tier", "speed"]), st.sampled_from(["flex", "fast"])),
    st.none() | windows.map(lambda parts: DailyWindow(*parts)),
)


@given(unit_prices(), conditions)
def test_what_is_written_down_is_read_back(price: UnitPrice, on: Conditions) -> None:
    assert UnitPrice.from_json(price.as_json()) == price
    assert Conditions.from_json(on.as_json()) == on
