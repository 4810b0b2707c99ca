"""Anthropic's usage object. Its `input_tokens` leaves out what the cache read and wrote, so the
input is the sum of three counts; `thinking_tokens` are inside `output_tokens`."""

from __future__ import annotations

from collections.abc import Mapping

from metering.providers.counts import (
    Counts,
    UnreadableUsage,
    added,
    count,
    part,
    parts,
    text,
    units,
)


def usage_counts(usage: Mapping[str, object]) -> Counts:
    """Read a `usage` object; of a stream, its last one (they are cumulative, not increments).

    Where the split of the cache write by time to live does not sum to its aggregate, the
    aggregate counts and the split is doubted. Where `iterations` of the call's own model hold
    more than the top level does (a compaction is not in it), the iterations count; iterations of
    another model (an advisor's) cannot be priced with this call's model and are a doubt.
    Web fetches cost nothing beside their tokens, so they are no unit.
    """
    if count(usage, "input_tokens") is None and count(usage, "output_tokens") is None:
        raise UnreadableUsage(
            "usage: neither input_tokens nor output_tokens is there, as the anthropic dialect "
            "has them; name the dialect in usageFormat"
        )
    doubts = []
    sources = [usage]
    iterations = parts(usage, "iterations")
    own = [step for step in iterations if step.get("model") is None]
    if len(own) < len(iterations):
        doubts.append("iterations_of_another_model")
    if own and all(
        (_sum(own, key) or 0) >= (count(usage, key) or 0)
        for key in (*_INPUT_PARTS, "output_tokens")
    ):
        sources = own
    split, hour, aggregate = _cache_writes(sources)
    if split is not None and aggregate is not None and split != aggregate:
        doubts.append("cache_ttl_split_does_not_sum")
    written = split if aggregate is None else aggregate
    tools = part(usage, "server_tool_use")
    return Counts(
        input_tokens=added(
            _sum(sources, "input_tokens"), _sum(sources, "cache_read_input_tokens"), written
        ),
        cached_input_tokens=_sum(sources, "cache_read_input_tokens"),
        cache_write_tokens=written,
        cache_write_1h_tokens=hour,
        output_tokens=_sum(sources, "output_tokens"),
        reasoning_tokens=count(part(usage, "output_tokens_details"), "thinking_tokens"),
        units=units(web_search=count(tools, "web_search_requests")),
        doubts=tuple(doubts),
        service_tier=text(usage, "service_tier"),
    )


_INPUT_PARTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def _sum(sources: list[Mapping[str, object]], key: str) -> int | None:
    return added(*[count(source, key) for source in sources])


def _cache_writes(
    sources: list[Mapping[str, object]],
) -> tuple[int | None, int | None, int | None]:
    """The sum of the split by time to live, its one-hour part, and the aggregate."""
    splits = [part(source, "cache_creation") for source in sources]
    minutes = _sum(splits, "ephemeral_5m_input_tokens")
    hour = _sum(splits, "ephemeral_1h_input_tokens")
    return added(minutes, hour), hour, _sum(sources, "cache_creation_input_tokens")
