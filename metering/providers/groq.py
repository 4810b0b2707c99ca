"""Groq's usage object: OpenAI's, with times beside the counts. In a stream it stands under
`x_groq.usage`; outside a stream that place holds hardware statistics, which are no usage.

A compound system runs several models; `usage_breakdown` (beside the usage, in a stream under
`x_groq`) says what each of them used."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from metering.providers import openai
from metering.providers.counts import BilledPart, Counts, part, parts, text

_Usage = Mapping[str, object]


def usage_counts(usage: _Usage) -> Counts:
    """Read a `usage` object, the object that holds `x_groq` in a stream's last chunk, or a `usage`
    into which the sender put the `usage_breakdown`. A breakdown that does not sum to the usage is
    doubted."""
    counts = openai.usage_counts(_whole(usage))
    broken = _breakdown(usage)
    if broken and not _sums(broken, counts):
        doubts = (*counts.doubts, "breakdown_does_not_sum")
        return msgspec.structs.replace(counts, doubts=doubts)
    return counts


def billed_parts(usage: _Usage) -> tuple[BilledPart, ...]:
    """The models of a compound system, if what they used is what the system used."""
    broken = _breakdown(usage)
    if not broken or not _sums(broken, openai.usage_counts(_whole(usage))):
        return ()
    return tuple([BilledPart(model, counts) for model, counts in broken])


def _whole(usage: _Usage) -> _Usage:
    streamed = part(part(usage, "x_groq"), "usage")
    if "prompt_tokens" in streamed and "prompt_tokens" not in usage:
        return streamed
    return usage


def _breakdown(usage: _Usage) -> list[tuple[str, Counts]]:
    holder = part(usage, "usage_breakdown") or part(part(usage, "x_groq"), "usage_breakdown")
    return [
        (text(each, "model") or "", openai.usage_counts(part(each, "usage")))
        for each in parts(holder, "models")
    ]


def _sums(broken: list[tuple[str, Counts]], whole: Counts) -> bool:
    return (
        sum(counts.input_tokens or 0 for _, counts in broken),
        sum(counts.output_tokens or 0 for _, counts in broken),
    ) == (whole.input_tokens or 0, whole.output_tokens or 0)
