"""Reserved capacity costs by the hour, used or not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.capacity import InvalidReservation, Reservation, capacity_costs
from metering.domain.periods import Month, Period
from metering.domain.prices import Conditions, Price, UnitPrice

OCTOBER = Month(2026, 10).period


def hourly(
    price: str, start: datetime | None = None, end: datetime | None = None, id: int = 1
) -> Price:
    terms = {"provisioned_hours": UnitPrice(1, Decimal(price))}
    return Price(id, "azure", "gpt-4o", terms, start, end)


def held(units: int, start: datetime, end: datetime | None = None) -> Reservation:
    return Reservation("azure", "gpt-4o", units, start, end)


def test_a_month_held_costs_all_its_hours() -> None:
    costs = capacity_costs(held(50, datetime(2026, 1, 1, tzinfo=UTC)), [hourly("1")], OCTOBER)
    assert [cost.day for cost in costs] == list(OCTOBER.days())
    assert {cost.unit_hours for cost in costs} == {Decimal(1200)}
    assert sum(cost.amount or 0 for cost in costs) == 31 * 24 * 50


def test_a_day_on_which_it_begins_or_the_price_changes_is_in_parts() -> None:
    begins = datetime(2026, 10, 30, 18, tzinfo=UTC)
    changes = datetime(2026, 10, 31, 12, tzinfo=UTC)
    prices = [hourly("1", None, changes), hourly("2", changes, None, id=2)]
    costs = capacity_costs(held(2, begins), prices, OCTOBER)
    assert [(c.day.day, int(c.unit_hours), int(c.amount or 0), c.price_id) for c in costs] == [
        (30, 12, 12, 1),
        (31, 24, 24, 1),
        (31, 24, 48, 2),
    ]


def test_hours_without_a_price_are_unpriced_and_not_free() -> None:
    other = Price(2, "azure", "gpt-4o", hourly("9").unit_prices, conditions=Conditions({"a": "b"}))
    start = datetime(2026, 10, 31, tzinfo=UTC)
    [cost] = capacity_costs(held(1, start), [other], OCTOBER)
    assert (cost.day, cost.amount, cost.currency) == (date(2026, 10, 31), None, None)
    assert cost.unit_hours == 24


def test_outside_of_what_is_held_there_is_nothing_to_pay() -> None:
    over = held(1, datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC))
    assert capacity_costs(over, [hourly("1")], OCTOBER) == ()


@pytest.mark.parametrize(
    ("units", "start", "end", "message"),
    [
        (0, datetime(2026, 1, 1, tzinfo=UTC), None, "reserve nothing"),
        (1, datetime(2026, 1, 1), None, "time zone"),  # noqa: DTZ001 - what is refused
        (1, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), "never held"),
    ],
)
def test_a_reservation_that_cannot_be_is_refused(
    units: int, start: datetime, end: datetime | None, message: str
) -> None:
    with pytest.raises(InvalidReservation, match=message):
        held(units, start, end)


instants = st.integers(0, 60 * 24 * 40).map(
    lambda minutes: datetime(2026, 9, 25, tzinfo=UTC) + timedelta(minutes=minutes)
)


@given(instants, instants, instants, st.integers(1, 500))
def test_the_parts_make_the_whole(
    start: datetime, end: datetime, change: datetime, units: int
) -> None:
    if start >= end:
        return
    prices = [hourly("0.25", None, change), hourly("0.25", change, None, id=2)]
    costs = capacity_costs(held(units, start, end), prices, OCTOBER)
    inside = max(min(end, OCTOBER.end) - max(start, OCTOBER.start), timedelta(0))
    hours = Decimal(inside // timedelta(minutes=1)) / 60
    assert abs(sum((c.unit_hours for c in costs), Decimal(0)) - hours * units) < Decimal("1e-12")
    total = sum((c.amount or Decimal(0) for c in costs), Decimal(0))
    assert abs(total - hours * units / 4) < Decimal("1e-12")
    assert all(c.day in Period(start, end).days() for c in costs)
