"""Langfuse's buckets: disjoint by its documentation, and by the sender's total where that says
otherwise."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.usage import COUNTS
from metering.providers.counts import Counts, ImpossibleCount, UnreadableUsage
from metering.providers.langfuse import usage_counts


def told(counts: Counts) -> dict[str, Any]:
    return {name: value for name in COUNTS if (value := getattr(counts, name)) is not None}


def test_buckets_are_disjoint() -> None:
    """The example of Langfuse's documentation of cached and cache-writing calls."""
    counts = usage_counts(
        {
            "input": 1000,
            "input_cached_tokens": 20000,
            "input_cache_creation_5m": 3000,
            "input_cache_creation_1h": 2000,
            "output": 800,
            "total": 26800,
        }
    )
    assert told(counts) == {
        "input_tokens": 26000,
        "cached_input_tokens": 20000,
        "cache_write_tokens": 5000,
        "cache_write_1h_tokens": 2000,
        "output_tokens": 800,
    }
    assert counts.doubts == ()


@pytest.mark.parametrize(
    ("total", "into", "out"),
    [(120, 100, 20), (160, 140, 20), (125, 100, 25), (165, 140, 25), (None, 140, 25)],
)
def test_the_total_shows_what_is_inside_of_what(total: int | None, into: int, out: int) -> None:
    usage = {"input": 100, "input_cache_read": 40, "output": 20, "output_reasoning": 5}
    counts = usage_counts(usage if total is None else {**usage, "total": total})
    assert (counts.input_tokens, counts.output_tokens) == (into, out)
    assert (counts.cached_input_tokens, counts.reasoning_tokens) == (40, 5)
    assert counts.doubts == ()


def test_a_total_that_fits_nothing_is_doubted_and_the_documented_reading_kept() -> None:
    """Vertex: thinking tokens are in the total and nowhere else."""
    counts = usage_counts({"input": 5, "output": 845, "total": 2023})
    assert told(counts) == {"input_tokens": 5, "output_tokens": 845}
    assert counts.doubts == ("total_does_not_sum",)


def test_a_total_that_fits_twice_is_doubted() -> None:
    usage = {"input": 50, "input_cached_tokens": 5, "output": 20, "output_reasoning": 5}
    counts = usage_counts({**usage, "total": 75})
    assert counts.doubts == ("buckets_ambiguous",)


@pytest.mark.parametrize(
    "name",
    [
        *("input_cached_tokens", "input_cache_read", "cache_read_input_tokens", "cachedTokens"),
        *("prompt_details.cache_read", "input_cached", "inputCachedTokens", "cached_input"),
    ],
)
def test_one_leaf_has_many_names(name: str) -> None:
    assert usage_counts({"input": 60, name: 40, "total": 100}).cached_input_tokens == 40


def test_one_leaf_under_two_names_counts_once() -> None:
    counts = usage_counts({"input": 60, "input_cached_tokens": 40, "cache_read_input_tokens": 40})
    assert (counts.input_tokens, counts.cached_input_tokens, counts.doubts) == (100, 40, ())


def test_one_leaf_with_two_values_is_doubted() -> None:
    counts = usage_counts({"input": 60, "input_cached_tokens": 40, "cache_read_input_tokens": 30})
    assert (counts.cached_input_tokens, counts.doubts) == (40, ("counts_differ",))


def test_writes_may_stand_beside_their_sum() -> None:
    """LangChain's details hold both the sum of what was written and its parts."""
    usage = {
        "input": 10,
        "input_cache_creation": 50,
        "input_ephemeral_5m_input_tokens": 30,
        "input_ephemeral_1h_input_tokens": 20,
        "output": 1,
    }
    for sent in (usage, {**usage, "total": 61}):
        counts = usage_counts(sent)
        assert (counts.input_tokens, counts.cache_write_tokens) == (60, 50)
        assert (counts.cache_write_1h_tokens, counts.doubts) == (20, ())
    beside = usage_counts({**usage, "total": 111})
    assert (beside.input_tokens, beside.cache_write_tokens) == (110, 100)


def test_details_that_openinference_names_are_inside() -> None:
    counts = usage_counts({"input": 100, "prompt_details.cache_read": 40, "output": 3})
    assert (counts.input_tokens, counts.cached_input_tokens) == (100, 40)


def test_sound_and_pictures_have_leaves() -> None:
    counts = usage_counts(
        {"input": 10, "input_audio_tokens": 5, "input_image_tokens": 7, "output_audio": 2}
    )
    assert told(counts) == {
        "input_tokens": 22,
        "audio_input_tokens": 5,
        "image_input_tokens": 7,
        "output_tokens": 2,
        "audio_output_tokens": 2,
    }


def test_rejected_predictions_are_billed_as_output() -> None:
    usage = {"input": 1, "output": 10, "output_rejected_prediction_tokens": 4, "total": 15}
    assert usage_counts(usage).output_tokens == 14


def test_a_total_alone_is_the_input() -> None:
    counts = usage_counts({"total": 100})
    assert (told(counts), counts.doubts) == ({"input_tokens": 100}, ("total_only",))


def test_searches_are_a_unit_and_costs_are_none() -> None:
    counts = usage_counts({"input": 1, "web_search_requests": 3, "inputCost": Decimal("0.1")})
    assert counts.units == {"web_search": Decimal(3)}
    assert told(counts) == {"input_tokens": 1}


@pytest.mark.parametrize("value", [Decimal("1.5"), "12", True, [1], {"a": 1}])
def test_what_is_no_count_is_named(value: object) -> None:
    with pytest.raises(UnreadableUsage, match="input is"):
        usage_counts({"input": value})


@pytest.mark.parametrize("value", [-1, 10**12, Decimal("1e400")])
def test_what_no_call_can_have_used_is_refused(value: object) -> None:
    with pytest.raises(ImpossibleCount):
        usage_counts({"output": value})


LEAVES = st.fixed_dictionaries(
    {"input": st.integers(0, 10**6), "output": st.integers(0, 10**6)},
    optional={
        "input_cached_tokens": st.integers(0, 10**6),
        "input_cache_creation_5m": st.integers(0, 10**6),
        "input_cache_creation_1h": st.integers(0, 10**6),
        "input_audio_tokens": st.integers(0, 10**6),
        "output_reasoning_tokens": st.integers(0, 10**6),
        "output_audio_tokens": st.integers(0, 10**6),
    },
)


@given(LEAVES)
def test_disjoint_buckets_come_to_their_sum_with_and_without_a_total(usage: dict[str, int]) -> None:
    total = sum(usage.values())
    for sent in (usage, {**usage, "total": total}):
        counts = usage_counts(sent)
        assert (counts.input_tokens or 0) + (counts.output_tokens or 0) == total
        assert (counts.cached_input_tokens or 0) == usage.get("input_cached_tokens", 0)


@given(st.dictionaries(st.text(max_size=30), st.integers(0, 10**9), max_size=8))
def test_any_names_beside_a_known_one_are_read_or_passed_over(usage: dict[str, int]) -> None:
    counts = usage_counts({"input": 7, **usage})
    assert (counts.cached_input_tokens or 0) <= (counts.input_tokens or 0)
    assert (counts.reasoning_tokens or 0) <= (counts.output_tokens or 0)
