"""Which model a span's call asked for, and who ran it, among all that say something of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from metering.domain.price_matching import PROVIDER_ALIASES
from metering.formats.attribute_map import plain_text
from metering.formats.model_providers import provider_named, provider_of_model
from metering.formats.otlp.spans import Facts

_NAMED: Final = (
    *("provider_langsmith", "provider_name", "provider_system", "provider_llm"),
    *("provider_llm_system", "provider_vercel"),
)
"""LangSmith's word first: what its SDK writes beside it is guessed from the model's name."""
_HOSTS: Final = (
    *((".openai.azure.com", "azure"), (".cognitiveservices.azure.com", "azure")),
    *((".services.ai.azure.com", "azure"), ("bedrock-runtime.", "aws")),
    *(("aiplatform.googleapis.com", "google"), ("generativelanguage.googleapis.com", "google")),
    *(("api.anthropic.com", "anthropic"), ("api.groq.com", "groq"), ("api.x.ai", "x-ai")),
    *(("api.mistral.ai", "mistral"), ("api.deepseek.com", "deepseek"), ("api.cohere", "cohere")),
    *(("openrouter.ai", "openrouter"), ("api.together.", "together")),
    *(("api.fireworks.ai", "fireworks"), ("api.perplexity.ai", "perplexity")),
    *(("api.cerebras.ai", "cerebras"), ("api.moonshot.", "moonshotai")),
)
"""Parts of addresses that only one provider has. Many are called through OpenAI's library, which
then says that it was OpenAI."""


def model_of(facts: Facts) -> str | None:
    """The model that was asked for; the one that answered where nobody says."""
    if "genkit_type" in facts:
        return plain_text(facts.get("genkit_model")) or None
    return plain_text(facts.get("model")) or plain_text(facts.get("model_executed")) or None


def provider_of(facts: Facts, model: str | None, known: Collection[str]) -> tuple[str | None, bool]:
    """The provider by the price lists' name or by one of the installation's own, and whether it is
    only supposed, by the model's name.

    Who says so explicitly is believed; then the address that was called, the first name that is
    known, the model's name; last a name that nobody knows, so that its refusal can name it.
    """
    explicit = plain_text(facts.get("provider_set"))
    if explicit:
        return explicit if explicit in known else _canonical(explicit), False
    server = facts.get("server")
    if isinstance(server, str):
        for part, provider in _HOSTS:
            if part in server:
                return provider, False
    unknown = None
    for fact in _NAMED:
        said = facts.get(fact)
        word = provider_named(said) if isinstance(said, str) else None
        if word is None:
            continue
        word = _canonical(word)
        if word in known:
            return word, False
        unknown = unknown or word
    of_model = provider_of_model(model) if model else None
    if of_model is not None:
        return _canonical(of_model), True
    return unknown, False


def _canonical(name: str) -> str:
    lower = name.lower()
    return PROVIDER_ALIASES.get(lower, lower)
