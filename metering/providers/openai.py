"""OpenAI's usage objects, and those of the many servers that speak its dialect.

Chat completions and embeddings say `prompt_tokens`, responses, images, transcriptions and the
realtime API say `input_tokens`; both include what was read from or written to the cache, and
outputs include reasoning. Rejected prediction tokens are billed as output and stay in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from metering.providers.counts import Counts, UnreadableUsage, added, count, first, part, units


def usage_counts(usage: Mapping[str, object]) -> Counts:
    """Read a `usage` object. Raises `UnreadableUsage` if it holds no count of this dialect.

    xAI reports reasoning beside `completion_tokens`, not in it; its `total_tokens` shows that,
    and then reasoning is added to the output.
    """
    if usage.get("type") == "duration" or ("seconds" in usage and "input_tokens" not in usage):
        return Counts(units=_seconds(usage))
    inside = part(usage, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    outside = part(
        usage, "completion_tokens_details", "output_tokens_details", "output_token_details"
    )
    hits, misses = (
        count(usage, "prompt_cache_hit_tokens"),
        count(usage, "prompt_cache_miss_tokens"),
    )
    into = first(usage, "prompt_tokens", "input_tokens")
    out = first(usage, "completion_tokens", "output_tokens")
    if into is None:
        into = added(hits, misses)
    if into is None and out is None:
        raise UnreadableUsage(
            "usage: neither prompt_tokens nor input_tokens nor an output count is there, as the "
            "openai dialect has them; name the dialect in usageFormat"
        )
    cached = count(inside, "cached_tokens")
    legacy = first(usage, "prompt_cache_hit_tokens", "cached_tokens")
    reasoning = count(outside, "reasoning_tokens")
    total = count(usage, "total_tokens")
    doubts = []
    if cached is not None and legacy is not None and cached != legacy:
        doubts.append("cached_counts_differ")
    if total is not None and total != (into or 0) + (out or 0):
        if reasoning and total == (into or 0) + (out or 0) + reasoning:
            out = (out or 0) + reasoning
        else:
            doubts.append("total_does_not_sum")
    searches = first(
        part(usage, "server_tool_use_details", "server_tool_use"), "web_search_requests"
    )
    if searches is None:
        searches = count(part(part(usage, "tool_usage"), "web_search"), "num_requests")
    return Counts(
        input_tokens=into,
        cached_input_tokens=legacy if cached is None else cached,
        cache_write_tokens=count(inside, "cache_write_tokens"),
        output_tokens=out,
        reasoning_tokens=reasoning,
        audio_input_tokens=count(inside, "audio_tokens"),
        audio_output_tokens=count(outside, "audio_tokens"),
        image_input_tokens=count(inside, "image_tokens"),
        image_output_tokens=count(outside, "image_tokens"),
        units=units(web_search=searches),
        doubts=tuple(doubts),
    )


def _seconds(usage: Mapping[str, object]) -> dict[str, Decimal]:
    """Speech models billed by the length of the sound."""
    value = usage.get("seconds")
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value < 0:
        raise UnreadableUsage(f"usage: seconds is {value!r:.60}; a length is a number from 0 up")
    return {"audio_seconds": Decimal(value)}
