"""LiteLLM's prices of what is no text: pictures, video and searches."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from metering.domain.rating import Rating
from metering.pricelists.parsed import ParsedList
from tests.metering.pricelists.litellm_prices import PLAIN, cost, parsed, rated


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
