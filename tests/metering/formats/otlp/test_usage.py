"""What the token counts of a span mean: every spelling, and what the input includes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.formats.genai_names import COUNTS
from tests.metering.formats.otlp.requests import report

CALL: dict[str, object] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "a-model"}
CLAUDE: dict[str, object] = {**CALL, "gen_ai.provider.name": "anthropic"}
OLD_READ = "gen_ai.usage.cache_read_input_tokens"
OLD_WRITE = "gen_ai.usage.cache_creation_input_tokens"
NEW_READ = "gen_ai.usage.cache_read.input_tokens"
NEW_WRITE = "gen_ai.usage.cache_creation.input_tokens"
INPUT, OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
TOTAL = "gen_ai.usage.total_tokens"
NAMES = (
    *("input_tokens", "cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens"),
    *("output_tokens", "reasoning_tokens", "audio_input_tokens", "audio_output_tokens"),
    *("image_input_tokens", "image_output_tokens", "units", "usage", "usage_quality"),
)


def usage(attributes: dict[str, object], **more: Any) -> dict[str, object]:
    fields = report(attributes, **more).fields
    return {name: fields[name] for name in NAMES if name in fields}


FIELD = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cached_input_tokens",
    "cache_write": "cache_write_tokens",
    "cache_write_5m": "cache_write_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "reasoning": "reasoning_tokens",
    "audio_input": "audio_input_tokens",
    "audio_output": "audio_output_tokens",
    "image_input": "image_input_tokens",
    "image_output": "image_output_tokens",
}


@pytest.mark.parametrize(
    ("fact", "name"),
    [(fact, name) for fact, names in COUNTS.items() for name in names if fact in FIELD],
)
def test_every_spelling_of_a_count_is_read(fact: str, name: str) -> None:
    told: dict[str, object] = {INPUT: 1000, OUTPUT: 1000} if fact not in ("input", "output") else {}
    found = usage({**CALL, "gen_ai.provider.name": "openai", **told, name: 7})
    assert found[FIELD[fact]] == 7
    assert "usage_quality" not in found


def test_one_count_under_two_names_is_counted_once() -> None:
    told = {INPUT: 50000, "gen_ai.usage.prompt_tokens": 50000, "llm.token_count.prompt": 50000}
    cached = {NEW_READ: 40000, OLD_READ: 40000, "gen_ai.usage.details.cache_read_tokens": 40000}
    assert usage({**CLAUDE, **told, **cached, OUTPUT: 200}) == {
        "input_tokens": 50000,
        "cached_input_tokens": 40000,
        "output_tokens": 200,
    }


CACHED = {OLD_READ: 20000, OLD_WRITE: 5000, OUTPUT: 800}
INSIDE = {
    "input_tokens": 30000,
    "cached_input_tokens": 20000,
    "cache_write_tokens": 5000,
    "output_tokens": 800,
}
BESIDE = {**INSIDE, "input_tokens": 55000}


@pytest.mark.parametrize(
    ("told", "scope", "expected"),
    [
        ({}, "opentelemetry.instrumentation.anthropic", INSIDE),
        ({}, "opentelemetry.instrumentation.bedrock", BESIDE),
        ({}, "openinference.instrumentation.anthropic", INSIDE),
        ({}, "pydantic-ai", INSIDE),
        ({}, "litellm", INSIDE),
        # nobody known made it, and nothing else tells
        ({}, "own", {**INSIDE, "usage_quality": "inconsistent"}),
        ({}, "logfire.anthropic", {**INSIDE, "usage_quality": "inconsistent"}),
        # a total tells
        ({TOTAL: 30800}, "own", INSIDE),
        ({TOTAL: 55800}, "own", BESIDE),
        # a library that adds up input and output only, whatever the input is
        ({TOTAL: 30800}, "opentelemetry.instrumentation.bedrock", BESIDE),
        # arithmetic knows better than what is known of a library
        ({TOTAL: 55800}, "opentelemetry.instrumentation.anthropic", BESIDE),
        ({TOTAL: 1}, "litellm", {**INSIDE, "usage_quality": "inconsistent"}),
        # the provider's own counts include the cache
        ({"gen_ai.provider.name": "openai"}, "own", INSIDE),
        ({"gen_ai.provider.name": "gcp.gemini"}, "own", INSIDE),
        # names that came with the rule
        ({NEW_READ: 20000}, "own", INSIDE),
        ({"gen_ai.usage.cache_write.input_tokens": 5000}, "own", INSIDE),
        ({}, "opentelemetry.instrumentation.genai.anthropic", INSIDE),
        ({}, "com.anthropic.sdk.python", INSIDE),
        ({"gen_ai.usage.input_tokens.cached": 20000}, "own", INSIDE),
        ({"llm.token_count.prompt_details.cache_read": 20000}, "own", INSIDE),
        ({"ai.usage.inputTokenDetails.cacheReadTokens": 20000}, "ai", INSIDE),
        ({"ai.usage.cachedInputTokens": 20000}, "ai", BESIDE),
    ],
)
def test_who_made_the_span_tells_what_its_input_includes(
    told: dict[str, object], scope: str, expected: dict[str, object]
) -> None:
    assert usage({**CLAUDE, INPUT: 30000, **CACHED, **told}, scope=scope) == expected


def test_a_cache_that_is_more_than_the_input_was_left_out_of_it() -> None:
    for scope in ("own", "pydantic-ai", "opentelemetry.instrumentation.anthropic"):
        told = {**CLAUDE, INPUT: 7, NEW_READ: 16399, NEW_WRITE: 2089, OUTPUT: 445}
        assert usage(told, scope=scope) == {
            "input_tokens": 18495,
            "cached_input_tokens": 16399,
            "cache_write_tokens": 2089,
            "output_tokens": 445,
        }


def test_writes_by_time_to_live_are_part_of_all_writes() -> None:
    told = {**CLAUDE, INPUT: 9000, OUTPUT: 5, NEW_READ: 0}
    hour = "gen_ai.usage.cache_creation.ephemeral_1h_input_tokens"
    short = "gen_ai.usage.cache_creation.ephemeral_5m_input_tokens"
    client = "anthropic.usage.cache_creation.ephemeral_1h_input_tokens"
    assert usage({**told, NEW_WRITE: 5000, client: 2000})["cache_write_1h_tokens"] == 2000
    assert usage({**told, short: 3000, hour: 2000})["cache_write_tokens"] == 5000
    assert usage({**told, NEW_WRITE: 5000, short: 3000, hour: 2000})["cache_write_tokens"] == 5000
    # a split that does not sum: what was written is not lost
    assert usage({**told, NEW_WRITE: 8000, short: 0, hour: 0})["cache_write_tokens"] == 8000


@pytest.mark.parametrize(
    ("told", "output", "doubted"),
    [
        ({OUTPUT: 100, "gen_ai.usage.reasoning.output_tokens": 80}, 100, False),
        ({OUTPUT: 20, "gen_ai.usage.reasoning.output_tokens": 80}, 100, False),
        ({OUTPUT: 90, "gen_ai.usage.reasoning.output_tokens": 80, TOTAL: 180}, 170, False),
        ({OUTPUT: 90, "gen_ai.usage.reasoning.output_tokens": 80, TOTAL: 100}, 90, False),
        ({OUTPUT: 845, TOTAL: 2023, "gen_ai.provider.name": "gcp.vertex_ai"}, 2013, True),
        ({OUTPUT: 845, TOTAL: 2023}, 845, True),
    ],
)
def test_reasoning_is_inside_the_output_unless_arithmetic_says_otherwise(
    told: dict[str, object], output: int, doubted: object
) -> None:
    found = usage({**CALL, INPUT: 10, **told})
    assert found["output_tokens"] == output
    assert ("usage_quality" in found) is doubted


def test_a_total_tells_the_side_that_is_missing() -> None:
    assert usage({**CALL, INPUT: 30, TOTAL: 70}) == {"input_tokens": 30, "output_tokens": 40}
    assert usage({**CALL, OUTPUT: 30, TOTAL: 70}) == {"input_tokens": 40, "output_tokens": 30}
    embedded = {"gen_ai.operation.name": "embeddings", TOTAL: 70}
    assert usage(embedded) == {"input_tokens": 70, "output_tokens": 0}
    assert usage({**CALL, TOTAL: 70}) == {"input_tokens": 70, "usage_quality": "inconsistent"}


@pytest.mark.parametrize("count", [-1, 10**10, "many", "1e3", 1.5, True, "9" * 30])
def test_what_is_no_count_is_doubted_and_not_believed(count: object) -> None:
    assert usage({**CALL, INPUT: count, OUTPUT: 5}) == {
        "output_tokens": 5,
        "usage_quality": "inconsistent",
    }


def test_searches_are_units() -> None:
    told = {**CALL, INPUT: 5, OUTPUT: 5, "gen_ai.usage.details.web_search_requests": 2}
    assert usage(told)["units"] == {"web_search": "2"}


def test_the_providers_own_object_goes_before_the_attributes() -> None:
    own = {"input_tokens": 7, "cache_read_input_tokens": 16399, "output_tokens": 445}
    told = {
        **CALL,
        INPUT: 1,
        "ai.response.providerMetadata": json.dumps({"anthropic": {"usage": own}}),
    }
    assert usage(told) == {"usage": own}
    assert report(told).fields["usage_format"] == "anthropic"


def test_the_vercel_sdk_tells_of_bedrocks_cache_in_its_metadata() -> None:
    metadata = {"bedrock": {"usage": {"cacheReadInputTokens": 4482, "cacheWriteInputTokens": 50}}}
    told = {
        **CALL,
        "ai.usage.inputTokens": 10,
        "ai.usage.outputTokens": 5,
        "ai.response.providerMetadata": json.dumps(metadata),
    }
    assert usage(told) == {
        "input_tokens": 4542,
        "cached_input_tokens": 4482,
        "cache_write_tokens": 50,
        "output_tokens": 5,
    }


def test_langfuses_details_are_read_as_langfuse_reads_them() -> None:
    told: dict[str, object] = {"langfuse.observation.type": "generation"}
    name = "langfuse.observation.usage_details"
    buckets = {"input": 100, "input_cached_tokens": 50, "output": 20, "total": 170}
    found = report({**told, name: json.dumps(buckets)}).fields
    assert (found["usage"], found["usage_format"]) == (buckets, "langfuse")
    for malformed in ("not json{{{", "[100, 200]", "42", 12345):
        assert usage({**told, name: malformed}) == {}


def test_langsmith_writes_details_as_python_does() -> None:
    told = {
        **CALL,
        INPUT: 26000,
        OUTPUT: 800,
        "gen_ai.usage.input_token_details": "{'cache_read': 20000, 'cache_creation': 5000}",
        "gen_ai.usage.output_token_details": "{'reasoning': 300}",
    }
    assert usage(told, scope="langsmith") == {
        "input_tokens": 26000,
        "cached_input_tokens": 20000,
        "cache_write_tokens": 5000,
        "output_tokens": 800,
        "reasoning_tokens": 300,
    }


def test_genkits_output_is_looked_at_for_its_usage_only() -> None:
    said = {
        "message": {"content": [{"text": "a secret"}]},
        "usage": {"inputTokens": 1618, "outputTokens": 337, "thoughtsTokens": 320},
    }
    item = report({"genkit:metadata:subtype": "model", "genkit:output": json.dumps(said)})
    assert "secret" not in repr(item)
    assert item.fields["input_tokens"] == 1618
    assert item.fields["output_tokens"] == 337
    assert item.fields["reasoning_tokens"] == 320


counts = st.integers(0, 10**9)


@given(
    st.dictionaries(
        st.sampled_from([name for names in COUNTS.values() for name in names]),
        counts | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
    ),
    st.sampled_from(["own", "pydantic-ai", "opentelemetry.instrumentation.bedrock", "ai"]),
    st.sampled_from(["openai", "anthropic", "aws.bedrock", "nobody"]),
)
def test_counts_of_any_kind_come_to_counts(
    told: dict[str, object], scope: str, provider: str
) -> None:
    found = usage({**CALL, "gen_ai.provider.name": provider, **told}, scope=scope)
    for name in NAMES[:-3]:
        value = found.get(name)
        assert value is None or (isinstance(value, int) and value >= 0)


@given(counts, counts, counts, counts, st.sampled_from(["own", "litellm", "ai"]))
def test_nothing_is_cut_off(into: int, out: int, read: int, written: int, scope: str) -> None:
    told = {INPUT: into, OUTPUT: out, OLD_READ: read, OLD_WRITE: written}
    found = usage({**CLAUDE, **told}, scope=scope)
    assert found["cached_input_tokens"] == read
    assert found["cache_write_tokens"] == written
    assert found["output_tokens"] == out
    assert found["input_tokens"] in (into, into + read + written)
    assert int(str(found["input_tokens"])) >= read + written
