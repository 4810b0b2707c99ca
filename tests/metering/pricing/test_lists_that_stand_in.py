"""Of the public lists, the next that prices all of a call stands in for one that does not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from metering.domain.layered_prices import LayeredPriceBook
from metering.domain.periods import Period
from metering.domain.price_book import PriceBook, PricedBy
from metering.domain.price_matching import Clause, ListedModel, ListedProvider, PriceList
from metering.domain.prices import Conditions, Price, UnitPrice
from metering.domain.rating import Rating
from metering.domain.usage import UsageEvent
from metering.formats import native
from metering.ingestion import ingest
from metering.pricing.price_imports import import_file
from metering.pricing.rated_events import rated
from tests.metering.events import NOON, NOW, call

SIZES = {"low": 6, "medium": 10, "high": 14}
FLEX = Conditions({"service_tier": "flex"})


def per(price: str, units: int = 1000) -> UnitPrice:
    return UnitPrice(units, Decimal(price))


def book(first: int, **units: UnitPrice) -> PriceBook:
    models = (ListedModel("m", Clause("equals", "m")),)
    tokens = {"input_tokens": per("1"), "output_tokens": per("2")}
    prices = [
        Price(first, "acme", "m", {**tokens, **units}),
        Price(first + 1, "acme", "m", {"output_tokens": per("1")}, conditions=FLEX),
    ]
    edition = PriceList(datetime(2026, 1, 1, tzinfo=UTC), "list", (ListedProvider("acme", models),))
    return PriceBook(prices if first < 20 else prices[:1], [edition])


BY_REQUEST = book(10, requests=per("14"))
BY_SIZE = book(1, **{f"web_searches_{size}": per(str(price)) for size, price in SIZES.items()})
NO_FLEX = book(20, **{f"web_searches_{size}": per(str(price)) for size, price in SIZES.items()})
TOKENS = Decimal("1.4")


def priced(layers: list[tuple[str, PriceBook]], units: dict[str, int], **more: Any) -> Rating:
    used = {name: Decimal(count) for name, count in units.items()}
    event = call(provider="acme", model="m", cached_input_tokens=None, units=used, **more)
    return rated(event, LayeredPriceBook(layers, lists=("one", "two", "three")))


def test_a_fee_by_size_is_asked_of_the_list_that_has_it() -> None:
    both = [("one", BY_REQUEST), ("two", BY_SIZE)]
    assert priced(both, {}).cost == TOKENS + Decimal("0.014")
    low = priced(both, {"web_searches_low": 1})
    assert (low.cost, low.reason) == (TOKENS + Decimal("0.006"), None)
    assert {line.price_id for line in low.lines} == {1}
    alone = priced(both[:1], {"web_searches_low": 1})
    assert (alone.cost, alone.reason) == (TOKENS + Decimal("0.014"), "not_priced:web_searches_low")


def test_a_list_stands_in_as_a_whole_or_not_at_all() -> None:
    both = [("one", BY_REQUEST), ("two", BY_SIZE)]
    rating = priced(both, {"web_searches_low": 1, "code_execution": 1})
    assert {line.price_id for line in rating.lines} == {10}
    assert rating.reason == "not_priced:web_searches_low,not_priced:code_execution"


def test_a_contract_is_never_stood_in_for() -> None:
    rating = priced([("contract:c", BY_REQUEST), ("two", BY_SIZE)], {"web_searches_low": 1})
    assert {line.price_id for line in rating.lines} == {10}
    rating = priced([("one", BY_REQUEST), ("contract:c", BY_SIZE)], {"web_searches_low": 1})
    assert {line.price_id for line in rating.lines} == {10}


def test_the_price_of_the_tier_is_not_given_up_for_it() -> None:
    lists = [("one", BY_REQUEST), ("two", NO_FLEX), ("three", BY_SIZE)]
    searched = {"web_searches_low": 1}
    flex = priced(lists, searched, service_tier="flex")
    assert {line.price_id for line in flex.lines} == {1, 2}
    assert priced(lists[:2], searched, service_tier="flex").reason == "not_priced:web_searches_low"
    standard = priced(lists, searched)
    assert {line.price_id for line in standard.lines} == {20}


def test_a_list_that_has_a_price_for_the_region_goes_before_one_that_has_none() -> None:
    def regional(first: int, *places: tuple[str, str]) -> PriceBook:
        prices = {"input_tokens": per("1"), "output_tokens": per("2")}
        dearer = {unit: per(str(price.base * 2)) for unit, price in prices.items()}
        rows = [Price(first, "acme", "m", prices)] + [
            Price(first + 1 + n, "acme", "m", dearer, conditions=Conditions({key: value}))
            for n, (key, value) in enumerate(places)
        ]
        models = (ListedModel("m", Clause("equals", "m")),)
        at = datetime(2026, 1, 1, tzinfo=UTC)
        return PriceBook(rows, [PriceList(at, "list", (ListedProvider("acme", models),))])

    plain, us, any_ = (
        regional(1),
        regional(10, ("region", "us")),
        regional(20, ("endpoint", "regional")),
    )
    lists = [("one", plain), ("two", us), ("three", any_)]
    for region, cost, row in ((None, 1, 1), ("Global", 1, 1), ("US", 2, 11), ("eu", 2, 21)):
        rating = priced(lists, {}, region=region)
        assert (rating.cost, rating.lines[0].price_id) == (TOKENS * cost, row), region
        month = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
        layered = LayeredPriceBook(lists, lists=("one", "two", "three"))
        call = PricedBy("acme", "m", region=region)
        card = layered.throughout(call, month)
        assert card == layered.look_up(call, NOON)
    contract = [("contract:c", plain), *lists[1:]]
    assert priced(contract, {}, region="us").lines[0].price_id == 1
    assert priced(lists[:2], {}, region="mars").lines[0].price_id == 1


@pytest.mark.django_db
def test_what_perplexity_searched_costs_by_its_size_from_the_usage_object_to_the_page() -> None:
    """genai-prices has a fee for each request, LiteLLM's list one by the size of its context."""
    sizes = {f"search_context_size_{size}": price / 1000 for size, price in SIZES.items()}
    entry = {
        "litellm_provider": "perplexity",
        "mode": "chat",
        "input_cost_per_token": 3e-06,
        "output_cost_per_token": 1.5e-05,
        "search_context_cost_per_query": sizes,
    }
    text = json.dumps({"perplexity/sonar-pro": entry})
    import_file(text, "prices.json", effective_at=datetime(2026, 1, 1, tzinfo=UTC))
    events = []
    for number, size in enumerate((None, "low", "high")):
        usage = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
        sent = {
            "externalRequestId": f"sonar-{number}",
            "provider": "perplexity",
            "model": "sonar-pro",
            "occurredAt": NOON.isoformat(),
            "usage": usage | ({"search_context_size": size} if size else {}),
        }
        payload = json.dumps(sent).encode()
        event = native.parse(payload, place="p", source="test", received_at=NOW)
        assert isinstance(event, UsageEvent)
        events.append(event)
    ingest(events, now=NOW)
    for number, expected in enumerate(("0.0245", "0.0165", "0.0245")):
        out = StringIO()
        call_command("explain_cost", f"sonar-{number}", "--json", stdout=out)
        found = json.loads(out.getvalue())
        assert (found["cost"], found["reason"]) == (expected, None)
        why = " ".join(each["why"] for each in found["books"])
        stood_in = f"no price for web_searches_{('', 'low', 'high')[number]}, so a list that has"
        assert (stood_in in why) == (number > 0)
