"""Which dialect a usage object is written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from metering.domain.usage import UsageEvent
from metering.providers import (
    anthropic,
    bedrock,
    cohere,
    gemini,
    groq,
    langfuse,
    langsmith,
    litellm,
    openai,
    perplexity,
)
from metering.providers.counts import BilledPart, Counts, UnreadableUsage

_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode

Reader = Callable[[Mapping[str, object]], Counts]

READERS: Final[Mapping[str, Reader]] = {
    "openai": openai.usage_counts,
    "anthropic": anthropic.usage_counts,
    "gemini": gemini.usage_counts,
    "groq": groq.usage_counts,
    "bedrock": bedrock.usage_counts,
    "cohere": cohere.usage_counts,
    "langfuse": langfuse.usage_counts,
    "langsmith": langsmith.usage_counts,
    "litellm": litellm.usage_counts,
    "perplexity": perplexity.usage_counts,
}

_WITH_MORE: Final = ("groq", "perplexity", "perplexity_ai")
"""Providers whose objects are OpenAI's with something beside."""

_PART_READERS: Final[Mapping[str, Callable[[Mapping[str, object]], tuple[BilledPart, ...]]]] = {
    "anthropic": anthropic.billed_parts,
    "groq": groq.billed_parts,
}
DIALECTS_WITH_PARTS: Final = frozenset(_PART_READERS)
KEYS_OF_PARTS: Final = ("iterations", "usage_breakdown")
"""One of these is in every usage object that can have parts."""

SPELLINGS: Final[Mapping[str, str]] = {
    **{name: name for name in READERS},
    **dict.fromkeys(
        (
            *("openai_chat", "openai_responses", "openai_embeddings", "openai_images"),
            *("openai_audio", "openai_realtime", "azure", "azure_openai", "azure.ai.openai"),
            *("deepseek", "mistral", "openrouter", "vllm", "xai", "x-ai", "x_ai", "together"),
            *("fireworks", "cerebras", "moonshotai"),
        ),
        "openai",
    ),
    **dict.fromkeys(("anthropic_messages", "claude"), "anthropic"),
    **dict.fromkeys(
        ("google", "vertex", "vertex_ai", "gcp.gemini", "gcp.vertex_ai", "gcp.gen_ai"), "gemini"
    ),
    **dict.fromkeys(("cohere_chat", "cohere_v2"), "cohere"),
    **dict.fromkeys(("aws", "aws.bedrock", "bedrock_converse"), "bedrock"),
    "perplexity_ai": "perplexity",
}
"""Names that a sender may give in `usageFormat`, or as the provider, and the dialect each means."""

_OWN_KEYS: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    (
        "gemini",
        frozenset(
            {
                *("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"),
                *("prompt_token_count", "candidates_token_count", "thoughts_token_count"),
                *("responseTokenCount", "response_token_count"),
            }
        ),
    ),
    ("bedrock", frozenset({"inputTokens", "outputTokens"})),
    ("groq", frozenset({"x_groq", "usage_breakdown"})),
    ("cohere", frozenset({"billed_units"})),
    ("perplexity", perplexity.OWN_KEYS),
    ("openai", frozenset({"prompt_tokens", "completion_tokens"})),
    (
        "anthropic",
        frozenset({"cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation"}),
    ),
    (
        "openai",
        frozenset({"total_tokens", "input_tokens_details", "input_token_details", "seconds"}),
    ),
)
"""Keys that only one dialect has, in the order in which they are asked for."""


class ReadUsage(NamedTuple):
    """A usage object read: the dialect's name and the counts."""

    dialect: str
    counts: Counts


def read_usage(
    usage: Mapping[str, object], *, declared: str | None = None, provider: str = ""
) -> ReadUsage:
    """Read a provider's usage object in the dialect that the sender declared, else in the one
    that its keys show, else in the provider's own.

    The same model is reached through many providers, so keys say more than the provider's name.
    Raises `UnreadableUsage` for a dialect that nobody knows or an object that does not fit it.
    """
    if declared is not None:
        dialect = SPELLINGS.get(declared.lower())
        if dialect is None:
            raise UnreadableUsage(
                f"usageFormat {declared!r:.60} is no known dialect; "
                f"it is one of {', '.join(READERS)}, or leave it out"
            )
    else:
        dialect = _shown_by(usage) or SPELLINGS.get(provider.lower(), "openai")
    if dialect == "openai" and provider.lower() in _WITH_MORE:
        dialect = SPELLINGS[provider.lower()]
    return ReadUsage(dialect, READERS[dialect](usage))


def billed_parts(event: UsageEvent) -> tuple[BilledPart, ...]:
    """The requests that the event's answer was made of, by its own usage object; empty where it
    was one request, or where nothing can be told."""
    reader = _PART_READERS.get(event.usage_format or "")
    if (
        reader is None
        or event.usage is None
        or not any(key in event.usage for key in KEYS_OF_PARTS)
    ):
        return ()
    try:
        usage = _decode(event.usage)
        return reader(usage) if isinstance(usage, Mapping) else ()
    except (UnreadableUsage, msgspec.DecodeError):
        return ()  # nobody took its counts either


def _shown_by(usage: Mapping[str, object]) -> str | None:
    for dialect, keys in _OWN_KEYS:
        if not keys.isdisjoint(usage):
            return dialect
    return None
