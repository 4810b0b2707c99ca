"""Which price list's model a call means: clauses over names, provider aliases, fallbacks.

The rules are a price list's own and are kept as data beside its prices, so that an import can be
repeated and a call of last month is matched as last month's list matched it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast

PROVIDER_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "gemini": "google",
        "google": "google",
        "vertex": "google",
        "vertex_ai": "google",
        "vertexai": "google",
        "gcp.gemini": "google",
        "gcp.vertex_ai": "google",
        "gcp.gen_ai": "google",
        "google_ai_studio": "google",
        "azure": "azure",
        "azure_ai": "azure",
        "azure_openai": "azure",
        "azure-openai": "azure",
        "azure.ai.openai": "azure",
        "azure.ai.inference": "azure",
        "az.ai.openai": "azure",
        "az.ai.inference": "azure",
        "bedrock": "aws",
        "aws": "aws",
        "aws.bedrock": "aws",
        "aws_bedrock": "aws",
        "bedrock_converse": "aws",
        "amazon_bedrock": "aws",
        "amazon-bedrock": "aws",
        "xai": "x-ai",
        "x_ai": "x-ai",
        "x-ai": "x-ai",
        "grok": "x-ai",
        "mistral": "mistral",
        "mistral_ai": "mistral",
        "mistralai": "mistral",
        "together": "together",
        "together_ai": "together",
        "togetherai": "together",
        "fireworks": "fireworks",
        "fireworks_ai": "fireworks",
        "moonshot": "moonshotai",
        "moonshot_ai": "moonshotai",
        "cohere_chat": "cohere",
        "perplexity_ai": "perplexity",
        "voyage": "voyageai",
        "github_copilot": "github-copilot",
        "zhipu": "zhipuai",
        "z_ai": "zai",
        "z-ai": "zai",
    }
)
"""What events call a provider → what the price lists call it. It goes before a list's own
`provider_match`, whose `contains` would take `azure_openai` for OpenAI itself."""

PROXY: Final = "litellm"
"""Not a provider: a call that names it says who ran the model in the model's name, or not at all"""

_COMPACT_DATE: Final = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")
_TEXT_CLAUSES: Final = ("equals", "starts_with", "ends_with", "contains", "regex")


class InvalidClause(ValueError):
    """The match rule is no clause: the message shows it and the forms that are known."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A test of a name in lower case: one text to compare with, or clauses joined by and/or."""

    kind: str
    text: str = ""
    clauses: tuple[Clause, ...] = ()
    _pattern: re.Pattern[str] | None = None

    def __post_init__(self) -> None:
        if self.kind in ("and", "or"):
            return
        if self.kind not in _TEXT_CLAUSES:
            raise InvalidClause(f"{self.kind!r}: known are {', '.join(_TEXT_CLAUSES)}, and, or")
        if self.kind != "regex":
            object.__setattr__(self, "text", self.text.lower())
            return
        try:
            object.__setattr__(self, "_pattern", re.compile(self.text))
        except re.error as error:
            raise InvalidClause(f"regex {self.text!r}: {error}") from error

    def matches(self, name: str) -> bool:
        """Whether the name, already in lower case, passes."""
        match self.kind:
            case "equals":
                return name == self.text
            case "starts_with":
                return name.startswith(self.text)
            case "ends_with":
                return name.endswith(self.text)
            case "contains":
                return self.text in name
            case "or":
                return any(clause.matches(name) for clause in self.clauses)
            case "and":
                return all(clause.matches(name) for clause in self.clauses)
            case _:
                assert self._pattern is not None
                return self._pattern.search(name) is not None

    def as_json(self) -> dict[str, object]:
        """`{"starts_with": "gpt-"}`, `{"or": [...]}`: the form price lists are written in."""
        if self.clauses or self.kind in ("and", "or"):
            return {self.kind: [clause.as_json() for clause in self.clauses]}
        return {self.kind: self.text}

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Clause:
        if len(value) != 1:
            raise InvalidClause(f"{value!r}: a clause has one key, like {{'equals': 'gpt-4o'}}")
        [(kind, operand)] = value.items()
        if kind in ("and", "or"):
            parts = cast("list[Mapping[str, object]]", operand)
            return cls(kind, clauses=tuple(cls.from_json(part) for part in parts))
        if not isinstance(operand, str):
            raise InvalidClause(f"{value!r}: {kind} compares with a text")
        return cls(kind, operand)


class ListedModel(NamedTuple):
    id: str
    match: Clause


@dataclass(frozen=True, slots=True)
class ListedProvider:
    """A provider of a price list. `models` are tried in order; `fallbacks` are the providers whose
    models it sells on (Azure sells OpenAI's), tried in order when it has no price of its own."""

    id: str
    models: tuple[ListedModel, ...]
    provider_match: Clause | None = None
    model_match: Clause | None = None
    fallbacks: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        said = {
            "id": self.id,
            "provider_match": self.provider_match and self.provider_match.as_json(),
            "model_match": self.model_match and self.model_match.as_json(),
            "fallbacks": list(self.fallbacks),
            "models": [[model.id, model.match.as_json()] for model in self.models],
        }
        return {key: value for key, value in said.items() if value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ListedProvider:
        on_provider, on_model = value.get("provider_match"), value.get("model_match")
        return cls(
            value["id"],
            tuple(ListedModel(name, Clause.from_json(c)) for name, c in value.get("models", ())),
            on_provider and Clause.from_json(on_provider),
            on_model and Clause.from_json(on_model),
            tuple(value.get("fallbacks", ())),
        )

    def model_for(self, name: str) -> ListedModel | None:
        return next((model for model in self.models if model.match.matches(name)), None)


class Matched(NamedTuple):
    """The list's provider and model that a call means. `resold`: the price is another provider's,
    so that nothing is known of this one's tiers."""

    provider: str
    model_id: str
    resold: bool


@dataclass(frozen=True, slots=True)
class PriceList:
    """How one edition of a price list finds a model, from `effective_at` (aware) on."""

    effective_at: datetime
    source: str
    providers: tuple[ListedProvider, ...]

    def __post_init__(self) -> None:
        if self.effective_at.tzinfo is None:
            raise ValueError(f"{self.source} takes effect at an instant with a time zone")

    def provider_named(self, name: str) -> ListedProvider | None:
        """By the list's own id, else that of our alias, else the list's own matching, in its
        order."""
        sent = name.lower().strip()
        wanted = PROVIDER_ALIASES.get(sent, sent)
        for named in (sent, wanted):
            for provider in self.providers:
                if provider.id == named:
                    return provider
        for provider in self.providers:
            if provider.provider_match and provider.provider_match.matches(wanted):
                return provider
        return None

    def match(self, provider_name: str, model_name: str) -> Matched | None:
        """The listed model that the call means; `None` if the list does not know it.

        A compact date (`-20251211`) is tried as `-2025-12-11` where the name as it is does not
        match. A fallback goes one step, never further.
        """
        name = model_name.lower()
        provider = self.provider_named(provider_name)
        if provider_name.lower().strip() == PROXY:
            prefix, slash, rest = name.partition("/")
            provider = self.provider_named(prefix) if slash else None
            name = rest if provider else name
            provider = provider or self._provider_of_model(name)
        if provider is None:
            return None
        dashed = _COMPACT_DATE.sub(_dashed, name)
        tries = (name,) if dashed == name else (name, dashed)
        for candidate in tries:
            if found := self._match_at(provider, candidate):
                return found
        return None

    def _match_at(self, provider: ListedProvider, name: str) -> Matched | None:
        if model := provider.model_for(name):
            return Matched(provider.id, model.id, resold=False)
        for fallback in provider.fallbacks:
            other = next((p for p in self.providers if p.id == fallback), None)
            if other is not None and (model := other.model_for(name)):
                return Matched(other.id, model.id, resold=True)
        return None

    def _provider_of_model(self, name: str) -> ListedProvider | None:
        matching = (p for p in self.providers if p.model_match and p.model_match.matches(name))
        return next(matching, None)


def known_providers(lists: Iterable[PriceList] = ()) -> frozenset[str]:
    """Every name under which events may send a provider that has an exact entry: our aliases and
    the lists' own ids. A list's `provider_match` accepts more."""
    ids = {provider.id for listed in lists for provider in listed.providers}
    return frozenset(PROVIDER_ALIASES) | frozenset(PROVIDER_ALIASES.values()) | ids


def _dashed(match: re.Match[str]) -> str:
    year, month, day = match[1], match[2], match[3]
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return match[0]
    return f"-{year}-{month}-{day}"
