"""Priced, free and unpriced are three answers; tiers and models choose the price."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from metering.domain.price_book import CACHED_SCHEDULES, PricedBy
from metering.domain.rate_cards import RateCard
from metering.domain.rating import Rating, rate
from tests.metering.domain.rated_calls import (
    BOOK,
    NOON,
    ROW,
    M,
    _book,
    event,
    quantities,
    rated,
)


class TestThreeAnswers:
    def test_nothing_used_costs_nothing_and_is_priced(self) -> None:
        assert rated(input_tokens=0, output_tokens=0) == Rating(
            "priced", Decimal(0), "USD", (), None
        )

    def test_used_at_a_price_of_zero_is_free(self) -> None:
        rating = rated("gratis", input_tokens=5, output_tokens=0)
        assert (rating.pricing, rating.cost) == ("free", Decimal(0))
        assert [line.price_id for line in rating.lines] == [ROW["gratis"]]

    def test_a_model_listed_without_any_rate_is_free_and_says_so(self) -> None:
        rating = rated("unlisted", input_tokens=5, output_tokens=5)
        assert rating == Rating("free", Decimal(0), "USD", (), "no_rates_listed")

    def test_the_callers_own_cache_costs_nothing_even_of_an_unknown_model(self) -> None:
        rating = rated("no such model", input_tokens=5, served_from="caller_cache")
        assert rating == Rating("free", Decimal(0), "USD", (), "caller_cache")

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"model": "text-9", "input_tokens": 1, "output_tokens": 1}, "unknown_model"),
            ({"provider": "nobody", "input_tokens": 1}, "unknown_provider"),
            ({}, "no_usage"),
            ({"status": "error"}, "no_usage"),
            ({"input_tokens": 10, "cached_input_tokens": 12, "output_tokens": 1},
             "input_tokens_exceeded"),
            ({"model": "asks", "input_tokens": 10, "cached_input_tokens": 12, "output_tokens": 1},
             "input_tokens_exceeded"),
            ({"input_tokens": 10, "output_tokens": 1, "reasoning_tokens": 2},
             "output_tokens_exceeded"),
            ({"model": "asks", "input_tokens": 10, "output_tokens": 1, "reasoning_tokens": 2},
             "output_tokens_exceeded"),
            ({"input_tokens": -1, "output_tokens": 1}, "negative_count"),
            ({"input_tokens": 1, "output_tokens": -1}, "negative_count"),
            ({"input_tokens": 5, "cached_input_tokens": -1, "output_tokens": 1}, "negative_count"),
            ({"input_tokens": 5, "cache_write_1h_tokens": -1, "cache_write_tokens": 1,
              "output_tokens": 1}, "negative_count"),
            ({"cached_input_tokens": 5}, "input_tokens_not_reported"),
            ({"units": {"gpu_hours": Decimal(1)}}, "not_priced:gpu_hours"),
            ({"input_tokens": 1, "units": {"input": Decimal(1)}}, "counted_twice:input"),
            ({"input_tokens": 1, "units": {"web_search": Decimal("NaN")}}, "negative_count"),
            ({"input_tokens": M, "units": {"web_search": Decimal("1e-90")}},
             "quantity_out_of_range"),
            ({"model": "hears", "input_tokens": 1, "output_tokens": 1}, "not_priced:input"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_priced_is_unpriced_with_its_reason(
        self, fields: dict[str, Any], reason: str
    ) -> None:
        rating = rated(**fields)
        assert rating.pricing == "unpriced"
        assert rating.cost is None
        assert rating.lines == ()
        assert rating.reason is not None
        assert rating.reason.startswith(reason)

    def test_what_has_no_price_beside_what_has_one_is_named(self) -> None:
        rating = rated("embeds", input_tokens=5, output_tokens=7)
        assert (rating.pricing, rating.reason) == ("priced", "not_priced:output")
        assert quantities(rating) == {"input": 5}
        searched = rated("embeds", input_tokens=5, units={"web_search": Decimal(2)})
        assert searched.reason == "not_priced:web_search"
        own = rated(input_tokens=M, output_tokens=0, units={"gpu_hours": Decimal(2)})
        assert (own.cost, own.reason) == (Decimal(6), "not_priced:gpu_hours")

    def test_the_half_that_was_not_reported_is_named(self) -> None:
        assert rated(input_tokens=5).reason == "output_not_reported"
        assert rated(output_tokens=5).reason == "input_not_reported"
        assert rated("embeds", input_tokens=5).reason is None


class TestTiersAndModels:
    def test_a_partial_price_leaves_the_rest_to_the_standard_one(self) -> None:
        rating = rated(input_tokens=10, output_tokens=10, batch=True)
        assert [(line.unit_price * M, line.price_id) for line in rating.lines] == [
            (3, ROW["text"]),
            (Decimal("7.5"), 100),
        ]
        assert rating.reason is None

    def test_of_two_conditions_that_hold_the_first_of_the_list_wins(self) -> None:
        rating = rated(input_tokens=10, output_tokens=10, batch=True, service_tier="flex")
        assert [line.price_id for line in rating.lines] == [101, 100]

    @pytest.mark.parametrize("tier", ["FLEX", "Flex", " flex "])
    def test_tiers_compare_without_regard_to_case(self, tier: str) -> None:
        assert rated(input_tokens=10, output_tokens=0, service_tier=tier).lines[0].price_id == 101

    @pytest.mark.parametrize("tier", ["standard", "default", "auto", "Auto", ""])
    def test_the_standard_tier_has_many_names(self, tier: str) -> None:
        rating = rated(input_tokens=10, output_tokens=0, service_tier=tier)
        assert (rating.lines[0].price_id, rating.reason) == (ROW["text"], None)

    def test_a_tier_without_a_price_is_the_standard_one_and_says_so(self) -> None:
        rating = rated(input_tokens=10, output_tokens=0, service_tier="priority")
        assert (rating.cost, rating.reason) == (Decimal("0.00003"), "tier_not_priced:priority")
        both = rated("no-1h", input_tokens=1, output_tokens=0, service_tier="flex", batch=True)
        assert both.reason == "tier_not_priced:batch,tier_not_priced:flex"

    def test_of_a_resold_model_nothing_is_known_of_the_sellers_tiers(self) -> None:
        rating = rated(provider="azure", input_tokens=10, output_tokens=0, service_tier="flex")
        assert (rating.lines[0].price_id, rating.reason) == (ROW["text"], "tier_not_priced:flex")

    def test_the_executed_model_is_priced_and_any_other_on_request(self) -> None:
        call = event("embeds", model_executed="text", input_tokens=M, output_tokens=0)
        assert rate(call, BOOK).cost == 6
        assert rate(call, BOOK, model="embeds").cost == Decimal("0.02")

    def test_names_that_no_list_knows_do_not_fill_the_memory(self) -> None:
        book = _book()
        for number in range(CACHED_SCHEDULES + 10):
            assert book.look_up(PricedBy("acme", f"m{number}"), NOON) == "unknown_model"
        assert len(book._cache) <= CACHED_SCHEDULES
        assert isinstance(book.look_up(PricedBy("acme", "text"), NOON), RateCard)
