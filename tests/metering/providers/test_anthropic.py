"""Anthropic's usage: the cache's times to live, and answers that several requests made."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from metering.providers import anthropic


def test_a_ttl_split_that_does_not_sum_leaves_the_aggregate() -> None:
    counts = anthropic.usage_counts(
        {
            "input_tokens": 335,
            "output_tokens": 690,
            "cache_creation_input_tokens": 12229,
            "cache_read_input_tokens": 14942,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "server_tool_use": {"web_search_requests": 1},
        }
    )
    assert counts.input_tokens == 27506
    assert counts.cache_write_tokens == 12229
    assert counts.cache_write_1h_tokens == 0
    assert counts.units == {"web_search": Decimal(1)}
    assert counts.doubts == ("cache_ttl_split_does_not_sum",)


def test_anthropic_split_alone_makes_the_aggregate() -> None:
    counts = anthropic.usage_counts(
        {
            "input_tokens": 1,
            "output_tokens": 2,
            "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 12},
            "output_tokens_details": {"thinking_tokens": 2},
            "service_tier": "priority",
        }
    )
    assert (counts.input_tokens, counts.cache_write_tokens) == (43, 42)
    assert (counts.cache_write_1h_tokens, counts.reasoning_tokens) == (12, 2)
    assert counts.service_tier == "priority"
    assert counts.doubts == ()


def test_a_compaction_is_in_the_iterations_only() -> None:
    counts = anthropic.usage_counts(
        {
            "input_tokens": 100,
            "output_tokens": 10,
            "iterations": [
                {"type": "compaction", "input_tokens": 5000, "output_tokens": 300},
                {"type": "message", "input_tokens": 100, "output_tokens": 10},
            ],
        }
    )
    assert (counts.input_tokens, counts.output_tokens) == (5100, 310)
    assert counts.doubts == ()


ADVISED = {
    "input_tokens": 2390,
    "output_tokens": 121,
    "iterations": [
        {"type": "message", "input_tokens": 1128, "output_tokens": 110},
        {
            "type": "advisor_message",
            "model": "claude-opus-4-8",
            "input_tokens": 2518,
            "output_tokens": 22,
        },
        {"type": "message", "input_tokens": 1262, "output_tokens": 11},
    ],
}
DECLINED: dict[str, Any] = {
    "input_tokens": 40,
    "output_tokens": 8,
    "iterations": [
        {"type": "message", "input_tokens": 25, "output_tokens": 3},
        {
            "type": "fallback_message",
            "model": "claude-sonnet-4-5",
            "input_tokens": 40,
            "output_tokens": 8,
        },
    ],
}


def billed(usage: Mapping[str, object]) -> list[tuple[str | None, int | None, int | None, bool]]:
    return [
        (part.model, part.counts.input_tokens, part.counts.output_tokens, part.declined)
        for part in anthropic.billed_parts(usage)
    ]


def test_an_advisors_steps_are_the_advisors() -> None:
    counts = anthropic.usage_counts(ADVISED)
    assert (counts.input_tokens, counts.output_tokens, counts.doubts) == (2390, 121, ())
    assert counts.model_executed is None
    assert billed(ADVISED) == [
        (None, 1128, 110, False),
        (None, 1262, 11, False),
        ("claude-opus-4-8", 2518, 22, False),
    ]


def test_a_declined_attempt_is_billed_beside_the_answer() -> None:
    counts = anthropic.usage_counts(DECLINED)
    assert (counts.input_tokens, counts.output_tokens) == (40, 8)
    assert counts.model_executed == "claude-sonnet-4-5"
    assert billed(DECLINED) == [(None, 40, 8, False), ("", 25, 3, True)]
    named = copy.deepcopy(DECLINED)
    named["iterations"][0]["model"] = "claude-opus-4-7"
    assert billed(named) == [(None, 40, 8, False), ("claude-opus-4-7", 25, 3, True)]


def test_steps_that_name_the_answering_model_are_its_own() -> None:
    steps = [
        {"type": "message", "model": "claude-sonnet-5", "input_tokens": n, "output_tokens": 1}
        for n in (5, 6)
    ]
    usage = {"input_tokens": 11, "output_tokens": 2, "iterations": steps}
    assert [part.model for part in anthropic.billed_parts(usage)] == [None, None]
    assert anthropic.billed_parts({**usage, "iterations": steps[:1]}) == ()
    assert anthropic.billed_parts({"input_tokens": 1, "output_tokens": 1}) == ()


def test_steps_that_hold_less_than_the_top_level_leave_it_the_answers() -> None:
    usage = {**ADVISED, "input_tokens": 3000}
    assert anthropic.usage_counts(usage).input_tokens == 3000
    assert billed(usage) == [(None, 3000, 121, False), ("claude-opus-4-8", 2518, 22, False)]


def test_where_and_how_fast_anthropic_served_it() -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "service_tier": "standard"}
    counts = anthropic.usage_counts({**usage, "inference_geo": "us", "speed": "fast"})
    assert (counts.region, counts.service_tier) == ("us", "fast")
    for nowhere in ("global", "not_available", None):
        counts = anthropic.usage_counts({**usage, "inference_geo": nowhere, "speed": "standard"})
        assert (counts.region, counts.service_tier) == (None, "standard")
