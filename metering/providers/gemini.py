"""Gemini's and Vertex's `usageMetadata`, in the wire's camelCase or the SDK's snake_case.

The prompt includes cached content but not what tools put into it; the candidates do not include
thoughts. So input = prompt + tool use, output = candidates + thoughts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from metering.providers.counts import Counts, UnreadableUsage, added, first, parts, text, units

_CAPITAL = re.compile(r"[A-Z]")


def usage_counts(usage: Mapping[str, object]) -> Counts:
    """Read a `usageMetadata` object. Documents count as images, which is how they are billed;
    video stays in the input's total and has no count of its own. Cached sound and pictures are
    units: they are in two counts at once, and have a price that neither tells."""
    prompt = _count(usage, "promptTokenCount")
    tools = _count(usage, "toolUsePromptTokenCount")
    candidates = first(
        usage,
        "candidatesTokenCount",
        "candidates_token_count",
        "responseTokenCount",
        "response_token_count",
    )
    thoughts = _count(usage, "thoughtsTokenCount")
    if prompt is None and candidates is None and thoughts is None:
        raise UnreadableUsage(
            "usage: none of promptTokenCount, candidatesTokenCount and thoughtsTokenCount is "
            "there, as the gemini dialect has them; name the dialect in usageFormat"
        )
    total = _count(usage, "totalTokenCount")
    # An interrupted stream reports the candidates without the prompt, and no total to check.
    whole = added(prompt, tools, candidates, thoughts)
    inputs = ("promptTokensDetails", "toolUsePromptTokensDetails")
    cached = ("cacheTokensDetails",)
    outputs = ("candidatesTokensDetails", "responseTokensDetails")
    return Counts(
        input_tokens=added(prompt, tools),
        cached_input_tokens=_count(usage, "cachedContentTokenCount"),
        output_tokens=added(candidates, thoughts),
        reasoning_tokens=thoughts,
        audio_input_tokens=_of_modality(usage, inputs, ("AUDIO",)),
        audio_output_tokens=_of_modality(usage, outputs, ("AUDIO",)),
        image_input_tokens=_of_modality(usage, inputs, ("IMAGE", "DOCUMENT")),
        image_output_tokens=_of_modality(usage, outputs, ("IMAGE", "DOCUMENT")),
        units=units(
            cache_audio_read_tokens=_of_modality(usage, cached, ("AUDIO",)),
            cache_image_read_tokens=_of_modality(usage, cached, ("IMAGE", "DOCUMENT")),
        ),
        doubts=("total_does_not_sum",) if total not in (None, whole) else (),
        service_tier=_tier(usage),
    )


def _tier(usage: Mapping[str, object]) -> str | None:
    """Vertex names the tier as a kind of traffic: `ON_DEMAND`, `ON_DEMAND_FLEX`,
    `PROVISIONED_THROUGHPUT`."""
    traffic = text(usage, "trafficType", "traffic_type")
    if traffic is None:
        return text(usage, "serviceTier", "service_tier")
    kind = traffic.rpartition(".")[2].lower()
    return None if kind == "traffic_type_unspecified" else kind.removeprefix("on_demand_")


def _snake(camel: str) -> str:
    return _CAPITAL.sub(lambda letter: "_" + letter[0].lower(), camel)


def _count(usage: Mapping[str, object], key: str) -> int | None:
    return first(usage, key, _snake(key))


def _of_modality(
    usage: Mapping[str, object], details: tuple[str, ...], modalities: tuple[str, ...]
) -> int | None:
    return added(
        *[
            first(entry, "tokenCount", "token_count")
            for key in details
            for entry in parts(usage, key, _snake(key))
            if str(entry.get("modality")).rpartition(".")[2].upper() in modalities
        ]
    )
