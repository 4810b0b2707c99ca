"""Groq's usage object: OpenAI's, with times beside the counts. In a stream it stands under
`x_groq.usage`; outside a stream that place holds hardware statistics, which are no usage."""

from __future__ import annotations

from collections.abc import Mapping

from metering.providers import openai
from metering.providers.counts import Counts, part


def usage_counts(usage: Mapping[str, object]) -> Counts:
    """Read a `usage` object, or the object that holds `x_groq` in a stream's last chunk."""
    streamed = part(part(usage, "x_groq"), "usage")
    if "prompt_tokens" in streamed and "prompt_tokens" not in usage:
        return openai.usage_counts(streamed)
    return openai.usage_counts(usage)
