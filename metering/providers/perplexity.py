"""Perplexity's usage object: OpenAI's, with the searches that went into the answer.

Reasoning and citations are counted beside `completion_tokens`, not in them, and are output like
the rest. The fee for a request hangs on `search_context_size`, so what was searched is counted
under that size where it is told; a request that tells the size and no number of searches made one.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from metering.domain.units import SEARCH_SIZES
from metering.providers import openai
from metering.providers.counts import Counts, added, count, first, part, text

OWN_KEYS: Final = frozenset(
    {"search_context_size", "num_search_queries", "citation_tokens", "tool_calls_details"}
)


def usage_counts(usage: Mapping[str, object]) -> Counts:
    """Read a `usage` object. Raises `UnreadableUsage` if it holds no count of OpenAI's dialect."""
    counts = openai.usage_counts(usage)
    citations = count(usage, "citation_tokens")
    beside = count(usage, "reasoning_tokens") if counts.reasoning_tokens is None else None
    cached = counts.cached_input_tokens
    if cached is None:
        cached = first(part(usage, "input_tokens_details"), "cache_read_input_tokens")
    units = dict(counts.units)
    searches = units.pop("web_search", Decimal(0)) or _searches(usage)
    size = (text(usage, "search_context_size") or "").lower()
    if size in SEARCH_SIZES:
        units[f"web_searches_{size}"] = searches or Decimal(1)
    elif searches:
        units["web_search"] = searches
    if citations:
        units["output_citation_tokens"] = Decimal(citations)
    return msgspec.structs.replace(
        counts,
        cached_input_tokens=cached,
        output_tokens=added(counts.output_tokens, beside, citations),
        reasoning_tokens=counts.reasoning_tokens if beside is None else beside,
        units=units,
    )


def _searches(usage: Mapping[str, object]) -> Decimal:
    invoked = part(part(usage, "tool_calls_details"), "search_web")
    found = first(usage, "num_search_queries")
    return Decimal(first(invoked, "invocation") or 0 if found is None else found)
