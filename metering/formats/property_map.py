"""What metered events say of a call, in properties that everybody names as they like.

OpenMeter's `data` and Lago's `properties` are free: a meter or a billable metric says which of them
it adds up. `PropertyMap` says so for calls of models: which property carries which field of an
event, the best name first. `DEFAULT` knows the names in use; a source may put its own before them.

Tokens come in three ways:

- named counts (`input_tokens`, `cached_input_tokens`, …), in the product's meaning: the input
  includes the cache, the output includes reasoning;
- the provider's own usage object (`usage`), or its counts by their own names beside everything else
  (`prompt_tokens`, `cache_read_input_tokens`, …), read in the provider's dialect;
- one count and its kind (`tokens: 123`, `type: "input"`). Such an event holds one side of a call,
  and the other side is an event of its own: both are priced, but a price that depends on the whole
  input (by context length) sees only what its own event holds, and calls are counted twice. A
  property `request_id` keeps the two together.

Numbers may be written as text, as OpenMeter's own examples do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, cast

from metering.domain.usage import COUNTS
from metering.formats import attribute_map
from metering.formats.attribute_map import AttributeMap, plain_text
from metering.formats.model_providers import provider_named, provider_of_model
from metering.formats.spelt_out import Unreadable, figure_of, text_of, whole_of

Names = Mapping[str, tuple[str, ...]]


def _spelt(*words: str) -> tuple[str, ...]:
    return ("_".join(words), words[0] + "".join(word.capitalize() for word in words[1:]))


_NAMES: Final[Names] = MappingProxyType(
    {
        "model": (
            *("model", *_spelt("model", "name"), *_spelt("model", "id"), *_spelt("ai", "model")),
            *("llm_model", *_spelt("request", "model"), "gen_ai.request.model"),
        ),
        "model_executed": (
            *_spelt("model", "executed"),
            *_spelt("response", "model"),
            "gen_ai.response.model",
        ),
        "provider": (
            *("provider", *_spelt("model", "provider"), *_spelt("ai", "provider"), "vendor"),
            *("gen_ai.provider.name", "gen_ai.system"),
        ),
        "external_request_id": (
            *_spelt("external", "request", "id"),
            *_spelt("request", "id"),
            *_spelt("call", "id"),
        ),
        "provider_request_id": (*_spelt("provider", "request", "id"), *_spelt("response", "id")),
        "tokens": ("tokens", *_spelt("token", "count"), *_spelt("num", "tokens")),
        "token_type": ("type", *_spelt("token", "type"), "direction", "gen_ai.token.type"),
        "input_tokens": (
            *_spelt("input", "tokens"),
            *_spelt("tokens", "in"),
            *_spelt("tokens", "input"),
        ),
        "cached_input_tokens": (
            *_spelt("cached", "input", "tokens"),
            *_spelt("cached", "tokens"),
            *_spelt("input", "cached", "tokens"),
        ),
        "cache_write_tokens": _spelt("cache", "write", "tokens"),
        "cache_write_1h_tokens": ("cache_write_1h_tokens", "cacheWrite1hTokens"),
        "output_tokens": (
            *_spelt("output", "tokens"),
            *_spelt("tokens", "out"),
            *_spelt("tokens", "output"),
        ),
        "reasoning_tokens": _spelt("reasoning", "tokens"),
        "audio_input_tokens": _spelt("audio", "input", "tokens"),
        "audio_output_tokens": _spelt("audio", "output", "tokens"),
        "image_input_tokens": _spelt("image", "input", "tokens"),
        "image_output_tokens": _spelt("image", "output", "tokens"),
        "usage": ("usage",),
        "usage_format": _spelt("usage", "format"),
        "service_tier": _spelt("service", "tier"),
        "region": ("region",),
        "batch": ("batch", *_spelt("is", "batch")),
        "status": ("status",),
        "error_code": (*_spelt("error", "code"), *_spelt("error", "type")),
        "latency_ms": (*_spelt("latency", "ms"), *_spelt("duration", "ms")),
        "trace_id": _spelt("trace", "id"),
        "served_from": _spelt("served", "from"),
    }
)

_DIALECT_KEYS: Final = frozenset(
    {
        *("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"),
        *("completion_tokens_details", "input_tokens_details", "output_tokens_details"),
        *("cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation"),
        *("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"),
        *("cachedContentTokenCount", "totalTokenCount", "toolUsePromptTokenCount"),
        *("cacheReadInputTokens", "cacheWriteInputTokens"),
    }
)
"""Names of counts that belong to a provider's dialect and mean what they mean there."""
_BESIDE: Final = {
    "input_tokens": frozenset({"input_tokens", "inputTokens"}),
    "output_tokens": frozenset({"output_tokens", "outputTokens"}),
}
"""Names that several dialects have, with different meanings: read beside the others only."""

_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("input", "prompt", "system", "request", "in", "embedding"), ("input_tokens",)),
    **dict.fromkeys(("output", "completion", "response", "out"), ("output_tokens",)),
    **dict.fromkeys(
        ("cached", "cached_input", "input_cached", "cache_read"),
        ("input_tokens", "cached_input_tokens"),
    ),
    **dict.fromkeys(("cache_write", "cache_creation"), ("input_tokens", "cache_write_tokens")),
    **dict.fromkeys(("reasoning", "thinking"), ("output_tokens", "reasoning_tokens")),
    **dict.fromkeys(("audio_input", "input_audio"), ("input_tokens", "audio_input_tokens")),
    **dict.fromkeys(("audio_output", "output_audio"), ("output_tokens", "audio_output_tokens")),
    **dict.fromkeys(("image_input", "input_image"), ("input_tokens", "image_input_tokens")),
    **dict.fromkeys(("image_output", "output_image"), ("output_tokens", "image_output_tokens")),
}
"""The kind of a bare count → the counts of the event that it is."""

_STATUSES: Final = {
    **dict.fromkeys(("success", "succeeded", "ok", "completed", "200"), "success"),
    **dict.fromkeys(("error", "failure", "failed"), "error"),
}
_NUMBERS: Final = (*COUNTS, "latency_ms")
_TEXTS: Final = (
    *("model", "model_executed", "external_request_id", "provider_request_id", "usage_format"),
    *("service_tier", "region", "error_code", "trace_id", "served_from"),
)


@dataclass(frozen=True)
class PropertyMap:
    """Which property says what of a call: `names` for its usage, `attributes` for whom it is
    for. `provider` is whose models they are where no property tells; without one, the model's
    name has to tell."""

    names: Names
    attributes: AttributeMap
    provider: str = ""

    def preferring(
        self, names: Mapping[str, Iterable[str]], tags: Mapping[str, str] | None = None
    ) -> PropertyMap:
        """The map with these names before its own, whichever of its two halves they belong to."""
        own = {name: tuple(first) for name, first in names.items() if name in self.names}
        others = {name: tuple(first) for name, first in names.items() if name not in self.names}
        return replace(
            self,
            names={
                name: tuple(dict.fromkeys((*own.get(name, ()), *known)))
                for name, known in self.names.items()
            },
            attributes=self.attributes.preferring(cast("Any", others), tags),
        )

    def read(
        self, properties: Mapping[str, Any], *around: Mapping[str, object], kind: str = ""
    ) -> dict[str, Any]:
        """The fields of the event (names of `UsageEvent`, JSON values) that the properties tell.

        `around` are layers that tell of whom it is for, after the properties themselves. `kind`
        is what the envelope calls the event: it may name a side of the call (`output_tokens`)
        that no property names. Raises `Unreadable`.
        """
        fields: dict[str, Any] = self.attributes.read(properties, *around)
        for name in _TEXTS:
            fields[name] = plain_text(self._value(name, properties)) or None
        for name in _NUMBERS:
            fields[name] = self._number(name, properties)
        fields["status"] = self._status(properties)
        fields["batch"] = self._batch(properties)
        self._take_usage(properties, fields, kind)
        fields["provider"] = self._provider(properties, fields)
        return fields

    def _value(self, field: str, properties: Mapping[str, Any]) -> Any:
        for name in self.names[field]:
            value = properties.get(name)
            if value is not None and value != "":
                return value
        return None

    def _number(self, field: str, properties: Mapping[str, Any]) -> int | None:
        value = self._value(field, properties)
        return None if value is None else whole_of(value, self._name_of(field, properties))

    def _name_of(self, field: str, properties: Mapping[str, Any]) -> str:
        return next(name for name in self.names[field] if properties.get(name) not in (None, ""))

    def _status(self, properties: Mapping[str, Any]) -> str | None:
        said = plain_text(self._value("status", properties))
        if not said:
            return None
        status = _STATUSES.get(said.lower())
        if status is None:
            name = self._name_of("status", properties)
            raise Unreadable(
                "invalid_value", f"{name} is {said!r:.60}; it is success or error", name
            )
        return status

    def _batch(self, properties: Mapping[str, Any]) -> bool | None:
        value = self._value("batch", properties)
        if value is None or isinstance(value, bool):
            return value
        return str(value).lower() in ("true", "1", "yes")

    def _take_usage(self, properties: Mapping[str, Any], fields: dict[str, Any], kind: str) -> None:
        usage = self._value("usage", properties)
        if isinstance(usage, Mapping) and usage:
            fields["usage"] = {name: figure_of(value) for name, value in usage.items()}
            return
        dialect = {name: properties[name] for name in _DIALECT_KEYS & properties.keys()}
        if any(value is not None for value in dialect.values()):
            for field, names in _BESIDE.items():
                for name in names & properties.keys():
                    dialect[name] = properties[name]
                    fields[field] = None
            fields["usage"] = {name: figure_of(value) for name, value in dialect.items()}
            return
        tokens = self._number("tokens", properties)
        if tokens is None or any(fields[name] is not None for name in COUNTS):
            return
        for name in self._side(properties, kind):
            fields[name] = tokens

    def _side(self, properties: Mapping[str, Any], kind: str) -> tuple[str, ...]:
        """The counts that a bare number of tokens is."""
        said = plain_text(self._value("token_type", properties))
        if said:
            found = _KINDS.get(_bare(said))
            if found is None:
                name = self._name_of("token_type", properties)
                raise Unreadable(
                    "token_type",
                    f"{name} is {said!r:.60}, which is no kind of token; it is input, output,"
                    " cached, cache_write or reasoning",
                    name,
                )
            return found
        for side in ("input", "output", "completion"):
            if side in re.split(r"[^a-z]+", kind.lower()):
                return _KINDS[side]
        raise Unreadable(
            "token_type",
            "a count of tokens is given and not which they are; name them in type (input or"
            " output), or send input_tokens and output_tokens",
            "type",
        )

    def _provider(self, properties: Mapping[str, Any], fields: Mapping[str, Any]) -> str:
        said = text_of(self._value("provider", properties))
        provider = provider_named(said) if said else None
        model = fields["model"]
        if model is None:
            raise Unreadable(
                "missing_field",
                "there is no model; name it in the property model, or map the property that does",
                "model",
            )
        provider = provider or self.provider or provider_of_model(model)
        if not provider:
            raise Unreadable(
                "missing_field",
                f"there is no provider, and the model {model!r:.80} does not tell whose it is; name"
                " it in the property provider",
                "provider",
            )
        return provider


def _bare(kind: str) -> str:
    return kind.lower().replace("-", "_").replace(" ", "_").removesuffix("_tokens")


DEFAULT: Final = PropertyMap(_NAMES, attribute_map.DEFAULT)
