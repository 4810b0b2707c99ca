"""Reserved capacity costs by the hour, used or not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from metering.domain.capacity import CapacityCost, capacity_costs
from metering.domain.commitments import Commitment
from metering.domain.periods import Month, Period

OCTOBER = Month(2026, 10).period


def held(units: int, start: datetime, end: datetime | None = None, price: str = "1") -> Commitment:
    return Commitment(
        kind="reserved_capacity",
        provider="azure",
        model="gpt-4o",
        units=units,
        price=Decimal(price),
        currency="USD",
        valid_from=start,
        valid_to=end,
    )


def test_a_month_held_costs_all_its_hours() -> None:
    """Units x price an hour x hours, by UTC day, as a proxy's roll-up of PTUs has it."""
    costs = capacity_costs(held(50, datetime(2026, 1, 1, tzinfo=UTC)), OCTOBER)
    assert [cost.day for cost in costs] == list(OCTOBER.days())
    assert {cost.unit_hours for cost in costs} == {Decimal(1200)}
    assert sum(cost.amount for cost in costs) == 31 * 24 * 50


def test_a_day_on_which_it_begins_counts_from_that_hour() -> None:
    costs = capacity_costs(held(2, datetime(2026, 10, 30, 18, tzinfo=UTC), price="1.5"), OCTOBER)
    assert costs == (
        CapacityCost(date(2026, 10, 30), Decimal(12), Decimal(18)),
        CapacityCost(date(2026, 10, 31), Decimal(48), Decimal(72)),
    )


def test_outside_of_what_is_held_there_is_nothing_to_pay() -> None:
    over = held(1, datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC))
    assert capacity_costs(over, OCTOBER) == ()


instants = st.integers(0, 60 * 24 * 40).map(
    lambda minutes: datetime(2026, 9, 25, tzinfo=UTC) + timedelta(minutes=minutes)
)


@given(st.lists(instants, min_size=3, max_size=3, unique=True).map(sorted), st.integers(1, 500))
def test_the_parts_make_the_whole(edges: list[datetime], units: int) -> None:
    start, change, end = edges
    costs = [
        *capacity_costs(held(units, start, change, "0.25"), OCTOBER),
        *capacity_costs(held(units, change, end, "0.25"), OCTOBER),
    ]
    inside = max(min(end, OCTOBER.end) - max(start, OCTOBER.start), timedelta(0))
    hours = Decimal(inside // timedelta(minutes=1)) / 60
    assert abs(sum((c.unit_hours for c in costs), Decimal(0)) - hours * units) < Decimal("1e-12")
    total = sum((c.amount for c in costs), Decimal(0))
    assert abs(total - hours * units / 4) < Decimal("1e-12")
    assert all(c.day in Period(start, end).days() for c in costs)
