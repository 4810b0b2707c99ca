"""Which instrumentation libraries count cached tokens inside the input, by name and version.

A library is known by the scope of its spans. What is written here was looked up in the libraries'
own code and issues; a library that is not here is judged by the provider and by names.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from metering.formats.otlp.spans import Span


class Library(NamedTuple):
    """Scopes that begin with `prefix`, of versions from `since` on (the last that fits holds).

    `inside`: true where the input includes the cache; false where it is as Anthropic and Bedrock
    report it, without; `None` where both are in use and nothing tells them apart.
    """

    prefix: str
    since: tuple[int, ...]
    inside: bool | None


LIBRARIES: Final = (
    # OpenLLMetry adds Anthropic's cache to the input since it has told of the cache at all, and
    # hands on what Bedrock reports (traceloop/openllmetry#2175, #4449).
    Library("opentelemetry.instrumentation.anthropic", (), inside=True),
    Library("opentelemetry.instrumentation.bedrock", (), inside=False),
    # OpenTelemetry's own add up what Anthropic reports, and so does Anthropic's client.
    Library("opentelemetry.instrumentation.genai.", (), inside=True),
    Library("com.anthropic.sdk.", (), inside=True),
    Library("opentelemetry.instrumentation.langchain", (), inside=True),
    # OpenInference: the prompt's count holds all of its details (Arize-ai/openinference#1429).
    Library("openinference.", (), inside=True),
    Library("@arizeai/openinference", (), inside=True),
    Library("pydantic-ai", (), inside=True),
    Library("litellm", (), inside=True),
    Library("langsmith", (), inside=True),
    # Langfuse's SDK tells buckets; attributes beside them follow the conventions.
    Library("langfuse", (), inside=True),
    Library("genkit-tracer", (), inside=None),
    # logfire changed from the one to the other (pydantic/logfire#1812).
    Library("logfire", (), inside=None),
)

_OWN_CLIENTS: Final = ("com.anthropic.sdk.",)

_INCLUSIVE_PROVIDERS: Final = frozenset(
    {
        *("openai", "azure", "azure.ai.openai", "az.ai.openai", "azure.ai.inference"),
        *("google", "gemini", "gcp.gemini", "gcp.gen_ai", "groq", "deepseek", "mistral"),
        *("mistral_ai", "x-ai", "x_ai", "xai", "openrouter", "together", "fireworks", "cerebras"),
        *("perplexity", "moonshotai", "cohere"),
    }
)
_VERSION: Final = re.compile(r"\d+")


def cache_is_inside(span: Span, provider: str) -> bool | None:
    """Whether the span's input includes what the cache read and wrote, by who made the span and
    under which names; `None` where nothing tells."""
    known = _library(span.scope.name, span.scope.version)
    if known is not None:
        return known.inside
    if provider in _INCLUSIVE_PROVIDERS or "cache_inside" in span.facts:
        return True
    return False if "cache_outside" in span.facts else None


def of_own_client(span: Span) -> bool:
    """Whether a provider's own client made the span, beside whatever instruments it."""
    return span.scope.name.startswith(_OWN_CLIENTS)


@lru_cache(maxsize=1024)
def _library(name: str, version: str) -> Library | None:
    numbers = tuple(int(number[:6]) for number in _VERSION.findall(version)[:4])
    fitting = [
        library
        for library in LIBRARIES
        if name.startswith(library.prefix) and numbers >= library.since
    ]
    return fitting[-1] if fitting else None
