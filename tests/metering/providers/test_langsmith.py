"""LangSmith's usage: sums with details in them, and what arithmetic shows where they are not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.usage import COUNTS
from metering.providers.counts import Counts, UnreadableUsage
from metering.providers.langsmith import usage_counts


def told(counts: Counts) -> dict[str, Any]:
    return {name: value for name in COUNTS if (value := getattr(counts, name)) is not None}


def usage(into: int, out: int, total: int | None = None, **details: Any) -> dict[str, Any]:
    sent = {"input_tokens": into, "output_tokens": out, **details}
    return sent if total is None else {**sent, "total_tokens": total}


def test_sums_hold_their_details() -> None:
    counts = usage_counts(
        usage(
            26000,
            800,
            26800,
            input_token_details={
                "cache_read": 20000,
                "ephemeral_5m_input_tokens": 3000,
                "ephemeral_1h_input_tokens": 2000,
            },
            output_token_details={"reasoning": 500},
        )
    )
    assert told(counts) == {
        "input_tokens": 26000,
        "cached_input_tokens": 20000,
        "cache_write_tokens": 5000,
        "cache_write_1h_tokens": 2000,
        "output_tokens": 800,
        "reasoning_tokens": 500,
    }
    assert counts.doubts == ()


def test_a_runs_own_counts_are_read_too() -> None:
    counts = usage_counts(
        {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "prompt_token_details": {"cache_read": 40},
            "completion_token_details": {"reasoning": 5},
        }
    )
    assert (counts.input_tokens, counts.cached_input_tokens) == (100, 40)
    assert (counts.output_tokens, counts.reasoning_tokens, counts.doubts) == (20, 5, ())


@pytest.mark.parametrize(
    ("details", "written"),
    [
        ({"cache_creation": 5000}, 5000),
        ({"cache_creation": 5000, "ephemeral_5m_input_tokens": 5000}, 5000),
        ({"cache_creation": 6000, "ephemeral_1h_input_tokens": 2000}, 6000),
        ({"cache_creation": 0, "ephemeral_5m_input_tokens": 300}, 300),
        ({"cache_creation": 12229, "ephemeral_5m_input_tokens": 0}, 12229),
    ],
)
def test_writes_overlap_with_their_split(details: dict[str, int], written: int) -> None:
    counts = usage_counts(usage(20000, 1, input_token_details=details))
    assert (counts.cache_write_tokens, counts.doubts) == (written, ())


def test_a_split_above_its_sum_is_doubted() -> None:
    details = {"cache_creation": 100, "ephemeral_1h_input_tokens": 200}
    counts = usage_counts(usage(1000, 1, input_token_details=details))
    assert (counts.cache_write_tokens, counts.doubts) == (200, ("cache_writes_differ",))


@pytest.mark.parametrize("total", [None, 60, 1060])
def test_cache_above_the_input_was_left_out_of_it(total: int | None) -> None:
    counts = usage_counts(usage(10, 50, total, input_token_details={"cache_read": 1000}))
    assert (counts.input_tokens, counts.output_tokens, counts.doubts) == (1010, 50, ())


def test_a_total_with_reasoning_beside_the_output_shows_that_it_was_left_out() -> None:
    """Gemini, as LangSmith's own wrapper passes it on."""
    counts = usage_counts(usage(264, 80, 1264, output_token_details={"reasoning": 920}))
    assert (counts.input_tokens, counts.output_tokens) == (264, 1000)
    assert counts.doubts == ()


def test_a_total_that_fits_nothing_is_doubted() -> None:
    counts = usage_counts(usage(5, 845, 2023))
    assert (counts.input_tokens, counts.output_tokens) == (5, 845)
    assert counts.doubts == ("total_does_not_sum",)


def test_geminis_cache_above_200k_is_beside_the_rest() -> None:
    details = {"cache_read": 200_000, "cache_read_over_200k": 50_000, "over_200k": 0}
    counts = usage_counts(usage(260_000, 10, 260_010, input_token_details=details))
    assert (counts.cached_input_tokens, counts.doubts) == (250_000, ())


@pytest.mark.parametrize("tier", ["priority", "flex"])
def test_the_tier_stands_in_the_names(tier: str) -> None:
    counts = usage_counts(
        usage(
            100,
            20,
            120,
            input_token_details={f"{tier}_cache_read": 40, tier: 60, "audio": 3},
            output_token_details={f"{tier}_reasoning": 5, tier: 15},
        )
    )
    assert counts.service_tier == tier
    assert (counts.cached_input_tokens, counts.reasoning_tokens) == (40, 5)
    assert counts.audio_input_tokens == 3


def test_a_total_alone_is_the_input() -> None:
    counts = usage_counts({"total_tokens": 7})
    assert (told(counts), counts.doubts) == ({"input_tokens": 7}, ("total_only",))


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"input_tokens": "12"},
        {"input_tokens": -1},
        {"input_tokens": 1, "input_token_details": []},
        {"input_tokens": 1, "input_token_details": {"cache_read": "x"}},
    ],
)
def test_what_is_no_usage_is_refused(sent: dict[str, Any]) -> None:
    with pytest.raises(UnreadableUsage):
        usage_counts(sent)


COUNT = st.integers(0, 10**6)


@given(COUNT, COUNT, COUNT, COUNT)
def test_parts_never_exceed_their_wholes(into: int, out: int, cached: int, reasoning: int) -> None:
    counts = usage_counts(
        usage(
            into,
            out,
            into + out,
            input_token_details={"cache_read": cached},
            output_token_details={"reasoning": reasoning},
        )
    )
    assert cached <= (counts.input_tokens or 0)
    assert reasoning <= (counts.output_tokens or 0)
    if cached <= into and reasoning <= out:
        assert (counts.input_tokens, counts.output_tokens) == (into, out)
