"""Bedrock's Converse usage object. `inputTokens` leaves out what the cache read and wrote, so the
input is the sum of three counts. (InvokeModel answers in the model maker's own dialect.)"""

from __future__ import annotations

from collections.abc import Mapping

from metering.providers.counts import Counts, UnreadableUsage, added, count, first, parts, text


def usage_counts(usage: Mapping[str, object]) -> Counts:
    """Read a Converse `usage` object. `cacheDetails` splits the cache write by time to live;
    where the split does not sum to its aggregate, the aggregate counts and the split is doubted.
    """
    plain, out = count(usage, "inputTokens"), count(usage, "outputTokens")
    if plain is None and out is None:
        raise UnreadableUsage(
            "usage: neither inputTokens nor outputTokens is there, as the bedrock dialect has "
            "them; name the dialect in usageFormat"
        )
    read = first(usage, "cacheReadInputTokens", "cacheReadInputTokenCount")
    aggregate = first(usage, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    details = parts(usage, "cacheDetails")
    split = added(*[count(entry, "inputTokens") for entry in details])
    hour = added(*[count(entry, "inputTokens") for entry in details if entry.get("ttl") == "1h"])
    written = split if aggregate is None else aggregate
    into = added(plain, read, written)
    total = count(usage, "totalTokens")
    doubts = []
    if split is not None and aggregate is not None and split != aggregate:
        doubts.append("cache_ttl_split_does_not_sum")
    if total is not None and total != (into or 0) + (out or 0):
        doubts.append("total_does_not_sum")
    return Counts(
        input_tokens=into,
        cached_input_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=hour,
        output_tokens=out,
        doubts=tuple(doubts),
        service_tier=text(usage, "serviceTier"),
    )
