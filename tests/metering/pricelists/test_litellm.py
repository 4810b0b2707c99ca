"""LiteLLM's price map: each shape as a row, each doubt as a refusal, against genai-prices too."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.price_book import PriceBook
from metering.domain.rating import Rating, rate
from metering.pricelists.litellm import parse_litellm
from metering.pricelists.parsed import ParsedList, UnreadablePriceList
from tests.metering.events import call

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
PLAIN: dict[str, Any] = {
    "litellm_provider": "acme",
    "mode": "chat",
    "input_cost_per_token": 1e-06,
    "output_cost_per_token": 2e-06,
}


def parsed(**models: dict[str, Any]) -> ParsedList:
    return parse_litellm(json.dumps(models), source="LiteLLM", effective_at=AT)


def rated(found: ParsedList, **different: Any) -> Rating:
    usage = {"provider": "acme", "model": "m", "occurred_at": AT, "cached_input_tokens": 0}
    return rate(call(**{**usage, **different}), PriceBook(found.prices, [found.rules]))


def cost(entry: dict[str, Any], **different: Any) -> Decimal | None:
    found = parsed(m={**PLAIN, **entry})
    assert found.refused == ()
    return rated(found, **different).cost


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


def off_peak(**said: Any) -> dict[str, Any]:
    return {"off_peak_pricing": {"input_cost_per_token": 5e-07, **said}}


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


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"input_cost_per_token": "1e-6"}, "is no number"),
        ({"input_cost_per_token": -1e-6}, "below 0"),
        ({"input_cost_per_furlong": 1e-6}, "unit is not known"),
        ({"input_cost_per_second": 1e-6}, "unit is not known"),
        ({"output_cost_per_token_above_200k_tokens_weekly": 1e-6}, "unit is not known"),
        ({"cache_read_input_token_cost_above_200k_tokens": 1e-7}, "none below it"),
        ({"tiered_pricing": [{"range": [0, 10], "input_cost_per_token": 1}]}, "beside other"),
        ({"provider_specific_entry": {"mars": 1.1}}, "mars is not known"),
        ({"search_context_cost_per_query": {"a": 0.1, "b": 0.2}}, "sizes ['a', 'b'] are not known"),
        (
            {"regional_endpoint_uplift_multiplier": 1.1, "provider_specific_entry": {"us": 1.1}},
            "for a region and for any",
        ),
        ({"mode": "image_generation", "input_cost_per_image": 0.1}, "goes in or comes out"),
        ({"mode": "image_generation", "input_cost_per_image": "0.1"}, "unit is not known"),
        (
            {"output_cost_per_image": 0.09, "output_cost_per_image_token": 1.6e-06},
            "whether pictures or their tokens are paid",
        ),
        (
            {"provider_specific_entry": {"minimax_free_input_images": 5}},
            "5 pictures of what price",
        ),
        ({"output_cost_per_second_720p": 0.1}, "unit is not known"),
        ({"off_peak_pricing": {"input_cost_per_token": 1e-7}}, "without windows"),
        (
            {"off_peak_pricing": {"input_cost_per_token": 1e-7, "windows": [{"hours_utc": "9-5"}]}},
            "22:00-06:00",
        ),
        (off_peak(windows=[{"hours_utc": "01:00-02:00", "weekdays": [8]}]), "1 (Monday) to 7"),
        (off_peak(windows=[{"hours_utc": "01:00-02:00", "weekdays": []}]), "a list like"),
        (
            off_peak(
                weekday_timezone="Europe/Berlin",
                windows=[{"hours_utc": "01:00-02:00", "weekdays": [1]}],
            ),
            "in summer than in winter",
        ),
        (
            off_peak(
                weekday_timezone="Nowhere/Atoll",
                windows=[{"hours_utc": "01:00-02:00", "weekdays": [1]}],
            ),
            "is no time zone",
        ),
    ],
)
def test_what_cannot_be_taken_is_refused_with_its_model(entry: dict[str, Any], why: str) -> None:
    found = parsed(m={**PLAIN, **entry}, other=PLAIN)
    assert [row.model_id for row in found.prices] == ["other"]
    assert any(each.model_id == "m" and why in each.reason for each in found.refused)
    assert rated(found).reason == "unknown_model"


def made(mode: str, entry: dict[str, Any], **units: int) -> Rating:
    found = parsed(m={"litellm_provider": "acme", "mode": mode, **entry})
    assert found.refused == ()
    used = {name: Decimal(count) for name, count in units.items()}
    return rated(found, input_tokens=None, cached_input_tokens=None, output_tokens=None, units=used)


def test_pictures_by_the_piece_by_their_size_and_by_their_pixels() -> None:
    plain = {"input_cost_per_image": 0.04}
    assert made("image_generation", plain, images=3).cost == Decimal("0.12")
    sizes = {"output_cost_per_image": 0.08, "output_cost_per_image_0.5K": 0.06}
    assert made("image_generation", sizes, output_images=2).cost == Decimal("0.16")
    rating = made("image_generation", sizes, output_images=3, output_0_5k_images=2)
    assert (rating.cost, rating.reason) == (Decimal("0.20"), None)
    assert made("image_generation", sizes, output_4k_images=1).cost == Decimal("0.08")
    pixels = {"input_cost_per_pixel": 2e-08, "output_cost_per_pixel": 0.0}
    assert made("image_generation", pixels, output_pixels=512 * 512).cost == Decimal("0.00524288")


def test_a_picture_is_paid_in_one_way_whichever_ways_the_list_says_it_in() -> None:
    tokens = {
        "input_cost_per_token": 2e-06,
        "input_cost_per_image": 0.0011,
        "output_cost_per_token": 1.2e-05,
        "output_cost_per_image": 0.134,
        "output_cost_per_image_token": 0.00012,
    }
    found = parsed(m={"litellm_provider": "acme", "mode": "image_generation", **tokens})
    assert {(each.what, each.whole) for each in found.refused} == {
        ("input_cost_per_image", False),
        ("output_cost_per_image", False),
    }
    used = {"input_tokens": 600, "image_input_tokens": 560, "output_tokens": 1120}
    made_one = rated(found, **used, image_output_tokens=1120)
    assert (made_one.cost, made_one.reason) == (Decimal("0.1356"), None)
    told_twice = rated(found, **used, image_output_tokens=1120, units={"output_images": Decimal(1)})
    assert (told_twice.cost, told_twice.reason) == (Decimal("0.1356"), "not_priced:output_images")

    both = {"input_cost_per_image": 0.05, "output_cost_per_image": 0.05}
    assert made("image_generation", both, images=2).cost == Decimal("0.10")


def test_a_price_by_the_pixel_is_that_of_a_picture_of_the_size_in_the_name() -> None:
    def of(pixel: float) -> ParsedList:
        prices = {
            "input_cost_per_image": 0.25,
            "input_cost_per_pixel": pixel,
            "output_cost_per_pixel": 0.0,
        }
        entry = {"litellm_provider": "acme", "mode": "image_generation", **prices}
        return parsed(**{"high/1024-x-1536/m": entry})

    found = of(1.58945719e-07)
    assert found.refused == ()
    assert rated(
        found,
        model="high/1024-x-1536/m",
        input_tokens=None,
        output_tokens=None,
        cached_input_tokens=None,
        units={"images": Decimal(3)},
    ).cost == Decimal("0.75")
    [refused] = of(1.7e-07).refused
    assert refused.whole
    assert "goes in or comes out" in refused.reason


def test_pictures_that_go_in_beyond_those_that_are_free() -> None:
    entry = {
        "output_cost_per_second": 0.08,
        "input_cost_per_image": 0.04,
        "provider_specific_entry": {"minimax_free_input_images": 5},
    }
    for pictures, expected in ((5, "0.8"), (6, "0.84"), (8, "0.92")):
        rating = made("video_generation", entry, input_images=pictures, output_video_seconds=10)
        assert (rating.cost, rating.reason) == (Decimal(expected), None)


def test_searches_of_a_store_of_documents() -> None:
    rating = made("vector_store", {"input_cost_per_query": 0.0015}, file_search=2)
    assert rating.cost == Decimal("0.0030")


def test_ranges_beside_the_same_plain_prices_say_one_thing() -> None:
    ranges = [
        {"range": [0, 100], "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
        {"range": [100, 200], "input_cost_per_token": 2e-06, "output_cost_per_token": 4e-06},
    ]
    used = {"output_tokens": 10}
    assert cost({"tiered_pricing": ranges}, input_tokens=100, **used) == Decimal("0.00012")
    assert cost({"tiered_pricing": ranges}, input_tokens=101, **used) == Decimal("0.000242")


def test_seconds_of_video_by_their_size() -> None:
    sizes = {"output_cost_per_second": 0.1, "output_cost_per_second_1080p": 0.25}
    rating = made("video_generation", sizes, output_video_1080p_seconds=8)
    assert (rating.cost, rating.reason) == (Decimal("2.00"), None)
    assert made("video_generation", sizes, output_video_seconds=8).cost == Decimal("0.8")
    only = {"output_cost_per_second_1080p": 0.25}
    assert made("video_generation", only, output_video_1080p_seconds=8).reason is None
    unsized = made("video_generation", only, output_video_seconds=8)
    assert (unsized.pricing, unsized.reason) == ("unpriced", "not_priced:output_video_seconds")


def test_searches_by_the_size_of_their_context() -> None:
    """The dearest is not taken, nor the cheapest, where nobody says which it was."""
    sizes = {
        f"search_context_size_{s}": p
        for s, p in (("low", 0.006), ("medium", 0.01), ("high", 0.014))
    }
    found = parsed(m={**PLAIN, "search_context_cost_per_query": sizes})
    tokens = Decimal("0.0014")
    low = rated(found, units={"web_searches_low": Decimal(1)})
    assert (low.cost, low.reason) == (tokens + Decimal("0.006"), None)
    unsized = rated(found, units={"web_search": Decimal(1)})
    assert (unsized.cost, unsized.reason) == (tokens, "not_priced:web_search")


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


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "1e-6", "\x00", "22:00-06:00", "UTC", "day"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["range", "windows", "fast", "us", "count"]), inner)
    ),
    max_leaves=4,
)
KEYS = (
    *("input_cost_per_token", "output_cost_per_token_batches", "tiered_pricing", "mode"),
    *("off_peak_pricing", "search_context_cost_per_query", "search_free_requests"),
    *("provider_specific_entry", "regional_endpoint_uplift_multiplier", "input_cost_per_image"),
    *("input_cost_per_pixel", "output_cost_per_image", "output_cost_per_image_token"),
    *("web_search_billing_unit", "litellm_provider", "input_cost_per_token_above_9k_tokens"),
)


@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING, min_size=1))
def test_a_model_that_is_written_anyhow_spoils_no_other(entry: dict[str, Any]) -> None:
    found = parsed(**{"acme/odd": {**PLAIN, **entry}, "acme/m": PLAIN})
    assert rated(found, model="acme/m").cost == Decimal("0.0014")
    odd = {each.model_id for each in found.refused if each.whole}
    assert odd <= {"acme/odd"}
    assert odd or any(row.model_id == "acme/odd" for row in found.prices)


def test_names_that_nobody_could_read_or_store_are_refused() -> None:
    for name in ("m\x00", "\ud800", " ", "m" * 501):
        [refused] = parsed(**{name: PLAIN, "acme/m": PLAIN}).refused
        assert (refused.reason, refused.whole) == ("its name is none", True)
        assert refused.model_id.isascii()
    with pytest.raises(UnreadablePriceList, match="out of all range"):
        parse_litellm(
            '{"m": {"litellm_provider": "a", "input_cost_per_token": 1e99999999999999999999}}',
            source="LiteLLM",
            effective_at=AT,
        )


@given(st.integers(0, 400))
def test_a_file_that_was_cut_off_is_none(end: int) -> None:
    text = json.dumps({"m": PLAIN, "n": PLAIN})
    if end >= len(text):
        return
    with pytest.raises(UnreadablePriceList):
        parse_litellm(text[:end], source="LiteLLM", effective_at=AT)


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
