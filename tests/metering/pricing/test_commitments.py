"""What hangs on the month, from a contract's file to what a month comes to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.urls import reverse

from metering.domain.cells import Cell, MeteredCell, Owner
from metering.domain.contract_terms import InvalidTerm
from metering.domain.period_costs import PeriodCosts
from metering.domain.periods import Month
from metering.domain.prices import InvalidPrice
from metering.domain.rating import rate
from metering.ingestion import ingest
from metering.models import PriceRow
from metering.models.commitments import CommitmentRow
from metering.pricelists.parsed import UnreadablePriceList
from metering.pricing.catalogue import load_book
from metering.pricing.commitments import commitments_of
from metering.pricing.period_costs import period_costs
from metering.pricing.price_imports import ImportResult, import_contract, import_file
from tests.admin_pages import browser, page_of, person, text
from tests.metering.events import NOON, call

pytestmark = pytest.mark.django_db

NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
OCTOBER = Month(2026, 10)
HEAD = (
    "provider,model,valid_from,valid_to,unit,price,per,currency,free_units,free_every,free_group,"
    "above_month_units,reserved_units,monthly_minimum\n"
)
SEARCHES = "gemini,gemini-2.5-flash,2026-10-01,,web_searches,14,1000,USD,1500,day,g,,,"
INPUT = "openai,gpt-4o,2026-10-01,,input,2,1000000,USD,,,,,,"
CACHED = "openai,gpt-4o,2026-10-01,,cache_read,1,1000000,USD,,,,,,"
OUTPUT = "openai,gpt-4o,2026-10-01,,output,8,1000000,USD,,,,,,"
BEYOND = "openai,gpt-4o,2026-10-01,,input,1,1000000,USD,,,,1000000000,,"
RESERVED = "azure,gpt-4o,2026-10-16,,,2,,USD,,,,,50,"
MINIMUM = "openai,*,2026-10-01,2027-01-01,,,,USD,,,,,,5000"


def contract(*rows: str, name: str = "acme", **how: datetime) -> ImportResult:
    now = how.get("now", NOVEMBER)
    return import_contract(
        HEAD + "\n".join(rows), "terms.csv", book=f"contract:{name}", now=now, confirmed=True
    )


def reading(
    provider: str, model: str, token_class: str, quantity: int, day: int = 5, tier: str = "standard"
) -> MeteredCell:
    cell = Cell(provider, "", date(2026, 10, day), model, token_class, tier)
    return MeteredCell(cell, Owner("a"), Decimal(quantity), Decimal(1), "USD", 1)


def found(cells: Iterable[MeteredCell] = ()) -> PeriodCosts:
    return period_costs(OCTOBER, cells)


def test_free_units_are_a_credit_of_the_day_and_no_event_is_cheaper() -> None:
    contract(SEARCHES)
    event = call(
        provider="gemini",
        model="gemini-2.5-flash",
        input_tokens=1000,
        cached_input_tokens=None,
        output_tokens=200,
        units={"web_search": Decimal(1)},
    )
    lines = {line.token_class: line.amount for line in rate(event, load_book()).lines}
    assert lines["web_search"] == Decimal("0.014")
    used = [
        reading("gemini", "gemini-2.5-flash", "web_search", 2000, day=5),
        reading("gemini", "gemini-2.5-flash", "web_search", 600, day=6),
    ]
    days: list[tuple[object, ...]] = [
        (each.start.day, each.quantity, each.amount) for each in found(used).adjustments
    ]
    assert days == [(5, 1500, -21), (6, 600, Decimal("-8.4"))]


def test_what_one_public_list_says_is_free_is_free_at_the_same_price_of_another() -> None:
    """genai-prices goes before LiteLLM's list, which alone knows of free searches."""
    listed = {
        "gemini/gemini-2.5-flash": {
            "litellm_provider": "gemini",
            "mode": "chat",
            "input_cost_per_token": 3e-07,
            "output_cost_per_token": 2.5e-06,
            "search_context_cost_per_query": {"search_context_size_low": 0.035},
            "search_free_requests": {"count": 1500, "period": "day", "shared_group": "g"},
        }
    }
    import_file(json.dumps(listed), "prices.json", effective_at=NOON)
    later = reading("gemini", "gemini-2.5-flash", "web_search", 1600, day=NOON.day + 1)
    [credit] = found([later]).adjustments
    assert (credit.quantity, credit.amount) == (Decimal(1500), Decimal("-52.5"))
    contract(SEARCHES.replace(",1500,day,g,", ",,,,"))
    assert found([later]).adjustments == ()


def test_a_volume_price_is_of_what_the_month_uses_beyond_it() -> None:
    contract(INPUT, CACHED, OUTPUT, BEYOND)
    used = [
        reading("openai", "gpt-4o", "input", 800_000_000, day=5),
        reading("openai", "gpt-4o", "input", 500_000_000, day=20),
        reading("openai", "gpt-4o", "cache_read", 10**10, day=20),
    ]
    [volume] = found(used).adjustments
    assert (volume.cause, volume.start, volume.unit) == (
        "volume_price",
        date(2026, 10, 1),
        "input_tokens",
    )
    assert (volume.quantity, volume.amount) == (Decimal(300_000_000), Decimal(-300))
    assert [cell.day.day for cell in volume.cells] == [5, 20]
    assert rate(call(model="gpt-4o", occurred_at=NOON), load_book()).cost == Decimal("0.0033")


def test_a_class_without_a_price_of_its_own_counts_to_the_volume_of_what_holds_it() -> None:
    contract(INPUT.replace("gpt-4o", "own"), OUTPUT.replace("gpt-4o", "own"),
             BEYOND.replace("gpt-4o", "own"))  # fmt: skip
    used = [
        reading("openai", "own", "input", 900_000_000),
        reading("openai", "own", "cache_read", 900_000_000),
        reading("openai", "own", "output", 10**10),
    ]
    [volume] = found(used).adjustments
    assert (volume.quantity, volume.amount) == (Decimal(800_000_000), Decimal(-800))


def test_capacity_is_held_by_the_hour_and_a_minimum_by_the_month() -> None:
    result = contract(RESERVED, MINIMUM)
    assert result.commitments == (
        "new     reserved capacity of azure/gpt-4o: 50 at 2 USD an hour from 2026-10-16",
        "new     monthly minimum of openai: 5000 USD a month from 2026-10-01 to 2027-01-01",
    )
    costs = found()
    [reserved] = costs.reserved
    assert sum(cost.amount for cost in reserved.costs) == 16 * 24 * 50 * 2
    assert [each.price for each in costs.minimums] == [5000]
    assert costs.of("azure", "USD") == PeriodCosts(OCTOBER, (), (reserved,), ())
    assert costs.digest != found().of("other", "USD").digest == ""
    assert PriceRow.objects.filter(book="contract:acme").count() == 0


def test_what_is_owed_and_what_is_free_can_be_seen_in_the_admin() -> None:
    contract(SEARCHES, INPUT, CACHED, OUTPUT, BEYOND, RESERVED, MINIMUM)
    client = browser(person("viewer", "viewer"))
    listed = text(client.get(reverse("admin:metering_commitmentrow_changelist")))
    assert "reserved capacity" in listed
    assert "monthly minimum" in listed
    for row in CommitmentRow.objects.all():
        assert "contract:acme" in text(client.get(page_of(row)))
    for model, said in (
        ("gemini-2.5-flash", "the first 1,500 of a day are free, shared by g"),
        ("gpt-4o", "1 beyond 1,000,000,000 a month"),
    ):
        [price] = PriceRow.objects.filter(book="contract:acme", model_id=model)
        assert said in text(client.get(page_of(price)))


def test_what_a_later_file_says_holds_from_its_date_and_twice_is_harmless() -> None:
    contract(RESERVED, MINIMUM)
    again = contract(RESERVED, MINIMUM, now=datetime(2026, 11, 3, tzinfo=UTC))
    assert again.commitments == ()
    assert CommitmentRow.objects.count() == 2
    more = RESERVED.replace("2026-10-16", "2026-10-21").replace(",50,", ",80,")
    contract(more, now=datetime(2026, 11, 4, tzinfo=UTC))
    held = [(each.units, each.valid_from.day) for each in commitments_of(OCTOBER.period)]
    assert held == [(1, 1), (50, 16), (80, 21)]
    [ended] = CommitmentRow.objects.filter(units=50)
    assert ended.valid_to == datetime(2026, 10, 21, tzinfo=UTC)


def test_two_contracts_cannot_commit_to_one_thing_at_a_time() -> None:
    contract(MINIMUM)
    with pytest.raises(InvalidTerm, match="another contract already commits"):
        contract(MINIMUM.replace("5000", "9000"), name="other")
    contract(MINIMUM.replace("2026-10", "2026-09").replace("2027-01", "2026-10"), name="other")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (RESERVED.replace(",50,", ",x,"), "line 2: reserved_units 'x' is no whole number"),
        (RESERVED.replace(",50,", ",0,"), "line 2: .* 0 units reserve nothing"),
        (RESERVED.replace("gpt-4o", "*"), "line 2: .* name the model"),
        (RESERVED.replace(",2,,USD", ",-2,,USD"), "line 2: price '-2' is no number"),
        (RESERVED.replace(",2,,USD", ",2,1000,USD"), "line 2: per: the price is for one unit"),
        (MINIMUM.replace("2026-10-01", "2026-10-02"), "first day of a month"),
        (MINIMUM.replace("USD", "XYZ"), "line 2: 'XYZ' is no ISO 4217"),
        (MINIMUM + "x", "line 2: monthly_minimum '5000x' is no number"),
        (SEARCHES.replace("day", "week"), "line 2: free_every 'week': it is day or month"),
        (SEARCHES.replace(",1500,", ",,"), "line 2: how much is free"),
        (SEARCHES.replace(",1500,", ",0,"), "line 2: an allowance of 0 is none"),
        (BEYOND, "a price above a threshold and none below it"),
    ],
)
def test_a_contract_that_cannot_be_right_is_refused_by_its_line(row: str, message: str) -> None:
    with pytest.raises((UnreadablePriceList, InvalidPrice), match=message):
        contract(row)
    assert CommitmentRow.objects.count() == 0


@pytest.mark.parametrize(
    "change",
    [
        "units = 0",
        "price = -1",
        "price = 'NaN'",
        "model_id = ''",
        "kind = 'other'",
        "valid_to = valid_from - interval '1 day'",
    ],
)
def test_what_cannot_be_right_cannot_be_stored_or_changed_by_sql_either(change: str) -> None:
    contract(RESERVED)
    column, _, value = change.partition(" = ")
    columns = [
        *("book", "kind", "provider", "model_id", "units", "price", "currency", "valid_from"),
        *("valid_to", "opened_by_id"),
    ]
    chosen = ", ".join(value if name == column else name for name in columns)
    other = chosen.replace("model_id", "'another'")
    with connection.cursor() as cursor:
        with pytest.raises(IntegrityError), transaction.atomic():
            cursor.execute(
                f"INSERT INTO commitment ({', '.join(columns)}) SELECT {other} FROM commitment"
            )
        with pytest.raises(DatabaseError), transaction.atomic():
            cursor.execute(f"UPDATE commitment SET {change}")
        with pytest.raises(DatabaseError), transaction.atomic():
            cursor.execute("DELETE FROM commitment")


@pytest.mark.parametrize(
    "price",
    [
        '{"per": 1, "base": "1", "allowance": {"quantity": "0", "every": "day"}}',
        '{"per": 1, "base": "1", "allowance": {"quantity": "9", "every": "week"}}',
        '{"per": 1, "base": "1", "volumes": [["5", "1"], ["5", "2"]]}',
        '{"per": 1, "base": "1", "volumes": [["5", "-1"]]}',
        '{"per": 1, "base": "1", "volumes": [["0", "1"]]}',
        '{"per": 1, "base": "1", "volumes": [["5", "1"]], "tiers": [[5, "2"]]}',
    ],
)
def test_a_price_by_the_period_that_cannot_be_right_cannot_be_stored(price: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT prices_can_be_right(jsonb_build_object('x', %s::jsonb))", [price])
        assert cursor.fetchone() == (False,)
        right = '{"per": 1, "base": "1", "volumes": [["5", "1"], ["6", "0.5"]]}'
        cursor.execute("SELECT prices_can_be_right(jsonb_build_object('x', %s::jsonb))", [right])
        assert cursor.fetchone() == (True,)


BY_REGION = """\
provider,model,valid_from,unit,price,per,currency,free_units,free_every,when,hours,zone
acme,m,2026-10-01,input,1,1000000,USD,,,,,
acme,m,2026-10-01,output,2,1000000,USD,,,,,
acme,m,2026-10-01,web_search,10,1000,USD,,,,,
acme,m,2026-10-01,web_search,10,1000,USD,100,month,region=eu,,
acme,n,2026-10-01,input,1,1000000,USD,,,,,
acme,n,2026-10-01,output,2,1000000,USD,,,,,
acme,n,2026-10-01,web_search,10,1000,USD,,,,,
acme,n,2026-10-01,web_search,5,1000,USD,30,day,,00:00-06:00,Asia/Shanghai
"""


def test_free_units_of_a_region_or_at_some_hours_are_found_in_the_events() -> None:
    """A cell of the month knows neither, and grants nothing to who was elsewhere."""
    import_contract(BY_REGION, "c.csv", book="contract:acme", now=NOVEMBER, confirmed=True)
    at = datetime(2026, 10, 5, 17, tzinfo=UTC)  # one in the morning in Shanghai
    searched: list[tuple[str, str | None, int, datetime]] = [
        ("m", "EU", 70, at),
        ("m", "eu", 50, at + timedelta(days=9)),
        ("m", "us", 1000, at),
        ("m", None, 1000, at),
        ("n", None, 40, at),
        ("n", None, 500, at - timedelta(hours=2)),
    ]
    events = [
        call(
            external_request_id=str(number),
            provider="acme",
            model=model,
            region=region,
            occurred_at=when,
            cached_input_tokens=None,
            units={"web_search": Decimal(count)},
        )
        for number, (model, region, count, when) in enumerate(searched)
    ]
    assert {each.outcome for each in ingest(events, now=NOVEMBER)} == {"accepted"}
    granted = [
        (each.cells[0].model, each.start, each.quantity, each.amount)
        for each in period_costs(OCTOBER).adjustments
    ]
    assert granted == [
        ("m", date(2026, 10, 1), Decimal(100), Decimal(-1)),
        ("n", date(2026, 10, 5), Decimal(30), Decimal("-0.15")),
    ]
