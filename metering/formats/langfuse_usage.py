"""What a Langfuse observation says of its usage, in any of the shapes that its API takes: buckets
(`usageDetails`), a provider's own object in their place, and the older `usage` with its unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from metering.domain.usage import MAX_TOKENS
from metering.providers.counts import UnreadableUsage, whole
from metering.providers.dialects import read_usage

DIALECT: Final = "langfuse"

_PROVIDERS_TOTALS: Final = frozenset(
    {
        *("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "billed_units"),
        *("promptTokenCount", "candidatesTokenCount", "prompt_token_count", "inputTokens"),
        *("candidates_token_count", "outputTokens", "thoughtsTokenCount"),
    }
)
_OWN_TOTALS: Final = frozenset({"input", "output", "total"})
_UNITS: Final[Mapping[str, tuple[str, int]]] = {
    "CHARACTERS": ("input_characters", 1),
    "MILLISECONDS": ("audio_seconds", 1000),
    "SECONDS": ("audio_seconds", 1),
    "REQUESTS": ("requests", 1),
    "IMAGES": ("output_images", 1),
}
"""Langfuse's units other than tokens: ours, and how many of theirs are one of it."""


def usage_fields(usage: object, *, embeds: bool = False) -> dict[str, Any]:
    """The native fields that a usage object comes to; empty where there is none. A total alone is
    the input of what `embeds`.

    Raises `UnreadableUsage` for an object that is none, or that holds what is no count: kept
    without its counts, the call would seem to have used nothing.
    """
    if usage is None:
        return {}
    if not isinstance(usage, Mapping):
        raise UnreadableUsage("usage is no object; send it as {input, output, total}")
    said = {name: value for name, value in usage.items() if value is not None}
    unit = said.pop("unit", None)
    counts = {name: value for name, value in said.items() if "cost" not in name.lower()}
    if not counts:
        return {}
    if isinstance(unit, str) and unit.upper() in _UNITS:
        return _in_units(unit.upper(), counts)
    if embeds and set(counts) == {"total"}:
        counts["input"] = counts["total"]
    own = not _OWN_TOTALS.isdisjoint(counts) or _PROVIDERS_TOTALS.isdisjoint(counts)
    dialect, read = read_usage(counts, declared=DIALECT if own else None)
    if read == type(read)():
        return {}
    return {"usage": _figures(counts), "usage_format": dialect}


def _figures(usage: Mapping[str, object]) -> dict[str, object]:
    """The object with whole numbers as such; others are no counts (times, in Groq's)."""
    figures: dict[str, object] = {}
    for name, value in usage.items():
        if isinstance(value, Mapping):
            figures[name] = _figures(value)
        elif not isinstance(value, Decimal):
            figures[name] = value
        elif (count := whole(value)) is not None and count <= MAX_TOKENS:
            figures[name] = count
    return figures


def _in_units(unit: str, counts: Mapping[str, object]) -> dict[str, Any]:
    name, per = _UNITS[unit]
    total = _quantity(counts.get("total"))
    if total is None:
        parts = [_quantity(counts.get(part)) for part in ("input", "output")]
        total = sum((each for each in parts if each is not None), Decimal(0))
    return {"units": {name: str(total / per)}}


def _quantity(value: object) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value < 10**12:
        raise UnreadableUsage(f"usage: total is {value!s:.40}; a quantity is a number from 0 up")
    return Decimal(value)
