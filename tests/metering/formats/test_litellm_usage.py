"""LiteLLM's records: usage as it writes it, as its providers make it differ."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from metering.domain.usage import Rejection
from tests.metering.formats.litellm_records import (
    USAGE,
    about,
    event,
    parse,
    record,
)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        # Anthropic's, as LiteLLM brings it: the input includes the cache
        (
            {
                "prompt_tokens": 26_000,
                "completion_tokens": 800,
                "total_tokens": 26_800,
                "cache_read_input_tokens": 20_000,
                "cache_creation_input_tokens": 5_000,
                "prompt_tokens_details": {
                    "cached_tokens": 20_000,
                    "cache_creation_tokens": 5_000,
                    "cache_creation_token_details": {
                        "ephemeral_5m_input_tokens": 3_000,
                        "ephemeral_1h_input_tokens": 2_000,
                    },
                },
            },
            (26_000, 20_000, 5_000, 2_000, 800),
        ),
        # the same, passed through without the cache in the input: more was read than came in
        (
            {
                "prompt_tokens": 1_000,
                "completion_tokens": 800,
                "total_tokens": 1_800,
                "cache_read_input_tokens": 20_000,
                "cache_creation_input_tokens": 5_000,
            },
            (26_000, 20_000, 5_000, None, 800),
        ),
        # a split that LiteLLM itself leaves at 0 beside its aggregate
        (
            {
                "prompt_tokens": 27_506,
                "completion_tokens": 690,
                "cache_creation_input_tokens": 12_229,
                "cache_read_input_tokens": 14_942,
                "prompt_tokens_details": {
                    "cache_creation_token_details": {
                        "ephemeral_5m_input_tokens": 0,
                        "ephemeral_1h_input_tokens": 0,
                    }
                },
            },
            (27_506, 14_942, 12_229, 0, 690),
        ),
        # Anthropic's own object, where no transformation took place
        (
            {
                "input_tokens": 1_000,
                "output_tokens": 800,
                "cache_read_input_tokens": 500,
                "cache_creation_input_tokens": 100,
            },
            (1_600, 500, 100, None, 800),
        ),
        # an embedding: LiteLLM leaves the total at 0
        (
            {"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 0},
            (10, None, None, None, 0),
        ),
    ],
)
def test_the_input_includes_what_the_cache_read_and_wrote(
    usage: dict[str, Any], counts: tuple[int | None, ...]
) -> None:
    provider = "openai" if usage.get("total_tokens") == 0 else "anthropic"
    found = event(record(metadata=about(usage_object=usage), custom_llm_provider=provider))
    assert (
        found.input_tokens,
        found.cached_input_tokens,
        found.cache_write_tokens,
        found.cache_write_1h_tokens,
        found.output_tokens,
    ) == counts
    assert found.usage_quality == "provider_reported"


def test_searches_and_pictures_are_units() -> None:
    usage = {
        **USAGE,
        "server_tool_use": {"web_search_requests": 2},
        "output_image_count": 3,
    }
    assert event(record(metadata=about(usage_object=usage))).units == {
        "web_search": Decimal(2),
        "images": Decimal(3),
    }


def test_without_a_usage_object_the_totals_count() -> None:
    found = event(record(metadata={}))
    assert (found.input_tokens, found.output_tokens) == (1000, 200)
    assert (found.usage, found.usage_quality) == (None, "reported")


def test_a_successful_call_without_usage_is_missing_not_free() -> None:
    found = event(record(metadata={}, prompt_tokens=0, completion_tokens=0))
    assert (found.input_tokens, found.output_tokens) == (None, None)
    assert (found.usage, found.usage_quality) == (None, "missing")
    zeros = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), 0)
    assert event(record(metadata=about(usage_object=zeros))).usage_quality == "missing"


@pytest.mark.parametrize("kind", ["alist_batches", "aretrieve_file", "acreate_batch"])
def test_what_runs_no_model_is_no_usage(kind: str) -> None:
    found = parse(record(call_type=kind, metadata={}, prompt_tokens=0, completion_tokens=0))
    assert isinstance(found, Rejection)
    assert found.reason == "no_usage"


def test_a_batch_that_was_read_back_with_its_usage_counts_as_a_batch() -> None:
    assert event(record(call_type="aretrieve_batch")).batch is True
