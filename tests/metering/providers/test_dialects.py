"""What each provider's usage object means, against recorded bodies and published extractions."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from metering.domain.usage import COUNTS
from metering.formats.problems import contradiction
from metering.providers import bedrock, cohere, gemini, groq, openai
from metering.providers.counts import Counts, UnreadableUsage, figures
from metering.providers.dialects import READERS, SPELLINGS, read_usage

VECTOR_COUNTS = {
    "input_tokens": "input_tokens",
    "cache_read_tokens": "cached_input_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "output_tokens": "output_tokens",
    "output_reasoning_tokens": "reasoning_tokens",
    "input_audio_tokens": "audio_input_tokens",
    "output_audio_tokens": "audio_output_tokens",
    "input_image_tokens": "image_input_tokens",
    "output_image_tokens": "image_output_tokens",
}
NO_COUNT_OF_OURS = {
    "input_text_tokens": "what is left of the input when the other classes are taken off",
    "output_text_tokens": "what is left of the output",
    "cache_write_5m_tokens": "the cache write less its one-hour part",
    "input_tool_tokens": "billed as input, and in it",
    "input_text_tool_tokens": "billed as input, and in it",
    "input_video_tokens": "billed as text input by every price we know, and in it",
    "cache_text_read_tokens": "the cache's modality is not counted; the raw object keeps it",
    "cache_image_read_tokens": "the cache's modality is not counted; the raw object keeps it",
    "cache_audio_read_tokens": "the cache's modality is not counted; the raw object keeps it",
    "cache_video_read_tokens": "the cache's modality is not counted; the raw object keeps it",
}
FLAVOURS = {
    "openai": [("openai", "chat"), ("openai", "responses"), ("openai", "embeddings")],
    "anthropic": [("anthropic", "default")],
    "gemini": [("google", "default")],
    "groq": [("groq", "default")],
    "bedrock": [("aws", "default")],
    "cohere": [("cohere", "default"), ("cohere", "embeddings")],
}


def counted(counts: Counts) -> dict[str, int]:
    """The counts that are not zero: the published extractions leave zeros out."""
    found = {name: getattr(counts, name) or 0 for name in COUNTS}
    found["web_searches"] = int(counts.units.get("web_search", 0))
    return {name: count for name, count in found.items() if count}


def expected(extraction: Mapping[str, int]) -> dict[str, int]:
    unknown = set(extraction) - set(VECTOR_COUNTS) - set(NO_COUNT_OF_OURS) - {"web_searches"}
    assert not unknown, f"published counts nobody has thought about: {unknown}"
    found = {
        ours: extraction[theirs] for theirs, ours in VECTOR_COUNTS.items() if theirs in extraction
    }
    found["web_searches"] = extraction.get("web_searches", 0)
    return {name: count for name, count in found.items() if count}


def own_extraction(body: Mapping[str, Any], dialect: str) -> dict[str, int] | None:
    for flavour in FLAVOURS[dialect]:
        for entry in body["extracted"]:
            for extractor in entry["extractors"]:
                if (extractor["provider_id"], extractor["api_flavor"]) == flavour:
                    return dict(entry["usage"])
    return None


def test_every_published_body_is_read_as_published(shared_data: Path) -> None:
    rows = json.loads((shared_data / "genai-prices-vectors" / "usages.json").read_text())
    seen: dict[str, int] = {}
    for row in rows:
        body = row["body"]
        usage = body.get("usage") or body.get("usageMetadata")
        dialect, counts = read_usage(usage or body["meta"])
        # Which server answered is not in a body; a chat body has one meaning whoever sent it.
        want = own_extraction(row, dialect)
        assert want is not None, (dialect, usage)
        wanted, got = expected(want), counted(counts)
        if dialect == "openai":
            # OpenRouter counts web searches, and OpenAI's audio models images, in places that
            # the published extractor does not read.
            for more in ("web_searches", "image_input_tokens", "image_output_tokens"):
                if more not in wanted:
                    got.pop(more, None)
        assert got == wanted, usage
        assert contradiction(counts) is None
        seen[dialect] = seen.get(dialect, 0) + 1
    assert seen == {"openai": 440, "gemini": 237, "bedrock": 161, "anthropic": 159, "cohere": 11}
    assert sum(seen.values()) == len(rows) == 1008


def test_every_recorded_usage_is_read_and_adds_up(shared_data: Path) -> None:
    with (shared_data / "cassettes" / "index.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["usage_json"]]
    doubted = []
    compared: set[str] = set()
    for row in rows:
        usage = json.loads(row["usage_json"], parse_float=Decimal)
        _, counts = read_usage(usage, provider=row["provider"])
        assert contradiction(counts) is None
        # The index gives all bodies of one file the extraction that was published for its first.
        if row["expected_usage_json"] and row["genai_prices_row"] not in compared:
            compared.add(row["genai_prices_row"])
            got = counted(counts)
            want = expected(json.loads(row["expected_usage_json"]))
            assert got == want, row["file"]
        if counts.doubts:
            doubted.append((row["file"].rpartition("/")[2], counts.doubts))
    assert len(rows) == 79
    assert doubted == []


COMPOUND = {
    "prompt_tokens": 633,
    "completion_tokens": 110,
    "total_tokens": 743,
    "usage_breakdown": {
        "models": [
            {"model": "a", "usage": {"prompt_tokens": 138, "completion_tokens": 4}},
            {"model": "b", "usage": {"prompt_tokens": 495, "completion_tokens": 106}},
        ]
    },
}


def test_a_compound_system_is_billed_by_the_models_it_ran() -> None:
    dialect, counts = read_usage(COMPOUND)
    assert (dialect, counts.input_tokens, counts.doubts) == ("groq", 633, ())
    parts = groq.billed_parts(COMPOUND)
    assert [(part.model, part.counts.input_tokens) for part in parts] == [("a", 138), ("b", 495)]
    streamed = {"x_groq": {"usage": {"prompt_tokens": 633, "completion_tokens": 110},
                           "usage_breakdown": COMPOUND["usage_breakdown"]}}  # fmt: skip
    assert groq.billed_parts(streamed) == parts
    assert groq.billed_parts({**COMPOUND, "usage_breakdown": {"models": None}}) == ()


def test_a_breakdown_that_does_not_sum_is_doubted_and_not_billed() -> None:
    wrong = {**COMPOUND, "prompt_tokens": 634, "total_tokens": 744}
    assert groq.usage_counts(wrong).doubts == ("breakdown_does_not_sum",)
    assert groq.billed_parts(wrong) == ()


def test_cohere_bills_what_it_calls_billed() -> None:
    usage = {
        "billed_units": {"input_tokens": 2406, "output_tokens": 2, "search_units": 3},
        "cached_tokens": 2928,
        "tokens": {"input_tokens": 2935, "output_tokens": 4},
    }
    dialect, counts = read_usage(usage, provider="bedrock")
    assert (dialect, counts.input_tokens, counts.output_tokens) == ("cohere", 2406, 2)
    assert (counts.cached_input_tokens, counts.units) == (None, {"rerank_search": Decimal(3)})
    seen = cohere.usage_counts({"tokens": usage["tokens"], "cached_tokens": 2928})
    assert (seen.input_tokens, seen.cached_input_tokens) == (2935, 2928)


@pytest.mark.parametrize(
    ("traffic", "tier"),
    [
        ("ON_DEMAND", "on_demand"),
        ("ON_DEMAND_FLEX", "flex"),
        ("TrafficType.PROVISIONED_THROUGHPUT", "provisioned_throughput"),
        ("TRAFFIC_TYPE_UNSPECIFIED", None),
    ],
)
def test_vertex_says_the_tier_as_a_kind_of_traffic(traffic: str, tier: str | None) -> None:
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "trafficType": traffic}
    assert gemini.usage_counts(usage).service_tier == tier


def test_gemini_adds_tool_use_and_thoughts() -> None:
    usage = {
        "promptTokenCount": 264,
        "cachedContentTokenCount": 200,
        "candidatesTokenCount": 80,
        "thoughtsTokenCount": 920,
        "toolUsePromptTokenCount": 36,
        "totalTokenCount": 1300,
    }
    counts = gemini.usage_counts(usage)
    assert (counts.input_tokens, counts.cached_input_tokens) == (300, 200)
    assert (counts.output_tokens, counts.reasoning_tokens) == (1000, 920)
    assert counts.doubts == ()
    assert gemini.usage_counts({**usage, "totalTokenCount": 380}).doubts == ("total_does_not_sum",)


def test_gemini_in_the_spelling_of_its_python_sdk() -> None:
    usage = {
        "prompt_token_count": 10,
        "prompt_tokens_details": [
            {"modality": "AUDIO", "token_count": 4},
            {"modality": "DOCUMENT", "token_count": 3},
            {"modality": "MediaModality.IMAGE", "token_count": 2},
        ],
        "candidates_token_count": 5,
        "cached_content_token_count": None,
        "total_token_count": 15,
    }
    dialect, counts = read_usage(usage, provider="whoever")
    assert dialect == "gemini"
    assert (counts.input_tokens, counts.output_tokens) == (10, 5)
    assert (counts.audio_input_tokens, counts.image_input_tokens) == (4, 5)
    assert counts.cached_input_tokens is None


def test_openai_responses_with_cache_writes() -> None:
    counts = openai.usage_counts(
        {
            "input_tokens": 220000,
            "input_tokens_details": {"cached_tokens": 140000, "cache_write_tokens": 20000},
            "output_tokens": 4000,
            "output_tokens_details": {"reasoning_tokens": 1000},
            "total_tokens": 224000,
        }
    )
    assert counted(counts) == {
        "input_tokens": 220000,
        "cached_input_tokens": 140000,
        "cache_write_tokens": 20000,
        "output_tokens": 4000,
        "reasoning_tokens": 1000,
    }


def test_openai_images_and_sound() -> None:
    counts = openai.usage_counts(
        {
            "input_tokens": 50,
            "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
            "output_tokens": 1056,
            "output_tokens_details": {"image_tokens": 1056},
            "total_tokens": 1106,
        }
    )
    assert (counts.image_input_tokens, counts.image_output_tokens) == (40, 1056)
    counts = openai.usage_counts({"type": "duration", "seconds": Decimal("7.4")})
    assert counts.units == {"audio_seconds": Decimal("7.4")}
    assert counts.input_tokens is None


def test_deepseeks_older_cache_fields() -> None:
    usage = {
        "prompt_cache_hit_tokens": 896,
        "prompt_cache_miss_tokens": 80,
        "completion_tokens": 61,
        "total_tokens": 1037,
    }
    counts = openai.usage_counts(usage)
    assert (counts.input_tokens, counts.cached_input_tokens) == (976, 896)
    both = {**usage, "prompt_tokens": 976, "prompt_tokens_details": {"cached_tokens": 800}}
    assert openai.usage_counts(both).doubts == ("cached_counts_differ",)
    assert openai.usage_counts(both).cached_input_tokens == 800


def test_reasoning_beside_the_completion_is_added_where_the_total_shows_it() -> None:
    usage = {
        "prompt_tokens": 687,
        "completion_tokens": 75,
        "completion_tokens_details": {"reasoning_tokens": 165},
        "total_tokens": 927,
    }
    assert openai.usage_counts(usage).output_tokens == 240
    assert openai.usage_counts({**usage, "total_tokens": 762}).output_tokens == 75
    assert openai.usage_counts({**usage, "total_tokens": 900}).doubts == ("total_does_not_sum",)


def test_groq_in_a_stream_and_out_of_one() -> None:
    plain = {"prompt_tokens": 12, "completion_tokens": 26, "total_tokens": 38}
    streamed = {"x_groq": {"id": "req", "usage": plain}}
    hardware = {**plain, "x_groq": {"usage": {"dram_cached_tokens": 3}}}
    assert groq.usage_counts(plain) == groq.usage_counts(streamed) == groq.usage_counts(hardware)
    assert read_usage(plain, provider="groq").dialect == "groq"
    assert read_usage(streamed, provider="").dialect == "groq"


def test_bedrock_adds_the_cache_to_the_input() -> None:
    usage = {
        "inputTokens": 10,
        "outputTokens": 5,
        "totalTokens": 415,
        "cacheReadInputTokens": 100,
        "cacheWriteInputTokens": 300,
        "cacheDetails": [{"ttl": "5m", "inputTokens": 200}, {"ttl": "1h", "inputTokens": 100}],
    }
    counts = bedrock.usage_counts(usage)
    assert (counts.input_tokens, counts.cached_input_tokens) == (410, 100)
    assert (counts.cache_write_tokens, counts.cache_write_1h_tokens) == (300, 100)
    assert counts.doubts == ()
    wrong = {**usage, "cacheDetails": [{"ttl": "1h", "inputTokens": 100}], "totalTokens": 15}
    assert bedrock.usage_counts(wrong).doubts == (
        "cache_ttl_split_does_not_sum",
        "total_does_not_sum",
    )


def test_perplexity_counts_searches_by_the_size_of_their_context() -> None:
    said = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
    for more, units in (
        ({}, {}),
        ({"search_context_size": "low"}, {"web_searches_low": 1}),
        ({"search_context_size": "HIGH", "num_search_queries": 3}, {"web_searches_high": 3}),
        ({"search_context_size": "vast"}, {}),
        ({"num_search_queries": 18}, {"web_search": 18}),
        ({"tool_calls_details": {"search_web": {"invocation": 2}}}, {"web_search": 2}),
    ):
        dialect, counts = read_usage({**said, **more}, provider="perplexity")
        assert (dialect, counts.doubts) == ("perplexity", ())
        assert counts.units == units
        assert (counts.input_tokens, counts.output_tokens) == (1000, 500)
    assert read_usage({**said, "search_context_size": "low"}).dialect == "perplexity"
    assert figures({"search_context_size": "low", "note": "a prompt"}) == {
        "search_context_size": "low"
    }


def test_perplexitys_reasoning_and_citations_are_beside_the_completion() -> None:
    deep = {
        "prompt_tokens": 33,
        "completion_tokens": 7163,
        "total_tokens": 7196,
        "citation_tokens": 20016,
        "num_search_queries": 18,
        "reasoning_tokens": 73997,
    }
    _, counts = read_usage(deep, provider="perplexity_ai")
    assert (counts.output_tokens, counts.reasoning_tokens) == (7163 + 20016 + 73997, 73997)
    assert counts.units == {"web_search": 18, "output_citation_tokens": 20016}
    assert contradiction(counts) is None


def test_keys_say_more_than_the_providers_name() -> None:
    claude = {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 9}
    assert read_usage(claude, provider="bedrock").dialect == "anthropic"
    assert read_usage(claude, provider="bedrock").counts.input_tokens == 10
    assert read_usage({"input_tokens": 1}, provider="anthropic").dialect == "anthropic"
    assert read_usage({"input_tokens": 1}, provider="my-server").dialect == "openai"


def test_every_spelling_leads_to_a_reader() -> None:
    assert set(SPELLINGS.values()) == set(READERS)
    assert read_usage({"prompt_tokens": 3}, declared="OpenAI_Chat").counts.input_tokens == 3


@pytest.mark.parametrize("dialect", sorted(READERS))
def test_an_object_without_counts_is_unreadable_in_every_dialect(dialect: str) -> None:
    with pytest.raises(UnreadableUsage, match="usage"):
        READERS[dialect]({"words": 3})


@pytest.mark.parametrize("bad", ["12", 1.5, Decimal("1.5"), True, -1, 10**12, [1]])
def test_a_count_that_is_none_is_unreadable(bad: object) -> None:
    with pytest.raises(UnreadableUsage, match="prompt_tokens"):
        openai.usage_counts({"prompt_tokens": bad})
