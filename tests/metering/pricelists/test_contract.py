"""Contracts as CSV: every shape of price that can be stated, and what is refused by its line."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, time
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest

from metering.domain.contract_prices import contract_prices
from metering.domain.price_book import PriceBook
from metering.domain.price_matching import PriceList
from metering.domain.prices import Conditions, DailyWindow, Tier, UnitPrice
from metering.domain.rating import Rating, rate
from metering.pricelists.contract import COLUMNS, parse_contract
from metering.pricelists.parsed import UnreadablePriceList
from tests.metering.events import call

START = datetime(2026, 11, 1, tzinfo=UTC)
FRIDAY_NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
M = 1_000_000


def text_of(*rows: dict[str, str]) -> str:
    said = StringIO()
    writer = csv.DictWriter(said, COLUMNS, restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({"provider": "acme", "model": "m", "valid_from": "2026-11-01", **row})
    return said.getvalue()


def price(unit: str, amount: str, per: str = "1000000", **more: str) -> dict[str, str]:
    return {"unit": unit, "price": amount, "per": per, "currency": "USD", **more}


def own(*rows: dict[str, str]) -> list[tuple[Conditions, dict[str, UnitPrice]]]:
    [term] = parse_contract(text_of(*rows)).terms
    assert term.own is not None
    return [(on, dict(prices)) for on, prices in term.own]


def rated(*rows: dict[str, str], at: datetime = FRIDAY_NOON, **used: Any) -> Rating:
    found = contract_prices(parse_contract(text_of(*rows)).terms, ())
    book = PriceBook(
        [each.price for each in found.prices], [PriceList(START, "contract", found.providers)]
    )
    different: dict[str, Any] = {
        "cached_input_tokens": 0,
        "input_tokens": 1000,
        "output_tokens": 0,
        **used,
    }
    return rate(call(provider="acme", model="m", occurred_at=at, **different), book)


def test_thresholds_that_a_request_meets_or_exceeds() -> None:
    rows = (
        price("input", "1"),
        price("input", "2", above_input_tokens="1000"),
        price("input", "3", from_input_tokens="2000"),
        price("output", "4"),
    )
    assert own(*rows)[0][1]["input_tokens"].tiers == (
        Tier(1000, Decimal(2)),
        Tier(2000, Decimal(3), inclusive=True),
    )
    for tokens, expected in ((1000, "0.001"), (1001, "0.002002"), (2000, "0.006")):
        assert rated(*rows, input_tokens=tokens).cost == Decimal(expected)


def test_a_price_for_what_lies_beyond_of_the_unit_itself() -> None:
    rows = (
        price("input", "1"),
        price("output", "4"),
        price("output", "2", above_units="1000"),
    )
    assert own(*rows)[0][1]["output_tokens"] == UnitPrice(
        M, Decimal(4), (Tier(1000, Decimal(2)),), marginal=True
    )
    rating = rated(*rows, output_tokens=1500)
    assert rating.cost == Decimal("0.001") + Decimal("0.004") + Decimal("0.001")


def test_the_least_that_is_paid_for() -> None:
    rows = (price("input", "1"), price("output", "1"), price("audio_seconds", "6", "60"))
    least = price("audio_seconds", "6", "60", least_units="10")
    used: dict[str, Any] = {
        "units": {"audio_seconds": Decimal(4)},
        "input_tokens": None,
        "output_tokens": None,
    }
    assert rated(*rows, **used).cost == Decimal("0.4")
    rating = rated(*rows[:2], least, **used)
    assert rating.cost == Decimal("1.0")
    assert [line.token_class for line in rating.lines] == [
        "audio_seconds",
        "audio_seconds_to_minimum",
    ]


def test_hours_of_the_week_by_the_clock_of_a_zone() -> None:
    rows = (
        price("input", "2"),
        price("output", "4"),
        price("input", "1", hours="22:00-06:00", weekdays="mon-fri", zone="Asia/Shanghai"),
    )
    window = DailyWindow(time(22), time(6), "Asia/Shanghai", (1, 2, 3, 4, 5))
    assert [on.window for on, _ in own(*rows)] == [None, window]
    used = {"output_tokens": 1000}
    for hour, expected in ((13, "0.006"), (14, "0.005"), (21, "0.005"), (22, "0.006")):
        at = FRIDAY_NOON.replace(hour=hour)
        assert rated(*rows, at=at, **used).cost == Decimal(expected), hour
    saturday = FRIDAY_NOON.replace(day=21, hour=14)
    assert rated(*rows, at=saturday, **used).cost == Decimal("0.006")


def test_a_tier_may_have_hours_and_a_weekend_no_hours_at_all() -> None:
    rows = (
        price("input", "2"),
        price("output", "4"),
        price("input", "0.5", weekdays="sat;sun"),
        price("input", "1", when="service_tier=flex", hours="00:00-06:00"),
    )
    assert rated(*rows, at=FRIDAY_NOON.replace(day=22)).cost == Decimal("0.0005")
    night = FRIDAY_NOON.replace(hour=3)
    assert rated(*rows, at=night, service_tier="flex").cost == Decimal("0.001")
    by_day = rated(*rows, service_tier="flex")
    assert (by_day.cost, by_day.reason) == (Decimal("0.002"), "tier_not_priced:flex")


def test_weekdays_go_round_the_end_of_the_week() -> None:
    [_, (on, _)] = own(price("input", "2"), price("input", "1", weekdays="fri-mon"))
    assert on.window == DailyWindow(time(0), time(0), "UTC", (1, 5, 6, 7))


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"hours": "9-17"}, "line 3: hours '9-17'"),
        ({"hours": "24:00-06:00"}, "line 3: hours '24:00-06:00'"),
        ({"hours": "06:00-06:00"}, "line 3: a daily window"),
        ({"hours": "06:00-07:00", "zone": "Mars/Olympus"}, "line 3: 'Mars/Olympus' is no time"),
        ({"hours": "06:00-07:00", "weekdays": "funday"}, "line 3: weekdays 'funday'"),
        ({"zone": "Asia/Shanghai"}, "line 3: zone 'Asia/Shanghai' of which hours"),
        ({"above_units": "10", "above_input_tokens": "10"}, "line 3: .* give each a row"),
        ({"above_units": "1", "least_units": "10"}, "line 3: .* without a threshold"),
        ({"above_units": "-1"}, "line 3: above_units '-1'"),
        ({"from_input_tokens": "0"}, "line 3: a tier from 0 on"),
        ({"above_input_tokens": "9" * 5000}, "is no whole number"),
        ({"per": "9" * 5000}, "is no whole number"),
        ({"per": "3"}, "line 3: 1 for 3 input_tokens is no finite decimal"),
        ({"price": "1e-50"}, "is no number of at least 0"),
        ({"price": "0." + "3" * 80, "per": "7"}, "no finite decimal"),
        ({"discount_percent": "10"}, "a price of its own and discount_percent"),
        ({"price_of": "n"}, "a price of its own and price_of"),
        ({"unit": "input\x00"}, "unit holds a control character"),
        ({}, "line 3: a second price for input_tokens"),
    ],
)
def test_a_price_that_cannot_be_is_refused_by_its_line(more: dict[str, str], what: str) -> None:
    with pytest.raises(UnreadablePriceList, match=what):
        parse_contract(text_of(price("input", "2"), price("input", "1") | more))


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"discount_percent": "10", "hours": "01:00-02:00"}, "hours is of prices of its own"),
        ({"discount_percent": "10", "least_units": "3"}, "least_units is of prices of its own"),
        ({"discount_percent": "33.3333333"}, "at most 6 decimals"),
        ({"reserved_units": "1", "price": "1", "currency": "USD", "zone": "UTC"}, "zone is of"),
        ({"discount_percent": "10", "valid_from": "2026-11-31"}, "is no date"),
        ({"discount_percent": "10", "valid_from": "2026-11-01T00:00:00"}, "has no offset"),
        ({"discount_percent": "10", "valid_from": "0001-01-01T00:00:00+14:00"}, "of that year"),
        ({"discount_percent": "10", "valid_to": "9999-12-31T23:59:59-14:00"}, "of that year"),
    ],
)
def test_a_row_that_cannot_be_is_refused(row: dict[str, str], what: str) -> None:
    with pytest.raises(UnreadablePriceList, match=what):
        parse_contract(text_of(row))


def test_a_comma_in_a_number_shifts_no_field_in_silence() -> None:
    with pytest.raises(UnreadablePriceList, match="line 2: it has more fields"):
        parse_contract(
            "provider,model,valid_from,unit,price,per,currency\n"
            "acme,m,2026-11-01,input,2,500,1000000,USD\n"
        )
    with pytest.raises(UnreadablePriceList, match="'price' is there twice"):
        parse_contract("provider,model,valid_from,unit,price,price\n")
