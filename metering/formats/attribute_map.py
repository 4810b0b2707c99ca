"""Who a call is for, as formats that have no fields of their own for it say it: by attributes,
metadata, labels or tags of any name.

`AttributeMap` names, for each field of the native event, the attributes that may carry it, the best
first. `DEFAULT` knows the names that are in use; a source may put its own before them. Only named
attributes leave a format: what nobody named may be a prompt.

    layers = [span_metadata, DEFAULT.of_tags(["tenant:acme", "beta"]), trace_metadata]
    fields = DEFAULT.read(*layers)     # {"tenant_id": "acme", "tags": {"beta": "true"}}

A field stands in the first layer that tells it, and within a layer in the best of its names.

Environments and data modes are brought to the native names; an environment that has none of these
meanings is kept as the tag `environment`. `shares` are taken as JSON or as values, see
`metering.formats.shares`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal

from metering.formats.shares import shares_told

Field = Literal[
    "tenant_id",
    "user_id",
    "endpoint_tag",
    "endpoint_fallback",
    "prompt_version",
    "prompt_name",
    "cost_center",
    "environment",
    "data_mode",
    "workflow",
    "shares",
]
"""What an attribute may say of a call. A prompt's name and version, told apart, become one
`prompt_version` (`summary@3`). `endpoint_fallback` is the endpoint tag of what has none: names that
libraries set by themselves, where nobody chose one."""

MAX_TAGS: Final = 50
MAX_TAG_NAME: Final = 200
MAX_TAG_VALUE: Final = 1000
TAG_PREFIX: Final = "apportion.tag."
"""`apportion.tag.team` = `growth` is the tag `team`, whatever the map says."""

_FIRST: Final = -1
_KINDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("tenant_id", "user_id", "endpoint_tag", "endpoint_fallback"), "text"),
    **dict.fromkeys(("prompt_version", "cost_center", "workflow"), "text"),
    "environment": "environment",
    "data_mode": "data_mode",
}


def _spelt(*words: str) -> tuple[str, ...]:
    """The ways in which a name of these words is written: `cost_center`, `costCenter`, …"""
    camel = words[0] + "".join(word.capitalize() for word in words[1:])
    return tuple(dict.fromkeys(("_".join(words), camel, ".".join(words), "-".join(words))))


def _ours(*words: str) -> tuple[str, ...]:
    return (f"apportion.{'_'.join(words)}", f"apportion.{'.'.join(words)}", *_spelt(*words))


_NAMES: Final[Mapping[Field, tuple[str, ...]]] = {
    "tenant_id": (
        *_ours("tenant", "id"),
        *("apportion.tenant", "tenant", "tenant.name"),
        *_spelt("customer", "id"),
        *("customer", "enduser.tenant"),
    ),
    "user_id": (
        *_ours("user", "id"),
        *("enduser.id", "langfuse.user.id", "gen_ai.user", "gen_ai.user.id", "llm.user"),
        *("gen_ai.request.user", "user"),
    ),
    "endpoint_tag": (
        *_ours("endpoint", "tag"),
        *("apportion.endpoint", "feature", *_spelt("feature", "name")),
        *("resource.name", "ai.telemetry.functionId"),
    ),
    "endpoint_fallback": (
        *("gen_ai.workflow.name", "traceloop.workflow.name", "gen_ai.agent.name", "agent_name"),
        "service.name",
    ),
    "prompt_version": _ours("prompt", "version"),
    "prompt_name": (
        *("langfuse.observation.prompt.name", "langfuse.prompt.name", "gen_ai.prompt.name"),
        *("traceloop.prompt.key", "llm.prompt_template.name", *_spelt("prompt", "name")),
    ),
    "cost_center": (*_ours("cost", "center"), *_spelt("cost", "centre"), "costcenter"),
    "environment": (
        *("apportion.environment", "deployment.environment.name", "deployment.environment"),
        *("langfuse.environment", "gen_ai.environment", "environment", "env"),
    ),
    "data_mode": _ours("data", "mode"),
    "workflow": (
        *("apportion.workflow", "workflow", "gen_ai.workflow.name", "traceloop.workflow.name"),
        *_spelt("workflow", "name"),
    ),
    "shares": ("apportion.shares", "shares"),
}
_VERSIONS: Final = (
    *("langfuse.observation.prompt.version", "langfuse.prompt.version", "gen_ai.prompt.version"),
    *("traceloop.prompt.version", "llm.prompt_template.version"),
)
"""Versions that count within one prompt; they say nothing without its name."""

_TAGS: Final[Mapping[str, str]] = {
    "service.name": "service",
    "gen_ai.agent.name": "agent",
    "team": "team",
    "provider_project": "provider_project",
    "gen_ai.openai.project": "provider_project",
}

_ENVIRONMENTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("prod", "production", "prd", "live"), "prod"),
    **dict.fromkeys(("staging", "stage", "stg", "preprod", "pre-prod", "preproduction"), "staging"),
    **dict.fromkeys(("uat", "qa"), "staging"),
    **dict.fromkeys(("dev", "development", "local", "test", "testing", "sandbox", "ci"), "dev"),
}
_NO_ENVIRONMENT: Final = ("default", "sdk-experiment")
"""Langfuse's and OpenLIT's word where nobody set one."""

_DATA_MODES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("real", "live", "prod", "production"), "real"),
    **dict.fromkeys(("test", "testing", "synthetic", "eval", "evaluation"), "test"),
    "demo": "demo",
}


@dataclass(frozen=True, eq=False)
class AttributeMap:
    """Which attribute says what. `names` are tried in order; `tags` are attributes that become
    tags (attribute → tag); `environments` are names in lower case → `prod`, `staging`, `dev`."""

    names: Mapping[Field, tuple[str, ...]]
    tags: Mapping[str, str]
    environments: Mapping[str, str]

    def preferring(
        self,
        names: Mapping[Field, Iterable[str]] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> AttributeMap:
        """The map with these names before its own, and these tags beside them."""
        merged = dict(self.names)
        for field, first in (names or {}).items():
            merged[field] = tuple(dict.fromkeys((*first, *merged.get(field, ()))))
        return replace(self, names=merged, tags={**self.tags, **(tags or {})})

    @cached_property
    def meanings(self) -> Mapping[str, tuple[tuple[str, int], ...]]:
        """Attribute → what it may be: a field and its rank there (the lowest wins), or
        `tag:` with the tag's name."""
        found: dict[str, list[tuple[str, int]]] = {}
        for field, names in self.names.items():
            for rank, name in enumerate(names):
                found.setdefault(name, []).append((field, rank))
        for rank, name in enumerate(_VERSIONS):
            found.setdefault(name, []).append(("prompt_number", rank))
        for name, tag in self.tags.items():
            found.setdefault(name, []).append((f"tag:{tag}", 0))
        return {name: tuple(meanings) for name, meanings in found.items()}

    def read(self, *layers: Mapping[str, object]) -> dict[str, Any]:
        """The native fields (snake_case, JSON values) that the layers tell, the first layer
        first; only what is told. Values that cannot carry a field are passed over."""
        told: dict[str, object] = {}
        for layer in layers:
            for name, value in self.pick(layer).items():
                told.setdefault(name, value)
        fields = self.settle(told)
        fallback = fields.pop("endpoint_fallback", None)
        if fallback is not None:
            fields.setdefault("endpoint_tag", fallback)
        return fields

    def pick(self, layer: Mapping[str, object]) -> dict[str, object]:
        """What one layer tells, not yet brought to native values: for `settle`."""
        meanings = self.meanings
        told: dict[str, object] = {}
        ranks: dict[str, int] = {}
        for name, value in layer.items():
            if name not in meanings and not name.startswith(TAG_PREFIX):
                continue
            for field, rank in meanings.get(name) or ((f"tag:{name[len(TAG_PREFIX) :]}", _FIRST),):
                if rank >= ranks.get(field, rank + 1):
                    continue
                taken = value if field == "shares" else plain_text(value)
                if taken is not None and taken != "":
                    told[field] = taken
                    ranks[field] = rank
        return told

    def of_tags(self, tags: Iterable[object]) -> dict[str, str]:
        """A list of tags as a layer. `tenant:acme` and `tenant=acme` say what an attribute of that
        name says; other tags are tags, with the value `true` where they have none."""
        layer: dict[str, str] = {}
        for each in tags:
            text = plain_text(each)
            if not text:
                continue
            name, _, value = text.partition(":" if ":" in text else "=")
            name, value = name.strip(), value.strip()
            if not (name and value):
                layer.setdefault(TAG_PREFIX + text, "true")
            else:
                layer.setdefault(name if name in self.meanings else TAG_PREFIX + name, value)
        return layer

    def settle(self, told: Mapping[str, object]) -> dict[str, Any]:
        """Native fields from what was picked, and `endpoint_fallback` by its own name; what is
        neither a field nor a tag is passed over."""
        fields: dict[str, Any] = {}
        tags: dict[str, str] = {}
        for name, value in told.items():
            if name == "shares":
                fields[name] = shares_told(value)
                continue
            kind = _KINDS.get(name)
            text = plain_text(value) if kind is not None or name.startswith("tag:") else None
            if not text:
                continue
            if kind is None:
                tags[name[4:]] = text
            elif kind == "environment":
                self._environment(text, fields, tags)
            elif kind == "text" or text.lower() in _DATA_MODES:
                fields[name] = text if kind == "text" else _DATA_MODES[text.lower()]
        version = prompt_version(told.get("prompt_name"), told.get("prompt_number"))
        if version is not None:
            fields.setdefault("prompt_version", version)
        if tags:
            fields["tags"] = fitting_tags(tags)
        return fields

    def _environment(self, name: str, fields: dict[str, Any], tags: dict[str, str]) -> None:
        native = self.environments.get(name.lower())
        if native is not None:
            fields["environment"] = native
        elif name.lower() not in _NO_ENVIRONMENT:
            tags.setdefault("environment", name)


DEFAULT: Final = AttributeMap(
    MappingProxyType(_NAMES), MappingProxyType(_TAGS), MappingProxyType(_ENVIRONMENTS)
)


def prompt_version(name: object, version: object) -> str | None:
    """One text for a prompt that is told by name and version: `summary@3`, or the name alone. A
    version without a name tells one prompt from no other, and is none."""
    said, number = plain_text(name), plain_text(version)
    if not said:
        return None
    return f"{said}@{number}" if number else said


def plain_text(value: object) -> str | None:
    """The value as a name: a text without blanks (or JSON's quotes) around it, or a number; `None`
    for all else."""
    if isinstance(value, str):
        text = value.strip()
        quoted = len(text) > 1 and text[0] == '"' == text[-1]
        return text[1:-1].strip() if quoted else text
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    return None


def fitting_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that an event can hold: `MAX_TAGS` of them, with names and values of a length."""
    fitting = [
        (name, value)
        for name, value in tags.items()
        if name and len(name) <= MAX_TAG_NAME and len(value) <= MAX_TAG_VALUE
    ]
    return dict(fitting[:MAX_TAGS])
