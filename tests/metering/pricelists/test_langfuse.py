"""Langfuse's price list: patterns, tiers by priority, thresholds, and whose a model is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from metering.domain.price_book import PriceBook
from metering.domain.rating import Rating, rate
from metering.pricelists.langfuse import parse_langfuse
from metering.pricelists.parsed import ParsedList, UnreadablePriceList
from tests.metering.events import call

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def tier(prices: dict[str, Any], priority: int = 0, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {
        "isDefault": not conditions,
        "priority": priority,
        "conditions": list(conditions),
        "prices": prices,
    }


def model(*tiers: dict[str, Any], **different: Any) -> dict[str, Any]:
    plain = {"modelName": "m", "matchPattern": "(?i)^(openai/)?(m)$", "tokenizerId": "openai"}
    return {**plain, "pricingTiers": list(tiers), **different}


def parsed(*models: Any) -> ParsedList:
    return parse_langfuse(json.dumps(models), source="Langfuse", effective_at=AT)


def rated(found: ParsedList, **different: Any) -> Rating:
    usage = {"model": "m", "occurred_at": AT, "cached_input_tokens": 0}
    return rate(call(**{**usage, **different}), PriceBook(found.prices, [found.rules]))


FLEX = {"source": "model_parameters", "key": "service_tier", "operator": "in", "values": ["flex"]}
LONG = {"usageDetailPattern": "(input)", "operator": "gt", "value": 1000, "caseSensitive": False}


def test_the_first_tier_that_a_call_meets_is_its_price() -> None:
    found = parsed(
        model(
            tier({"input": 1e-06, "output": 2e-06}),
            tier({"input": 3e-06, "output": 4e-06}, 1, FLEX, LONG),
            tier({"input": 5e-07, "output": 1e-06}, 2, FLEX),
            tier({"input": 2e-06, "output": 3e-06}, 3, LONG),
        )
    )
    for different, expected in (
        ({}, "0.0014"),
        ({"input_tokens": 1001}, "0.002602"),
        ({"service_tier": "flex"}, "0.0007"),
        ({"service_tier": "flex", "input_tokens": 1001}, "0.003803"),
    ):
        assert rated(found, **different).cost == Decimal(expected), different


def test_a_price_for_all_tokens_is_that_of_input_and_output() -> None:
    assert rated(parsed(model(tier({"total": 1e-06})))).cost == Decimal("0.0012")


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (model(tier({"input": -1})), "below 0"),
        (model(tier({"input": "1"})), "is no number"),
        (model(tier({"furlongs": 1})), "prices no unit"),
        (model(tier({"input": 1, "input_tokens": 2})), "not alike"),
        (model(tier({})), "it has no price"),
        (model(tier({"input": 1}), tier({"output": 1}, 1, LONG)), "other units than below"),
        (model(tier({"input": 1}), tier({"output": 1}, 1, FLEX)), "other units than the standard"),
        (model(tier({"input": 1}), tier({"input": 1}, 1, {"key": "mood"})), "not understood"),
        (model(tier({"input": 1}, 1, FLEX)), "no price that holds where no other does"),
        (model(tier({"input": 1}), tokenizerId=None, matchPattern="^m$"), "whose model it is"),
        (model(tier({"input": 1}), matchPattern="("), "regex"),
        ({"modelName": "m"}, "not written as"),
        (7, "not written as"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_name(entry: Any, why: str) -> None:
    found = parsed(entry, model(tier({"input": 1}), modelName="other", matchPattern="^other$"))
    [refused] = found.refused
    assert why in refused.reason
    assert {row.model_id for row in found.prices} == {"other"}


def test_no_price_list_at_all() -> None:
    for text in ("[]", "{}", "[1]", '[{"pricingTiers": ', "[NaN]"):
        with pytest.raises(UnreadablePriceList):
            parse_langfuse(text, source="Langfuse", effective_at=AT)


def test_the_real_list(shared_data: Path) -> None:
    path = shared_data / "prices-langfuse" / "default-model-prices.json"
    found = parse_langfuse(path.read_text(), source="Langfuse", effective_at=AT)
    names = {entry["modelName"] for entry in json.loads(path.read_text())}
    assert {row.model_id for row in found.prices} | {r.model_id for r in found.refused} == names
    of = {"input_tokens": 10_000, "output_tokens": 500, "cached_input_tokens": 6_000}
    assert rated(found, model="openai/GPT-4o", **of).cost == Decimal("0.0225")
    of = {"input_tokens": 272_001, "output_tokens": 1000}
    assert rated(found, model="gpt-5.4", **of).cost == Decimal("1.382505")
