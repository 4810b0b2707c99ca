"""Which spans are calls of a model: those whose usage counts, and of whom a provider sends a bill.

Agents, chains, workflows and tools often repeat the usage of the calls inside them. Each library
says in its own words what a span is; the first that says something decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from metering.formats.otlp.spans import Span

_OPERATIONS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(
        (
            *("chat", "text_completion", "completion", "generate_content", "generate", "message"),
            *("embeddings", "embedding", "embed", "rerank", "image_generation", "audio"),
            *("transcription", "speech", "responses", "generate_text", "stream_text"),
        ),
        True,
    ),
    **dict.fromkeys(
        (
            *("invoke_agent", "create_agent", "execute_tool", "invoke_workflow", "agent_step"),
            *("chain", "tool", "agent", "workflow", "task", "retrieval", "retriever", "handoff"),
            *(
                "fetch_response",
                "guardrail",
                "parser",
                "prompt",
                "search_memory",
                "create_memory",
                "execute_task",
            ),
        ),
        False,
    ),
}
"""`gen_ai.operation.name`. Other names decide nothing."""

_OPEN_INFERENCE: Final = ("llm", "embedding", "reranker")
_LANGFUSE: Final = ("generation", "embedding")
_LANGSMITH: Final = ("llm", "embedding")
_REQUESTS: Final = ("chat", "completion", "embedding", "rerank")
_AROUND: Final = ("workflow", "task", "agent", "tool")
_INNER: Final = (".doGenerate", ".doStream", ".doEmbed")
_MODELS: Final = ("model", "embedder", "reranker", "background-model")


_UNBILLED: Final = ("count_tokens", "countTokens", "CountTokens")
"""How the names of spans end of what providers do for nothing, and some libraries call a call."""


def is_call(span: Span) -> bool | None:
    """Whether the span is a call. Where no word says so, one that names the model that answered is,
    and one that tells usage and a model; `None`: it tells usage, and nobody's."""
    if span.name.endswith(_UNBILLED):
        return False
    said = _said(span)
    if said is not None:
        return said
    facts = span.facts
    if "agent" in facts or "tool" in facts:
        return False
    if "model_executed" in facts:
        return True
    if _USAGE.isdisjoint(facts):
        return False
    return True if "model" in facts else None


def likeness(span: Span) -> tuple[bool, bool]:
    """What `is_call` asks of a span besides what it has in common with others (`Span.alike`)."""
    return span.name.endswith(_UNBILLED), _USAGE.isdisjoint(span.facts)


def _said(span: Span) -> bool | None:
    """What the span is in the words of whoever made it; `None` if no word is known."""
    facts = span.facts
    operation = _word(facts.get("operation"))
    if operation in _OPERATIONS:
        return _OPERATIONS[operation]
    for fact, calls in (
        ("openinference_kind", _OPEN_INFERENCE),
        ("langfuse_type", _LANGFUSE),
        ("langsmith_kind", _LANGSMITH),
    ):
        if fact in facts:
            return _word(facts[fact]) in calls
    if "request_type" in facts:
        return _word(facts["request_type"]) in _REQUESTS
    if "traceloop_kind" in facts and _word(facts["traceloop_kind"]) in _AROUND:
        return False
    vercel = facts.get("vercel_operation")
    if isinstance(vercel, str) and vercel.startswith("ai."):
        return vercel.partition(" ")[0].endswith(_INNER)
    if "genkit_type" in facts:
        return _word(facts["genkit_type"]) in _MODELS
    return None


_KINDS: Final = (
    *("operation", "openinference_kind", "langfuse_type", "langsmith_kind", "request_type"),
    "genkit_type",
)


def is_embedding(span: Span) -> bool:
    """Whether the call turns text into vectors, which has no output."""
    facts = span.facts
    for kind in _KINDS:
        if kind in facts:
            return _word(facts[kind]).startswith("embed")
    return "doEmbed" in str(facts.get("vercel_operation", ""))


_USAGE: Final = frozenset(
    (
        *("input", "output", "total", "cache_read", "cache_write", "langfuse_usage"),
        *("vercel_metadata", "genkit_output"),
    )
)


def _word(value: object) -> str:
    return value.strip().lower() if isinstance(value, str) else ""
