"""What instrumentation libraries call the facts of a model call: fact → names, best first.

The names are OpenTelemetry's (current and older), OpenLLMetry's, OpenInference's, the Vercel AI
SDK's, pydantic-ai's, Sentry's, Langfuse's and LangSmith's. A name may be found at several
libraries with one meaning; where one name has two meanings, `otlp.usage` decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from metering.formats.attribute_map import AttributeMap

_USAGE: Final = "gen_ai.usage."
_OPEN_INFERENCE: Final = "llm.token_count."
_ANTHROPIC: Final = "anthropic."
"""What Anthropic's own client adds to OpenTelemetry's names."""


def _details(*names: str) -> tuple[str, ...]:
    """pydantic-ai hands on what the provider reported as `gen_ai.usage.details.…`."""
    return tuple(f"{_USAGE}details.{name}" for name in names)


COUNTS: Final[Mapping[str, tuple[str, ...]]] = {
    "input": (
        _USAGE + "input_tokens",
        _USAGE + "prompt_tokens",
        _OPEN_INFERENCE + "prompt",
        *("llm.usage.prompt_tokens", "ai.usage.inputTokens", "ai.usage.promptTokens"),
        *("ai.usage.tokens", "gen_ai.response.prompt_tokens", "lk.llm_metrics.prompt_tokens"),
    ),
    "output": (
        _USAGE + "output_tokens",
        _USAGE + "completion_tokens",
        _OPEN_INFERENCE + "completion",
        *("llm.usage.completion_tokens", "ai.usage.outputTokens", "ai.usage.completionTokens"),
        "gen_ai.response.completion_tokens",
    ),
    "total": (
        _USAGE + "total_tokens",
        *("llm.usage.total_tokens", _OPEN_INFERENCE + "total", "ai.usage.totalTokens"),
    ),
    "cache_read": (
        _USAGE + "cache_read.input_tokens",
        _USAGE + "cache_read_input_tokens",
        _USAGE + "cache_read_tokens",
        _USAGE + "input_tokens.cached",
        _USAGE + "input_cached_tokens",
        _USAGE + "cached_input_tokens",
        _USAGE + "cached_tokens",
        _OPEN_INFERENCE + "prompt_details.cache_read",
        _OPEN_INFERENCE + "prompt_details.cache_input",
        *_details("cache_read_tokens", "cache_read_input_tokens", "cached_tokens"),
        *("ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens"),
    ),
    "cache_write": (
        _USAGE + "cache_write.input_tokens",
        _USAGE + "cache_creation.input_tokens",
        _USAGE + "cache_creation_input_tokens",
        _USAGE + "cache_write_tokens",
        _USAGE + "input_tokens.cache_write",
        _USAGE + "input_cache_creation",
        _OPEN_INFERENCE + "prompt_details.cache_write",
        *_details("cache_write_tokens", "cache_creation_input_tokens"),
        "ai.usage.inputTokenDetails.cacheWriteTokens",
    ),
    "cache_write_5m": (
        _ANTHROPIC + "usage.cache_creation.ephemeral_5m_input_tokens",
        _USAGE + "cache_creation.ephemeral_5m_input_tokens",
        _USAGE + "input_cache_creation_5m",
        *_details("ephemeral_5m_input_tokens", "cache_creation.ephemeral_5m_input_tokens"),
    ),
    "cache_write_1h": (
        _ANTHROPIC + "usage.cache_creation.ephemeral_1h_input_tokens",
        _USAGE + "cache_creation.ephemeral_1h_input_tokens",
        _USAGE + "input_cache_creation_1h",
        *_details("ephemeral_1h_input_tokens", "cache_creation.ephemeral_1h_input_tokens"),
    ),
    "reasoning": (
        _USAGE + "reasoning.output_tokens",
        _USAGE + "reasoning_tokens",
        _USAGE + "output_tokens.reasoning",
        _USAGE + "reasoning_output_tokens",
        _OPEN_INFERENCE + "completion_details.reasoning",
        *_details("reasoning_tokens", "thoughts_tokens"),
        *("ai.usage.outputTokenDetails.reasoningTokens", "ai.usage.reasoningTokens"),
    ),
    "audio_input": (
        _USAGE + "audio.input_tokens",
        _USAGE + "input_audio_tokens",
        _OPEN_INFERENCE + "prompt_details.audio",
        *_details("input_audio_tokens", "audio_prompt_tokens"),
    ),
    "audio_output": (
        _USAGE + "audio.output_tokens",
        _USAGE + "output_audio_tokens",
        _OPEN_INFERENCE + "completion_details.audio",
        *_details("output_audio_tokens", "audio_candidates_tokens"),
    ),
    "image_input": (
        _USAGE + "image.input_tokens",
        _USAGE + "input_image_tokens",
        *_details("input_image_tokens", "image_prompt_tokens"),
    ),
    "image_output": (
        _USAGE + "image.output_tokens",
        _USAGE + "output_image_tokens",
        *_details("output_image_tokens", "image_candidates_tokens"),
    ),
    "web_search": (
        _USAGE + "web_search_requests",
        _USAGE + "server_tool_use.web_search_requests",
        *_details("web_search_requests", "server_tool_use.web_search_requests"),
    ),
}
"""Token counts, and the searches beside them."""

CACHE_INSIDE_NAMES: Final = (
    *(_USAGE + "cache_read.input_tokens", _USAGE + "cache_creation.input_tokens"),
    _USAGE + "cache_write.input_tokens",
    *(_USAGE + "input_tokens.cached", _USAGE + "input_tokens.cache_write"),
    *(_USAGE + "input_cached_tokens", _USAGE + "input_cache_creation"),
    *(
        _OPEN_INFERENCE + "prompt_details.cache_read",
        _OPEN_INFERENCE + "prompt_details.cache_write",
    ),
    _OPEN_INFERENCE + "prompt_details.cache_input",
    "ai.usage.inputTokenDetails.cacheReadTokens",
    "ai.usage.inputTokenDetails.cacheWriteTokens",
)
"""Names that came with the rule that the input includes what they count: OpenTelemetry's current
ones, Sentry's, Langfuse's, OpenInference's, and the Vercel AI SDK's from version 6 on."""

CACHE_OUTSIDE_NAMES: Final = ("ai.usage.cachedInputTokens",)
"""Before version 6, the Vercel AI SDK handed on the input as the provider counts it."""

OBJECTS: Final[Mapping[str, tuple[str, ...]]] = {
    "langfuse_usage": ("langfuse.observation.usage_details",),
    "vercel_metadata": ("ai.response.providerMetadata",),
    "genkit_output": ("genkit:output",),
    "langsmith_inside": (_USAGE + "input_token_details",),
    "langsmith_outside": (_USAGE + "output_token_details",),
}
"""Usage as JSON inside an attribute. Of `genkit:output`, nothing but its `usage` is looked at."""

FACTS: Final[Mapping[str, tuple[str, ...]]] = {
    "model": (
        *("gen_ai.request.model", "llm.request.model_name", "llm.model_name", "llm.request.model"),
        *("langfuse.observation.model.name", "ai.model.id", "embedding.model_name"),
        *("reranker.model_name", "langsmith.metadata.ls_model_name", "gen_ai.model", "model_name"),
        "model",
    ),
    "model_executed": (
        *("gen_ai.response.model", "llm.response.model_name", "llm.response.model"),
        "ai.response.model",
    ),
    "genkit_model": ("genkit:name",),
    "provider_set": ("apportion.provider",),
    "provider_name": ("gen_ai.provider.name",),
    "provider_system": ("gen_ai.system",),
    "provider_llm": ("llm.provider",),
    "provider_llm_system": ("llm.system", "llm.vendor"),
    "provider_vercel": ("ai.model.provider",),
    "provider_langsmith": ("langsmith.metadata.ls_provider",),
    "server": (
        *("server.address", "gen_ai.openai.api_base", "gen_ai.request.base_url", "url.full"),
        "net.peer.name",
    ),
    "response_id": ("gen_ai.response.id", "llm.response.id"),
    "response_id_of_library": ("ai.response.id",),
    "operation": ("gen_ai.operation.name", "gen_ai.operation"),
    "openinference_kind": ("openinference.span.kind",),
    "langfuse_type": ("langfuse.observation.type",),
    "request_type": ("llm.request.type", "traceloop.llm.request.type"),
    "traceloop_kind": ("traceloop.span.kind",),
    "langsmith_kind": ("langsmith.span.kind",),
    "vercel_operation": ("ai.operationId", "operation.name"),
    "genkit_type": ("genkit:metadata:subtype", "genkit:type"),
    "agent": ("gen_ai.agent.name", "agent_name", "gen_ai.agent.id"),
    "tool": ("gen_ai.tool.name", "gen_ai.tool.call.id"),
    "tier": (
        *("openai.response.service_tier", "gen_ai.openai.response.service_tier"),
        *("gen_ai.response.service_tier", "apportion.service_tier"),
        _ANTHROPIC + "response.service_tier",
    ),
    "tier_asked": (
        *("openai.request.service_tier", "gen_ai.openai.request.service_tier"),
        *("gen_ai.request.service_tier", _ANTHROPIC + "request.service_tier"),
    ),
    "region": ("apportion.region", "gen_ai.request.inference_geo"),
    "asked_with": ("llm.invocation_parameters", "embedding.invocation_parameters"),
    "error": ("error.type", "error.code"),
    "anonymous": ("apportion.anon_id",),
    "token_type": ("gen_ai.token.type", "gen_ai.usage.token_type", "token_type"),
}

LISTS_OF_TAGS: Final = (
    *("langfuse.trace.tags", "langfuse.tags", "tag.tags", "langsmith.span.tags", "apportion.tags"),
    "ai.telemetry.metadata.tags",
)
"""Tags as a list, as JSON, or between commas."""

CONTAINERS: Final = (
    *("traceloop.association.properties.", "langfuse.trace.metadata."),
    *("langfuse.observation.metadata.", "langfuse.metadata.", "langsmith.metadata."),
    *("ai.telemetry.metadata.", "metadata."),
)
"""Before these, what a program says of itself under names of its own: `metadata.tenant_id` is
`tenant_id`."""

_OURS: Final = "apportion."
"""How names begin that mean the same wherever they stand: programs cannot set attributes of spans
that a library makes, but can hand it metadata."""

OBJECTS_OF_METADATA: Final = (
    *("metadata", "langfuse.trace.metadata", "langfuse.observation.metadata", "langfuse.metadata"),
    "traceloop.association.properties",
)
"""The same, as one JSON object."""

TRACE_NAMES: Final = ("langfuse.trace.name", "langsmith.trace.name")

METADATA: Final = "+metadata"
TAG_LIST: Final = "+tags"
MORE: Final = "+"
"""What both begin with: there is more to be read in their values."""


class Meaning(NamedTuple):
    """A fact, and the rank of a name for it: the lowest wins. `is_own`: it says whom the call is
    for, by the attribute map, and nothing of the call."""

    fact: str
    rank: int
    is_own: bool


@lru_cache(maxsize=64)
def vocabulary(own: AttributeMap) -> Mapping[str, tuple[Meaning, ...]]:
    """Everything that an attribute's name can mean here: the facts of this file, and the fields of
    the map, each of these behind every container too.

    Metadata and lists of tags may be there several times; each is a fact of its own.
    """
    found: dict[str, list[Meaning]] = defaultdict(list)
    for fact, names in _every_fact():
        for rank, name in enumerate(names):
            for container in ("", *CONTAINERS) if name.startswith(_OURS) else ("",):
                found[container + name].append(Meaning(fact, rank, is_own=False))
    for name, meanings in own.meanings.items():
        for container in ("", *CONTAINERS):
            found[container + name] += [Meaning(*meaning, is_own=True) for meaning in meanings]
    for kind, names in ((METADATA, OBJECTS_OF_METADATA), (TAG_LIST, LISTS_OF_TAGS)):
        for number, name in enumerate(names):
            found[name].append(Meaning(f"{kind}:{number}", 0, is_own=True))
    for name in TRACE_NAMES:
        found[name].append(Meaning("trace_name", 0, is_own=True))
    return {name: tuple(meanings) for name, meanings in found.items()}


def _every_fact() -> Iterator[tuple[str, tuple[str, ...]]]:
    for table in (COUNTS, OBJECTS, FACTS):
        yield from table.items()
    yield "cache_inside", CACHE_INSIDE_NAMES
    yield "cache_outside", CACHE_OUTSIDE_NAMES
