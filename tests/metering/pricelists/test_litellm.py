"""LiteLLM's price map: each shape as a row, each doubt as a refusal, against genai-prices too."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from metering.pricelists.litellm import parse_litellm
from tests.metering.pricelists.litellm_prices import AT, PLAIN, cost, off_peak, parsed, rated


def test_prices_are_the_decimals_that_are_written() -> None:
    assert cost({"input_cost_per_token": 0.00000015, "output_cost_per_token": 0.0}) == Decimal(
        "0.00015"
    )


@pytest.mark.parametrize(
    ("entry", "call_", "expected"),
    [
        ({"input_cost_per_token_above_200k_tokens": 3e-06}, {"input_tokens": 200_000}, "0.2004"),
        (
            {"input_cost_per_token_above_200k_tokens": 3e-06},
            {"input_tokens": 200_001},
            "0.600403",
        ),
        ({"input_cost_per_token_batches": 5e-07}, {"batch": True}, "0.0009"),
        ({"output_cost_per_token_flex": 1e-06}, {"service_tier": "Flex"}, "0.0012"),
        ({"provider_specific_entry": {"us": 1.1}}, {"region": "US"}, "0.00154"),
        (
            {
                "provider_specific_entry": {"us": 1.1},
                "input_cost_per_token_batches": 5e-07,
                "output_cost_per_token_batches": 1e-06,
            },
            {"region": "us", "batch": True},
            "0.00077",
        ),
        (
            {"search_context_cost_per_query": {"search_context_size_low": 0.01}},
            {"units": {"web_search": Decimal(2)}},
            "0.0214",
        ),
        (
            {"cache_creation_input_token_cost_above_1hr": 2e-06},
            {"cache_write_1h_tokens": 100},
            "0.0015",
        ),
    ],
)
def test_each_shape_of_price(entry: dict[str, Any], call_: dict[str, Any], expected: str) -> None:
    assert cost(entry, **call_) == Decimal(expected)


@pytest.mark.parametrize(
    ("said", "cheap_at"),
    [
        ({"windows": [{"hours_utc": "22:00-02:00", "weekdays": [5]}]}, {0, 1, 22, 23}),
        ({"windows": [{"hours_utc": "22:00-00:00", "weekdays": ["Fri"]}]}, {22, 23}),
        ({"windows": [{"hours_utc": ["00:00-00:00"], "weekdays": ["saturday"]}]}, {*range(24, 48)}),
        ({"windows": [{"hours_utc": "23:00-01:00"}]}, {0, 23, 24, 47}),
        ({"hours_utc": ["03:00-04:00"]}, {3, 27}),
        (
            {
                "weekday_timezone": "Asia/Shanghai",  # eight hours ahead
                "windows": [{"hours_utc": "10:00-00:00", "weekdays": [5]}],
            },
            {*range(10, 16)},
        ),
        (
            {
                "weekday_timezone": "Asia/Shanghai",
                "windows": [{"hours_utc": "00:00-00:00", "weekdays": [6]}],
            },
            {*range(16, 40)},
        ),
        (
            {
                "weekday_timezone": "Asia/Shanghai",
                "windows": [{"hours_utc": "15:00-17:00", "weekdays": [5, 6]}],
            },
            {15, 16, 39},
        ),
    ],
)
def test_off_peak_hours_are_in_utc_and_weekdays_those_of_a_calendar(
    said: dict[str, Any], cheap_at: set[int]
) -> None:
    """The weekday is that of the instant itself, whichever day the hours began on."""
    friday = datetime(2026, 11, 20, tzinfo=UTC)
    found = parsed(m={**PLAIN, **off_peak(**said)})
    assert found.refused == ()
    cheap = {
        hour
        for hour in range(48)
        if rated(found, occurred_at=friday + timedelta(hours=hour)).cost == Decimal("0.0009")
    }
    assert cheap == cheap_at


def test_any_region_but_the_global_one_costs_the_regional_surcharge() -> None:
    entry = {"regional_endpoint_uplift_multiplier": 1.1}
    assert cost(entry) == cost(entry, region="global") == Decimal("0.0014")
    assert cost(entry, region="us-east5") == cost(entry, region="EU") == Decimal("0.00154")


def test_a_tier_that_cannot_be_taken_leaves_the_standard_price() -> None:
    found = parsed(
        m={
            **PLAIN,
            "input_cost_per_token_above_200k_tokens": 3e-06,
            "input_cost_per_token_batches": 5e-07,
            "output_cost_per_token_batches": 1e-06,
            "output_cost_per_token_above_200k_tokens_batches": 2e-06,
        }
    )
    [refused] = found.refused
    assert (refused.what, refused.whole) == ("prices for batches", False)
    assert rated(found, batch=True).reason == "tier_not_priced:batch"


def test_a_tier_without_thresholds_has_one_price_for_every_length() -> None:
    long = {"input_cost_per_token_above_200k_tokens": 3e-06}
    tier = {"input_cost_per_token_priority": 4e-06, "output_cost_per_token_priority": 8e-06}
    for tokens, expected in ((1000, "0.0056"), (300_000, "1.2016")):
        assert cost({**long, **tier}, service_tier="priority", input_tokens=tokens) == Decimal(
            expected
        )


def test_names_that_models_of_different_prices_share_are_nobodys() -> None:
    found = parsed(**{"acme/m": PLAIN, "acme-eu/m": {**PLAIN, "litellm_provider": "acme"}})
    assert rated(found, model="acme/m").pricing == "priced"
    azure = {**PLAIN, "litellm_provider": "azure"}
    other = {**azure, "litellm_provider": "azure_ai", "input_cost_per_token": 3e-06}
    both = parsed(**{"azure/m": azure, "azure_ai/m": other})
    assert rated(both, provider="azure", model="azure/m").pricing == "priced"
    assert rated(both, provider="azure").reason == "unknown_model"
    assert len(both.refused) == 2


def test_a_name_that_means_one_price_whoever_it_is_may_be_used() -> None:
    azure = {**PLAIN, "litellm_provider": "azure"}
    both = parsed(
        **{"azure_ai/m": {**azure, "litellm_provider": "azure_ai"}, "azure/m": azure, "m": azure}
    )
    assert both.refused == ()
    for name in ("m", "azure/m", "azure_ai/m"):
        assert rated(both, provider="azure", model=name).cost == Decimal("0.0014")


def test_a_float_that_was_written_is_not_taken_for_its_neighbour() -> None:
    assert cost({"input_cost_per_token": 1.0000000000000001e-06}) == Decimal("0.0014")
    assert cost({"input_cost_per_token": 1.23456789012345e-06}) == Decimal("0.00163456789012345")


def test_gemini_and_vertex_ai_keep_their_own_prices() -> None:
    found = parsed(
        **{
            "gemini/m": {**PLAIN, "litellm_provider": "gemini"},
            "m": {
                **PLAIN,
                "litellm_provider": "vertex_ai-language-models",
                "input_cost_per_token": 5e-6,
            },
        }
    )
    assert rated(found, provider="gemini").cost == Decimal("0.0014")
    assert rated(found, provider="vertex_ai").cost == Decimal("0.0054")


def test_the_real_file_loses_no_price_without_saying_so(shared_data: Path) -> None:
    path = shared_data / "prices-litellm" / "model_prices_and_context_window.json"
    text = path.read_text()
    found = parse_litellm(text, source="LiteLLM", effective_at=AT)
    models = {row.model_id for row in found.prices}
    refused = {each.model_id for each in found.refused if each.whole}
    assert not models & refused
    assert models | refused | {"sample_spec"} == set(json.loads(text))
    assert len(models) > 4300
    assert len(refused) < 190
    of = {"occurred_at": AT, "input_tokens": 10_000, "output_tokens": 500}
    for different, expected in (
        ({"provider": "openai", "model": "gpt-4o", "cached_input_tokens": 6_000}, "0.0225"),
        (
            {
                "provider": "openai",
                "model": "gpt-5.4",
                "input_tokens": 272_001,
                "output_tokens": 1000,
            },
            "1.382505",
        ),
        (
            {
                "provider": "openai",
                "model": "gpt-5.4",
                "service_tier": "priority",
                "output_tokens": 2000,
            },
            "0.11",
        ),
        (
            {
                "provider": "dashscope",
                "model": "qwen3-max",
                "input_tokens": 32_001,
                "output_tokens": 1000,
            },
            "0.0888024",
        ),
        (
            {
                "provider": "anthropic",
                "model": "claude-opus-4-8",
                "region": "us",
                "input_tokens": 2000,
            },
            "0.02475",
        ),
        ({"provider": "openai", "model": "gpt-4o", "batch": True, "output_tokens": 1000}, "0.0175"),
        (
            {
                "provider": "perplexity",
                "model": "sonar-pro",
                "input_tokens": 1000,
                "units": {"web_searches_low": Decimal(1)},
            },
            "0.0165",
        ),
    ):
        assert rated(found, **{**of, **different}).cost == Decimal(expected), different
