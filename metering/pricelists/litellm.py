"""LiteLLM's price map (`model_prices_and_context_window.json`): every model that it can price.

Prices are US dollars for a single unit and undated. Beside its standard price a model may have
long-context thresholds, tiers, multipliers by region and speed, and hours of the week in which it
is cheaper; all of these become rows. What a key means that is not known here is refused: the
model, where its other prices would be wrong without it; else that price alone.

The list keeps `gemini` and `vertex_ai` apart, and so do its rows: their prices differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import count
from typing import Any, Final, NamedTuple

from metering.domain.price_matching import (
    PROVIDER_ALIASES,
    Clause,
    ListedModel,
    ListedProvider,
    PriceList,
)
from metering.domain.prices import InvalidPrice, Price
from metering.pricelists.json_lists import is_name, read_json
from metering.pricelists.litellm_models import rows_of
from metering.pricelists.litellm_rows import Row, Unknown
from metering.pricelists.parsed import ParsedList, Refused, UnreadablePriceList

CURRENCY: Final = "USD"

_NO_MODELS: Final = frozenset({"sample_spec"})
"""Entries that explain the file."""

_KEPT_APART: Final = ("gemini", "vertex_ai")
_FAMILIES: Final = {
    "text-completion-openai": "openai",
    "azure_text": "azure",
    "bedrock_mantle": "aws",
    "fireworks_ai-embedding-models": "fireworks",
}


class _Model(NamedTuple):
    key: str
    provider: str
    names: tuple[str, ...]
    rows: tuple[Row, ...]


def parse_litellm(text: str, *, source: str, effective_at: datetime) -> ParsedList:
    """Read the file's text; `source` names the list and its edition.

    Raises `UnreadablePriceList` if it is no such file at all.
    """
    entries = read_json(text, name="the price file")
    if not is_litellm(entries):
        raise UnreadablePriceList(
            "the price file is not LiteLLM's: it is an object of models with a litellm_provider"
        )
    models: list[_Model] = []
    refused: list[Refused] = []
    for key, entry in entries.items():
        if key in _NO_MODELS:
            continue
        provider = _provider(entry) if isinstance(entry, dict) else ""
        if not provider or not is_name(key):
            why = "it names no litellm_provider" if not provider else "its name is none"
            refused.append(Refused(provider, ascii(key)[1:-1][:200], "model", why, whole=True))
            continue
        rows, unknown = _rows(key, entry, provider)
        refused += [Refused(provider, key, *each) for each in unknown]
        if not any(each.whole for each in unknown):
            models.append(_Model(key, provider, _names(key, entry), rows))
    kept, doubtful = _without_shared_names(models)
    refused += doubtful
    numbers = count(1)
    return ParsedList(
        PriceList(effective_at, source, _providers(kept)),
        tuple(
            Price(
                id=next(numbers),
                provider=model.provider,
                model_id=model.key,
                unit_prices=row.unit_prices,
                currency=CURRENCY,
                conditions=row.conditions,
                rank=row.rank,
                source=source,
            )
            for model in kept
            for row in model.rows
        ),
        tuple(refused),
    )


def is_litellm(value: object) -> bool:
    """Whether the value looks like the price map."""
    return isinstance(value, dict) and any(
        isinstance(entry, dict) and "litellm_provider" in entry for entry in value.values()
    )


def _provider(entry: Mapping[str, Any]) -> str:
    said = entry.get("litellm_provider")
    if not isinstance(said, str) or not is_name(said):
        return ""
    name = said.strip().lower()
    name = _FAMILIES.get(name, name)
    for family in _KEPT_APART:
        if name == family or name.startswith(f"{family}-"):
            return family
    return PROVIDER_ALIASES.get(name, name)


def _rows(
    key: str, entry: Mapping[str, Any], provider: str
) -> tuple[tuple[Row, ...], list[Unknown]]:
    try:
        return rows_of(key, entry, provider)
    except InvalidPrice as error:
        return (), [Unknown("model", str(error), whole=True)]
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = f"it is not written as a model of the map is ({ascii(error)[:80]})"
        return (), [Unknown("model", reason, whole=True)]


def _names(key: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    """What calls may name the model: as the list does, and without the provider before it."""
    name = key.lower()
    head, slash, rest = name.partition("/")
    said = str(entry["litellm_provider"]).lower()
    is_provider = bool(slash) and (said == head or said.startswith(f"{head}-"))
    return (name, rest) if is_provider and rest else (name,)


def _without_shared_names(models: Iterable[_Model]) -> tuple[list[_Model], list[Refused]]:
    """The models, none of which can be meant by a name of another: where several of one provider
    share a name, the one that is called so in full has it; else the first, if all of them cost
    the same, and if not, none."""
    models = list(models)
    in_full = Counter((model.provider, model.key.lower()) for model in models)
    sharing: dict[tuple[str, str], list[_Model]] = {}
    for model in models:
        for name in model.names:
            sharing.setdefault((model.provider, name), []).append(model)
    kept, doubtful = [], []
    for model in models:
        if in_full[model.provider, model.key.lower()] > 1:
            why = "the list has it twice, in other capitals"
            doubtful.append(Refused(model.provider, model.key, "model", why, whole=True))
            continue
        names = [model.names[0]]
        for name in model.names[1:]:
            others = sharing[model.provider, name]
            if any(other.rows != model.rows for other in others):
                why = "another model of this provider has it too, at another price"
                doubtful.append(Refused(model.provider, model.key, f"the name {name}", why))
            elif others[0] is model and not in_full[model.provider, name]:
                names.append(name)
        kept.append(model._replace(names=tuple(names)))
    return kept, doubtful


def _providers(models: Iterable[_Model]) -> tuple[ListedProvider, ...]:
    of: dict[str, list[ListedModel]] = {}
    for model in models:
        clauses = tuple(Clause("equals", name) for name in model.names)
        match = clauses[0] if len(clauses) == 1 else Clause("or", clauses=clauses)
        of.setdefault(model.provider, []).append(ListedModel(model.key, match))
    return tuple(ListedProvider(provider, tuple(listed)) for provider, listed in of.items())
