"""Cohere's usage object (`usage` of a chat, `meta` of an embedding or rerank). What is billed is in
`billed_units`; `tokens` beside it is what the model saw, and is read where nothing was billed."""

from __future__ import annotations

from collections.abc import Mapping

from metering.providers.counts import Counts, UnreadableUsage, count, part, units


def usage_counts(usage: Mapping[str, object]) -> Counts:
    """Read a `usage` or `meta` object. A cached part is in `tokens` only, so it is not known of
    what is billed."""
    billed = part(usage, "billed_units")
    seen = part(usage, "tokens")
    tokens = billed if _tokens(billed) or not _tokens(seen) else seen
    used = units(rerank_search=count(billed, "search_units"), input_images=count(billed, "images"))
    if not _tokens(tokens) and not used:
        raise UnreadableUsage(
            "usage: there is neither billed_units nor tokens with a count, as the cohere dialect "
            "has them; name the dialect in usageFormat"
        )
    return Counts(
        input_tokens=count(tokens, "input_tokens"),
        cached_input_tokens=count(usage, "cached_tokens") if tokens is seen else None,
        output_tokens=count(tokens, "output_tokens"),
        units=used,
    )


def _tokens(holder: Mapping[str, object]) -> bool:
    return any(count(holder, key) is not None for key in ("input_tokens", "output_tokens"))
