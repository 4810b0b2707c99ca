"""The usage object that LiteLLM logs: every provider's, brought into OpenAI's shape with additions.

Its `prompt_tokens` includes what the cache read and wrote, for Anthropic too. Cache writes stand at
the top (`cache_creation_input_tokens`) and, with their split by time to live, inside
`prompt_tokens_details`; pictures that were made are counted (`output_image_count`).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from metering.providers import openai
from metering.providers.counts import Counts, added, count, first, part


def usage_counts(usage: Mapping[str, object]) -> Counts:
    """Read a `usage_object`. Raises `UnreadableUsage`.

    What the cache read and wrote can be no more than the whole input. Where it is, the object was
    passed through with its input left apart from the cache, and the input is the sum: arithmetic
    leaves no other reading.
    """
    if usage.get("total_tokens") == 0:  # not told: LiteLLM's default
        usage = {name: value for name, value in usage.items() if name != "total_tokens"}
    told = openai.usage_counts(usage)
    inside = part(usage, "prompt_tokens_details", "input_tokens_details")
    split = part(inside, "cache_creation_token_details")
    five = count(split, "ephemeral_5m_input_tokens")
    hour = count(split, "ephemeral_1h_input_tokens")
    written = _most(
        told.cache_write_tokens,
        count(usage, "cache_creation_input_tokens"),
        count(inside, "cache_creation_tokens"),
        added(five, hour),
    )
    cached = _most(told.cached_input_tokens, count(usage, "cache_read_input_tokens"))
    into, doubts = told.input_tokens, told.doubts
    if (cached or 0) + (written or 0) > (into or 0):
        into = added(into, cached, written)
        doubts = tuple(doubt for doubt in doubts if doubt != "total_does_not_sum")
    units = dict(told.units)
    searches = first(inside, "web_search_requests")
    if searches:
        units.setdefault("web_search", Decimal(searches))
    pictures = count(usage, "output_image_count")
    if pictures:
        units["images"] = Decimal(pictures)
    return msgspec.structs.replace(
        told,
        input_tokens=into,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=hour,
        units=units,
        doubts=doubts,
    )


def _most(*counts: int | None) -> int | None:
    """The same count stands in several places, some of them filled with 0 where it was not told."""
    reported = [value for value in counts if value is not None]
    return max(reported) if reported else None
