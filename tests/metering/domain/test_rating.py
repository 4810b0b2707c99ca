"""Rating: lines of disjoint classes, each at the price of its row."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from metering.domain.rating import Rating
from tests.metering.domain.rated_calls import (
    ROW,
    M,
    quantities,
    rated,
)


class TestLines:
    def test_each_class_has_its_own_line_with_the_row_that_priced_it(self) -> None:
        rating = rated(
            input_tokens=26_000,
            cached_input_tokens=20_000,
            cache_write_tokens=5_000,
            cache_write_1h_tokens=2_000,
            output_tokens=800,
            reasoning_tokens=300,
        )
        assert [tuple(line) for line in rating.lines] == [
            ("input", 1_000, Decimal("0.000003"), Decimal("0.003"), ROW["text"]),
            ("cache_read", 20_000, Decimal("0.0000003"), Decimal("0.006"), ROW["text"]),
            ("cache_write", 3_000, Decimal("0.00000375"), Decimal("0.01125"), ROW["text"]),
            ("cache_write_1h", 2_000, Decimal("0.000006"), Decimal("0.012"), ROW["text"]),
            ("output", 800, Decimal("0.000015"), Decimal("0.012"), ROW["text"]),
        ]
        assert (rating.pricing, rating.cost, rating.currency) == (
            "priced",
            Decimal("0.04425"),
            "USD",
        )
        assert rating.reason is None

    @pytest.mark.parametrize(
        ("model", "total"),
        [("text", "0.02325"), ("no-1h", "0.01875"), ("no-write", "0.015")],
    )
    def test_cache_writes_fall_to_the_next_price_that_there_is(
        self, model: str, total: str
    ) -> None:
        rating = rated(
            model,
            input_tokens=5_000,
            cache_write_tokens=5_000,
            cache_write_1h_tokens=2_000,
            output_tokens=0,
        )
        assert quantities(rating) == {"cache_write": 3_000, "cache_write_1h": 2_000}
        assert rating.cost == Decimal(total)

    def test_an_hourly_write_without_its_total_is_that_total(self) -> None:
        for model in ("text", "asks"):
            rating = rated(model, input_tokens=3_000, cache_write_1h_tokens=2_000, output_tokens=1)
            assert quantities(rating) | {"requests": 1} == {
                "input": 1_000,
                "cache_write_1h": 2_000,
                "output": 1,
                "requests": 1,
            }

    def test_the_request_is_at_one_level_chosen_by_all_of_its_input(self) -> None:
        at = rated(input_tokens=200_000, cached_input_tokens=150_000, output_tokens=10)
        above = rated(input_tokens=200_001, cached_input_tokens=150_000, output_tokens=10)
        assert [line.unit_price * M for line in at.lines] == [3, Decimal("0.3"), 15]
        assert [line.unit_price * M for line in above.lines] == [6, Decimal("0.6"), Decimal("22.5")]

    def test_audio_has_its_own_price_or_that_of_text_under_its_own_name(self) -> None:
        counts: dict[str, Any] = {
            "input_tokens": 100,
            "audio_input_tokens": 40,
            "output_tokens": 10,
        }
        own = rated("sound", audio_output_tokens=4, **counts)
        text = rated(audio_output_tokens=4, **counts)
        expected = {"input": 60, "input_audio": 40, "output": 6, "output_audio": 4}
        assert quantities(own) == quantities(text) == expected
        assert {line.token_class: line.unit_price * M for line in own.lines} == {
            "input": 3,
            "input_audio": 7,
            "output": 15,
            "output_audio": 40,
        }
        assert text.cost == Decimal("0.00045")

    def test_cached_audio_is_told_by_the_source_or_not_at_all(self) -> None:
        counts: dict[str, Any] = {
            "input_tokens": 100,
            "cached_input_tokens": 50,
            "audio_input_tokens": 40,
        }
        told = rated("sound", output_tokens=0, units={"cache_audio_read": Decimal(30)}, **counts)
        assert quantities(told) == {
            "input": 40,
            "cache_read": 20,
            "input_audio": 10,
            "cache_audio_read": 30,
        }
        untold = rated("sound", output_tokens=0, **counts)
        assert untold == Rating("unpriced", None, "USD", (), "cache_audio_read_tokens_not_reported")

    def test_audio_that_costs_what_text_does_may_overlap_what_was_cached(self) -> None:
        rating = rated(
            input_tokens=100, cached_input_tokens=80, audio_input_tokens=70, output_tokens=0
        )
        assert quantities(rating) == {"input": 20, "cache_read": 80}

    def test_reasoning_is_output_unless_it_has_a_price(self) -> None:
        counts: dict[str, Any] = {"input_tokens": 0, "output_tokens": 10, "reasoning_tokens": 4}
        assert quantities(rated(**counts)) == {"output": 10}
        assert quantities(rated("thinks", **counts)) == {
            "output": 6,
            "output_reasoning_tokens": 4,
        }

    def test_units_keep_the_name_they_came_with(self) -> None:
        rating = rated(input_tokens=1, output_tokens=1, units={"web_search": Decimal(3)})
        assert rating.lines[-1].token_class == "web_search"
        assert rating.lines[-1].amount == Decimal("0.03")

    def test_a_price_by_the_call_is_a_line_of_one_request(self) -> None:
        rating = rated("asks", input_tokens=1_000, output_tokens=0)
        assert quantities(rating) == {"input": 1_000, "requests": 1}
        assert rating.cost == Decimal("0.008")

    def test_a_price_that_does_not_terminate_is_rounded_once_and_by_the_line(self) -> None:
        rating = rated("hears", units={"audio_seconds": Decimal(90)})
        [line] = rating.lines
        assert line.amount == rating.cost == Decimal("0.002775")
        assert line.unit_price == Decimal("0.000030833333333333")
        assert rated("hears", units={"audio_seconds": Decimal(1)}).cost == line.unit_price

    def test_the_part_of_a_total_that_was_not_given_is_the_total(self) -> None:
        rating = rated("hears", units={"input_audio_seconds": Decimal(3600)})
        assert rating.cost == Decimal("0.111")
