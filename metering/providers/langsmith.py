"""LangSmith's `usage_metadata`: `input_tokens` and `output_tokens` are sums of all their types, and
details need not add up to them.

What senders do otherwise is seen by arithmetic: details that are more than the input cannot be
inside it (Anthropic's input, as older wrappers passed it on), and a total that holds the reasoning
beside the output shows that the output left it out (Gemini's).

Writes to the cache are told as `cache_creation`, by time to live (`ephemeral_…`), or as both, which
then overlap. The tier that served a call stands in the names of the details: `priority_cache_read`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from metering.providers.counts import Counts, UnreadableUsage, added, count, first, part

_TIERS: Final = ("priority", "flex")
_OVER_200K: Final = "cache_read_over_200k"
"""Beside `cache_read`, not in it: the two are priced apart."""


def usage_counts(usage: Mapping[str, object]) -> Counts:
    """Read a `usage_metadata` object, or a run's own `prompt_tokens` and their like. Raises
    `UnreadableUsage` if it holds no count of this dialect."""
    inside = part(usage, "input_token_details", "prompt_token_details")
    outside = part(usage, "output_token_details", "completion_token_details")
    into = first(usage, "input_tokens", "prompt_tokens")
    out = first(usage, "output_tokens", "completion_tokens")
    total = count(usage, "total_tokens")
    if into is None and out is None and total is None:
        raise UnreadableUsage(
            "usage_metadata: neither input_tokens nor output_tokens is there; give both"
        )
    tier = next((tier for tier in _TIERS if tier in inside or tier in outside), None)
    read = added(_of_tier(inside, "cache_read"), count(inside, _OVER_200K))
    hourly = count(inside, "ephemeral_1h_input_tokens")
    split = added(count(inside, "ephemeral_5m_input_tokens"), hourly)
    aggregate = _of_tier(inside, "cache_creation")
    written = aggregate if split is None else max(aggregate or 0, split)
    doubts = []
    if aggregate and split and aggregate < split:
        doubts.append("cache_writes_differ")
    reasoning = _of_tier(outside, "reasoning")
    if into is None and out is None:
        into, total = total, None
        doubts.append("total_only")
    into, out, agrees = _settled(into, out, (read or 0) + (written or 0), reasoning or 0, total)
    if not agrees:
        doubts.append("total_does_not_sum")
    return Counts(
        input_tokens=into,
        cached_input_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=hourly,
        output_tokens=out,
        reasoning_tokens=reasoning,
        audio_input_tokens=_of_tier(inside, "audio"),
        audio_output_tokens=_of_tier(outside, "audio"),
        image_input_tokens=_of_tier(inside, "image"),
        image_output_tokens=_of_tier(outside, "image"),
        doubts=tuple(doubts),
        service_tier=tier,
    )


def _of_tier(details: Mapping[str, object], name: str) -> int | None:
    return first(details, name, *(f"{tier}_{name}" for tier in _TIERS))


def _settled(
    into: int | None, out: int | None, cache: int, reasoning: int, total: int | None
) -> tuple[int | None, int | None, bool]:
    """Input and output with all of their parts, and whether the total agrees with them."""
    if cache > (into or 0):
        into = (into or 0) + cache
        if total is not None and total != into + (out or 0):
            total = total + cache  # it was summed up without the cache, too
    plain = (into or 0) + (out or 0)
    if total is None or total == plain:
        if reasoning > (out or 0):
            out = (out or 0) + reasoning
        return into, out, True
    for beside_in, beside_out in ((0, reasoning), (cache, 0), (cache, reasoning)):
        if total == plain + beside_in + beside_out:
            return added(into, beside_in or None), added(out, beside_out or None), True
    return into, out, False
