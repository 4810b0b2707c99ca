"""Langfuse's price list (`default-model-prices.json`): models by pattern, with pricing tiers.

Prices are US dollars for a single unit and undated. A model's tiers are tried in the order of
their priority and the first whose conditions a call meets is its whole price; the default tier
comes last. Which calls meet what is worked out here once for every service tier and threshold, so
that each becomes a row of its own. The list names no providers: whose a model is, its tokenizer
or its pattern says, and where neither does it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import count
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from metering.domain.price_matching import (
    Clause,
    InvalidClause,
    ListedModel,
    ListedProvider,
    PriceList,
)
from metering.domain.prices import ALWAYS, Conditions, InvalidPrice, Price, Tier, UnitPrice
from metering.domain.units import UNITS
from metering.pricelists.json_lists import is_name, number, read_json
from metering.pricelists.parsed import ParsedList, Refused, UnreadablePriceList

CURRENCY: Final = "USD"

_UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("input", "input_tokens", "prompt_token_count", "promptTokenCount"), "input_tokens"
        ),
        **dict.fromkeys(
            ("output", "output_tokens", "candidates_token_count", "candidatesTokenCount"),
            "output_tokens",
        ),
        **dict.fromkeys(
            (
                "input_cached_tokens",
                "input_cache_read",
                "cache_read_input_tokens",
                "cached_content_token_count",
            ),
            "cache_read_tokens",
        ),
        **dict.fromkeys(
            ("input_cache_creation", "cache_creation_input_tokens", "cache_write_tokens"),
            "cache_write_tokens",
        ),
        "input_cache_creation_5m": "cache_write_5m_tokens",
        "input_cache_creation_1h": "cache_write_1h_tokens",
        **dict.fromkeys(
            (
                "output_reasoning_tokens",
                "output_reasoning",
                "reasoning_tokens",
                "thoughts_token_count",
                "thoughtsTokenCount",
            ),
            "output_reasoning_tokens",
        ),
        **dict.fromkeys(
            ("input_text", "input_text_tokens", "input_modality_1"), "input_text_tokens"
        ),
        **dict.fromkeys(
            ("output_text", "output_text_tokens", "output_modality_1"), "output_text_tokens"
        ),
        "input_cached_text_tokens": "cache_text_read_tokens",
        **dict.fromkeys(("input_audio", "input_audio_tokens"), "input_audio_tokens"),
        **dict.fromkeys(("output_audio", "output_audio_tokens"), "output_audio_tokens"),
        "input_cached_audio_tokens": "cache_audio_read_tokens",
        "input_image": "input_image_tokens",
        **dict.fromkeys(
            ("grounding_queries", "groundingQueries", "web_search_queries", "webSearchQueries"),
            "web_searches",
        ),
    }
)
"""What the list calls a use → our unit. Many spellings stand for what SDKs report."""

_TOTAL: Final = "total"
_PROVIDERS: Final = {"openai": "openai", "claude": "anthropic"}
_PREFIXED: Final = re.compile(r"\((openai|anthropic|google|mistralai|x-ai|deepseek)\\?/\)\?")
_KINDS: Final = ("service_tier", "speed")
"""Parameters of a call that a tier may be for, one of them at a time."""
_STANDARD: Final = ("", "")
_TOTAL_INPUT: Final = frozenset({"(input)", "(input|cache_write)", "(input|prompt|cached)"})
"""Patterns that take in every use of input there is, so that what they sum is the total input."""


class _Tier(NamedTuple):
    """A pricing tier: for calls of any of these kinds (`service_tier`, `fast`; none: for all),
    above so many tokens of input in all (-1: any)."""

    kinds: frozenset[tuple[str, str]]
    above: int
    prices: Mapping[str, Decimal]

    def bears_on(self, kind: tuple[str, str], total_input: int) -> bool:
        return (not self.kinds or kind in self.kinds) and total_input > self.above


def parse_langfuse(text: str, *, source: str, effective_at: datetime) -> ParsedList:
    """Read the file's text; `source` names the list and its edition.

    Raises `UnreadablePriceList` if it is no such file at all.
    """
    entries = read_json(text, name="the price file")
    if not is_langfuse(entries):
        raise UnreadablePriceList(
            "the price file is not Langfuse's: it is a list of models with matchPattern and "
            "pricingTiers"
        )
    numbers = count(1)
    prices: list[Price] = []
    refused: list[Refused] = []
    models: dict[str, dict[str, ListedModel]] = {}
    for entry in entries:
        read = _model(entry)
        if isinstance(read, Refused):
            refused.append(read)
            continue
        provider, model, rows = read
        if model.id in models.setdefault(provider, {}):
            twice = Refused(
                provider, model.id, "model", "the list has it twice; the first is taken"
            )
            refused.append(twice)
            continue
        models[provider][model.id] = model
        prices += (
            Price(
                id=next(numbers),
                provider=provider,
                model_id=model.id,
                unit_prices=unit_prices,
                currency=CURRENCY,
                conditions=conditions,
                rank=len(conditions.when),
                source=source,
            )
            for unit_prices, conditions in rows
        )
    providers = tuple(ListedProvider(name, tuple(of.values())) for name, of in models.items())
    return ParsedList(PriceList(effective_at, source, providers), tuple(prices), tuple(refused))


_Rows = list[tuple[dict[str, UnitPrice], Conditions]]


def _model(entry: Any) -> tuple[str, ListedModel, _Rows] | Refused:
    name = str(entry.get("modelName") if isinstance(entry, dict) else entry)[:200]
    if not is_name(name):
        return Refused("", ascii(name)[1:-1], "model", "its name is none", whole=True)
    provider = ""
    try:
        provider = _provider(entry)
        clause = Clause("regex", _pattern(entry))
        return (
            provider,
            ListedModel(name, clause),
            list(_rows([_tier(each) for each in _by_priority(entry)])),
        )
    except (InvalidPrice, InvalidClause) as error:
        return Refused(provider, name, "model", str(error), whole=True)
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = f"it is not written as a model of the list is ({ascii(error)[:80]})"
        return Refused(provider, name, "model", reason, whole=True)


def is_langfuse(value: object) -> bool:
    """Whether the value looks like the price list."""
    return isinstance(value, list) and any(
        isinstance(entry, dict) and "pricingTiers" in entry for entry in value
    )


def _provider(entry: Mapping[str, Any]) -> str:
    pattern = _pattern(entry)
    named = set(_PREFIXED.findall(pattern))
    by_tokenizer = _PROVIDERS.get(str(entry.get("tokenizerId")))
    found = named | ({by_tokenizer} if by_tokenizer else set())
    if not found and str(entry["modelName"]).startswith("gemini"):
        found = {"google"}
    if len(found) != 1:
        raise InvalidPrice("whose model it is, neither its tokenizer nor its pattern says")
    return found.pop()


def _pattern(entry: Mapping[str, Any]) -> str:
    pattern = entry["matchPattern"]
    if not isinstance(pattern, str) or not pattern.isprintable() or not pattern:
        raise InvalidPrice("it has no pattern to be found by")
    return pattern


def _by_priority(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    tiers = entry["pricingTiers"]
    defaults = [tier for tier in tiers if tier["isDefault"]]
    if len(defaults) != 1 or defaults[0]["conditions"]:
        raise InvalidPrice("it has no price that holds where no other does, or several")
    others = sorted(
        (t for t in tiers if not t["isDefault"]), key=lambda tier: int(tier["priority"])
    )
    return [*others, defaults[0]]


def _tier(tier: Mapping[str, Any]) -> _Tier:
    kinds: frozenset[tuple[str, str]] = frozenset()
    above = -1
    for condition in tier["conditions"]:
        if condition.get("key") in _KINDS and condition.get("operator") == "in" and not kinds:
            kinds = frozenset(
                (condition["key"], str(value).lower()) for value in condition["values"]
            )
        elif condition.get("usageDetailPattern") in _TOTAL_INPUT and condition["operator"] == "gt":
            above = max(above, int(condition["value"]))
        else:
            raise InvalidPrice(f"a price on the condition {condition!r:.120} is not understood")
    return _Tier(kinds, above, _amounts(tier["prices"]))


def _amounts(prices: Mapping[str, Any]) -> dict[str, Decimal]:
    """The prices of one tier by our units, for one of each."""
    found: dict[str, Decimal] = {}
    if _TOTAL in prices and not {"input", "output"} & prices.keys():
        # A price by the token whatever it is: input and output are all the tokens there are.
        prices = {key: value for key, value in prices.items() if key != _TOTAL} | {
            "input": prices[_TOTAL],
            "output": prices[_TOTAL],
        }
    for key, value in prices.items():
        unit = _UNITS.get(key)
        if unit is None:
            raise InvalidPrice(f"{key} prices no unit that is known here")
        amount = number(value)
        if isinstance(amount, str):
            raise InvalidPrice(f"{key}: {amount}")
        if found.setdefault(unit, amount) != amount:
            raise InvalidPrice(f"{key}: two keys price {unit}, and not alike")
    if not found:
        raise InvalidPrice("it has no price")
    return found


def _rows(tiers: Sequence[_Tier]) -> Iterator[tuple[dict[str, UnitPrice], Conditions]]:
    """The standard price, and one for every kind of call that pays another."""
    kinds = sorted(frozenset[tuple[str, str]]().union(*(tier.kinds for tier in tiers)))
    edges = sorted({tier.above for tier in tiers if tier.above >= 0})
    standard = _over_thresholds(tiers, _STANDARD, edges)
    yield standard, ALWAYS
    for kind in kinds:
        prices = _over_thresholds(tiers, kind, edges)
        if prices.keys() != standard.keys():
            raise InvalidPrice(f"{kind[0]} {kind[1]} prices other units than the standard")
        yield prices, Conditions(dict([kind]))


def _over_thresholds(
    tiers: Sequence[_Tier], kind: tuple[str, str], edges: Iterable[int]
) -> dict[str, UnitPrice]:
    bands = [(-1, _first(tiers, kind, 0))]
    bands += [(edge, _first(tiers, kind, edge + 1)) for edge in edges]
    units = {frozenset(prices) for _, prices in bands}
    if len(units) > 1:
        raise InvalidPrice("above a threshold it prices other units than below")
    found = {}
    for unit in sorted(bands[0][1]):
        per = UNITS[unit].per
        base = bands[0][1][unit]
        at, steps = base, []
        for edge, prices in bands[1:]:
            if prices[unit] != at:
                at = prices[unit]
                steps.append(Tier(edge, at * per))
        found[unit] = UnitPrice(per, base * per, tuple(steps))
    return found


def _first(
    tiers: Iterable[_Tier], kind: tuple[str, str], total_input: int
) -> Mapping[str, Decimal]:
    return next(tier.prices for tier in tiers if tier.bears_on(kind, total_input))
