"""Reports that cannot be true are kept and marked: no call is lost, none is priced by guessing."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from genai_prices.data import providers
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.price_book import PriceBook
from metering.domain.rating import Rating
from metering.domain.usage import COUNTS, MAX_TOKENS, UsageEvent
from metering.formats import native
from metering.formats.problems import contradiction
from metering.pricelists.genai_prices import parse_genai_prices
from metering.pricing.rated_events import rated
from tests.metering.formats.native_events import LEAST, accepted, parse

SENT = {"inputTokens": 540, "outputTokens": 180}


@cache
def book() -> PriceBook:
    listed = parse_genai_prices(
        providers, source="genai-prices", effective_at=datetime(2026, 11, 1, tzinfo=UTC)
    )
    return PriceBook(listed.prices, [listed.rules])


def rating_of(event: UsageEvent) -> Rating:
    return rated(event, book())


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"cachedInputTokens": 541}, "cached_exceeds_input"),
        ({"cacheWriteTokens": 541}, "cache_write_exceeds_input"),
        ({"cachedInputTokens": 300, "cacheWriteTokens": 241}, "cache_exceeds_input"),
        (
            {"cacheWriteTokens": 10, "cacheWrite1hTokens": 11},
            "cache_write_1h_exceeds_cache_write",
        ),
        ({"cacheWrite1hTokens": 1}, "cache_write_tokens_missing"),
        ({"audioInputTokens": 541}, "audio_exceeds_input"),
        ({"imageInputTokens": 541}, "image_exceeds_input"),
        ({"audioInputTokens": 270, "imageInputTokens": 271}, "media_exceed_input"),
        ({"reasoningTokens": 181}, "reasoning_exceeds_output"),
        ({"audioOutputTokens": 181}, "audio_exceeds_output"),
        ({"imageOutputTokens": 181}, "image_exceeds_output"),
        ({"inputTokens": None, "cachedInputTokens": 1}, "input_tokens_missing"),
        ({"outputTokens": None, "reasoningTokens": 1}, "output_tokens_missing"),
    ],
)
def test_counts_that_contradict_one_another_are_kept_and_marked(
    fields: dict[str, Any], reason: str
) -> None:
    event = accepted(**{**SENT, **fields})
    assert event.usage_quality == "inconsistent"
    problem = contradiction(event)
    assert problem is not None
    assert problem.reason == reason
    for wire, count in fields.items():
        assert getattr(event, native.FIELDS[wire]) == count, "kept as it was sent"


def test_the_contradiction_names_the_fields_the_numbers_and_the_remedy() -> None:
    problem = contradiction(accepted(**SENT, cachedInputTokens=541))
    assert problem is not None
    assert problem.message.startswith("cachedInputTokens 541 is more than inputTokens 540")
    assert "send the sum" in problem.message


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"cachedInputTokens": 541}, "input_tokens_exceeded"),
        ({"inputTokens": None, "cachedInputTokens": 1}, "input_tokens_not_reported"),
        ({"reasoningTokens": 181}, "output_tokens_exceeded"),
        ({"outputTokens": None, "reasoningTokens": 1}, "output_tokens_exceeded"),
    ],
)
def test_what_contradicts_itself_has_no_price_and_says_why(
    fields: dict[str, Any], reason: str
) -> None:
    rating = rating_of(accepted(**{**SENT, **fields}))
    assert (rating.pricing, rating.cost, rating.reason) == ("unpriced", None, reason)


def test_a_usage_object_that_contradicts_itself_is_kept() -> None:
    usage = {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6}}
    event = accepted(inputTokens=None, usage=usage)
    assert (event.input_tokens, event.cached_input_tokens) == (5, 6)
    assert event.usage_quality == "inconsistent"
    assert rating_of(event).pricing == "unpriced"


@pytest.mark.parametrize("impossible", [-1, 10**12])
def test_a_usage_object_with_a_count_that_cannot_be_is_kept_and_not_believed(
    impossible: int,
) -> None:
    usage = {"prompt_tokens": impossible, "completion_tokens": 3}
    event = accepted(inputTokens=None, outputTokens=None, usage=usage)
    assert (event.input_tokens, event.output_tokens) == (None, None)
    assert (event.usage_quality, event.usage_format) == ("inconsistent", None)
    assert event.usage is not None
    assert str(impossible) in event.usage
    rating = rating_of(event)
    assert (rating.pricing, rating.reason) == ("unpriced", "no_usage")
    beside = accepted(**SENT, usage=usage)
    assert (beside.input_tokens, beside.usage_quality) == (540, "inconsistent")


@pytest.mark.parametrize("field", ["inputTokens", "cachedInputTokens", "outputTokens"])
@pytest.mark.parametrize("impossible", [-1, MAX_TOKENS + 1])
def test_a_count_that_cannot_be_is_kept_as_it_was_sent_and_not_believed(
    field: str, impossible: int
) -> None:
    event = accepted(**{**SENT, field: impossible})
    assert getattr(event, native.FIELDS[field]) is None
    assert event.usage_quality == "inconsistent"
    assert event.usage == f'{{"{field}":{impossible}}}'
    usage = {"prompt_tokens": 7, "completion_tokens": 1}
    beside = accepted(**{**SENT, field: impossible}, usage=usage)
    assert (beside.input_tokens, beside.usage_quality) == (7, "inconsistent")
    alone = accepted(**{"inputTokens": None, "outputTokens": None, field: impossible})
    rating = rating_of(alone)
    assert (rating.pricing, rating.reason) == ("unpriced", "no_usage")


def test_an_unknown_tier_is_kept_at_the_standard_price_and_says_so() -> None:
    event = accepted(**SENT, serviceTier="Turbo-Plus")
    assert event.service_tier == "turbo-plus"
    rating, standard = rating_of(event), rating_of(accepted(**SENT))
    assert (rating.cost, rating.reason) == (standard.cost, "tier_not_priced:turbo-plus")


def test_a_class_that_was_not_reported_is_named_and_not_taken_for_zero() -> None:
    rating = rating_of(accepted(inputTokens=540, outputTokens=None))
    assert (rating.pricing, rating.reason) == ("priced", "output_not_reported")


@given(
    st.fixed_dictionaries({name: st.none() | st.integers(0, 5) for name in COUNTS}),
    st.sampled_from(["gpt-4o", "gemini-2.5-flash", "claude-sonnet-4-5"]),
)
def test_whatever_is_reported_is_priced_in_full_or_not_at_all(
    counts: dict[str, int | None], model: str
) -> None:
    wire = {ours: sent for sent, ours in native.FIELDS.items()}
    event = parse({**LEAST, **{wire[name]: count for name, count in counts.items()}})
    if not isinstance(event, UsageEvent):
        return
    assert (contradiction(event) is not None) == (event.usage_quality == "inconsistent")
    rating = rated(event, book(), model=model)
    if rating.cost is None:
        assert rating.reason
        return
    used = sum((Decimal(line.quantity) for line in rating.lines), Decimal(0))
    if rating.reason is None:
        assert used == (event.input_tokens or 0) + (event.output_tokens or 0)
