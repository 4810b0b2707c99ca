"""A native event with the provider's own usage object: what wins, and what is doubted."""

from __future__ import annotations

import json

from tests.metering.formats.native_events import accepted

USAGE = {
    "prompt_tokens": 540,
    "completion_tokens": 180,
    "total_tokens": 720,
    "prompt_tokens_details": {"cached_tokens": 300},
    "cost": 0.1,
}


def test_the_providers_usage_wins_and_is_kept_canonical() -> None:
    event = accepted(inputTokens=None, outputTokens=None, usage=USAGE)
    assert (event.input_tokens, event.cached_input_tokens, event.output_tokens) == (540, 300, 180)
    assert event.usage_quality == "provider_reported"
    assert event.usage_format == "openai"
    assert event.usage == (
        '{"completion_tokens":180,"cost":0.1,"prompt_tokens":540,'
        '"prompt_tokens_details":{"cached_tokens":300},"total_tokens":720}'
    )


def test_counts_that_differ_from_the_usage_are_kept_apart_as_inconsistent() -> None:
    event = accepted(inputTokens=240, usage=USAGE)
    assert event.input_tokens == 540
    assert event.usage_quality == "inconsistent"
    assert accepted(usage=USAGE).usage_quality == "provider_reported"


def test_a_count_the_usage_is_silent_about_stays_if_it_can_be_true() -> None:
    assert accepted(usage=USAGE, reasoningTokens=100).reasoning_tokens == 100
    event = accepted(usage=USAGE, reasoningTokens=181)
    assert event.reasoning_tokens is None
    assert event.usage_quality == "inconsistent"


def test_units_of_the_usage_win_too() -> None:
    usage = {"input_tokens": 5, "output_tokens": 1, "server_tool_use": {"web_search_requests": 2}}
    event = accepted(
        inputTokens=5, outputTokens=1, usage=usage, usageFormat="anthropic", units={"images": 1}
    )
    assert event.units == {"images": 1, "web_search": 2}
    assert event.usage_quality == "provider_reported"
    event = accepted(usage=usage, usageFormat="anthropic", units={"web_search": 3})
    assert event.units == {"web_search": 2}
    assert event.usage_quality == "inconsistent"


def test_no_text_is_kept_with_the_usage_but_the_words_that_dialects_have() -> None:
    said = "a prompt that somebody wrote"
    event = accepted(
        usage={
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "cost": "0.00012",
            "service_tier": "flex",
            "note": said,
            said: 1,
            "prompt_tokens_details": {"cached_tokens": 3, "text": said, "type": "text"},
            "messages": [{"content": said}, said, {"tokens": 1}],
            "model": said * 10,
        }
    )
    assert event.usage is not None
    assert said not in event.usage
    assert json.loads(event.usage) == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cost": "0.00012",
        "service_tier": "flex",
        "prompt_tokens_details": {"cached_tokens": 3, "type": "text"},
        "messages": [{}, {"tokens": 1}],
    }
