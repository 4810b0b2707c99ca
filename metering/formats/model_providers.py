"""Who ran a model, where a message names the provider in a framework's word, or only the model.

Tracing libraries tell a model by its name alone. Most names belong to one provider; a name that
several offer (an open model) belongs to nobody, and then the sender has to say it
(`apportion.provider`, `ls_provider`, `gen_ai.provider.name`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from metering.domain.price_matching import PROVIDER_ALIASES

_FRAMEWORK_NAMES: Final[Mapping[str, str]] = {
    "google_genai": "google",
    "google_vertexai": "google",
    "google-genai": "google",
    "google-vertexai": "google",
    "google_adk": "google",
    "google_gemini": "google",
    "vertexai_anthropic": "google",
    "anthropic_vertex": "google",
    "gcp.vertex.agent": "google",
    "gemini_live": "google",
    "vertex_ai_beta": "google",
    "amazon": "aws",
    "openai-responses": "openai",
    "openai_responses": "openai",
    "chatopenai": "openai",
    "azurechatopenai": "azure",
    "chatanthropic": "anthropic",
    "anthropic_messages": "anthropic",
    "mistral-ai": "mistral",
    "meta-llama": "meta",
}
"""LangChain's, Langfuse's and OpenTelemetry's words for providers that the price lists know by
others."""
_NOBODY: Final = frozenset(
    {
        *(
            "langchain",
            "langgraph",
            "llamaindex",
            "llama_index",
            "litellm",
            "langfuse",
            "langsmith",
        ),
        *("unknown", "none", "custom", "default", "ai", "chat", "pydantic-ai", "openai_compatible"),
    }
)
"""What frameworks name as a provider and is none."""

_BY_NAME: Final = tuple(
    (re.compile(pattern), provider)
    for pattern, provider in (
        (r"gpt-oss", ""),
        (r"(chat)?gpt-|o[134](-|$)|text-embedding-(3|ada)|davinci-002|babbage-002", "openai"),
        (r"(whisper|tts|dall-e|sora|omni-moderation|text-moderation|codex|ft:gpt)-", "openai"),
        (
            r"(us|eu|apac|jp|au|global|us-gov)\.(anthropic|amazon|meta|mistral|deepseek|cohere)\.",
            "aws",
        ),
        (r"(anthropic|amazon|meta|mistral|cohere|ai21|stability)\.[a-z]", "aws"),
        (r"arn:aws", "aws"),
        (r"claude-", "anthropic"),
        (r"(models/)?(gemini|text-embedding-00|gemini-embedding|imagen|veo)", "google"),
        (r"(command|embed-(english|multilingual|v)|rerank-(english|multilingual|v))", "cohere"),
        (r"((open-)?(mistral|mixtral|codestral|ministral|magistral|devstral|pixtral))", "mistral"),
        (r"deepseek-(chat|reasoner)$", "deepseek"),
        (r"grok-", "x-ai"),
        (r"sonar($|-)", "perplexity"),
        (r"voyage-", "voyageai"),
        (r"(moonshot|kimi)-", "moonshotai"),
    )
)


@lru_cache(maxsize=1024)
def provider_named(name: str) -> str | None:
    """The provider that a framework's word for it means, by the price lists' name; `None` for what
    names none. A word that is not known may be a provider of the installation's own, and stays."""
    word = name.strip().lower()
    if not word or word in _NOBODY:
        return None
    if word in PROVIDER_ALIASES:
        return PROVIDER_ALIASES[word]
    head, dot, _ = word.partition(".")  # the Vercel AI SDK writes `openai.chat`
    known = _FRAMEWORK_NAMES.get(word)
    if (
        known is None
        and dot
        and (head in PROVIDER_ALIASES or head in ("openai", "anthropic", "groq"))
    ):
        return PROVIDER_ALIASES.get(head, head)
    return known or word


@lru_cache(maxsize=4096)
def provider_of_model(model: str) -> str | None:
    """The provider that a model's name belongs to: `openai` for `gpt-4o`; the one before the slash
    in `groq/llama-3.3-70b`. `None` where the name does not tell."""
    name = model.strip().lower()
    for pattern, provider in _BY_NAME:
        if pattern.match(name):
            return provider or None
    vendor, slash, rest = name.partition("/")
    if not slash or not rest:
        return None
    if vendor in PROVIDER_ALIASES or vendor in ("openai", "anthropic", "groq", "deepseek"):
        return PROVIDER_ALIASES.get(vendor, vendor)
    if vendor in ("openrouter", "cerebras", "perplexity", "ollama", "vllm"):
        return vendor
    return None
