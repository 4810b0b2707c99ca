"""Prices that cannot be right cannot be built; those that can be say when and on what they hold."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.prices import Conditions, DailyWindow, InvalidPrice, Price, Tier, UnitPrice

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


def test_a_window_holds_some_instants_and_is_in_utc() -> None:
    with pytest.raises(InvalidPrice, match="holds no instant"):
        DailyWindow(time(4), time(4))
    with pytest.raises(InvalidPrice, match="in UTC"):
        DailyWindow(time(1, tzinfo=UTC), time(4, tzinfo=UTC))


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
unit_prices = st.builds(
    UnitPrice,
    st.sampled_from([1, 1000, 3600, M]),
    amounts,
    st.lists(st.integers(0, 10**6), unique=True, max_size=3).flatmap(
        lambda starts: st.tuples(*(st.builds(Tier, st.just(s), amounts) for s in sorted(starts)))
    ),
)
windows = st.tuples(st.times(), st.times()).filter(lambda pair: pair[0] != pair[1])
conditions = st.builds(
    Conditions,
    st.dictionaries(st.sampled_from(["service_tier", "speed"]), st.sampled_from(["flex", "fast"])),
    st.none() | windows.map(lambda pair: DailyWindow(*pair)),
)


@given(unit_prices, conditions)
def test_what_is_written_down_is_read_back(price: UnitPrice, on: Conditions) -> None:
    assert UnitPrice.from_json(price.as_json()) == price
    assert Conditions.from_json(on.as_json()) == on
