"""What a provider's usage object says, in the product's own counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from metering.domain.usage import MAX_TOKENS

_NOTHING: Final[Mapping[str, object]] = {}
_WORDS: Final = frozenset(
    {
        *("type", "model", "modality", "ttl", "speed", "service_tier", "serviceTier"),
        *("inference_geo", "trafficType", "traffic_type", "search_context_size"),
    }
)
"""What usage objects say in words, each of at most `_MAX_WORD` characters."""
_MAX_WORD: Final = 100
_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_FIGURE: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_MOST_DIGITS: Final = 30
"""Before and behind the point, of a figure that says anything of a call."""


class UnreadableUsage(ValueError):
    """The object is not in the dialect it is read in, or one of its counts is no count."""


class ImpossibleCount(UnreadableUsage):
    """A count is a whole number that no call can have used: below zero, or absurdly high."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The ten counts (inclusive reading, `None` is *not reported*) and the units beside them.

    `doubts` names what the object says against itself; the counts are then as reported, never
    clamped. `service_tier` is the tier that served the call, `region` where it was served and
    `model_executed` the model that answered in another's place, where the object names them.
    """

    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    image_input_tokens: int | None = None
    image_output_tokens: int | None = None
    units: Mapping[str, Decimal] = {}
    doubts: tuple[str, ...] = ()
    service_tier: str | None = None
    region: str | None = None
    model_executed: str | None = None


class BilledPart(NamedTuple):
    """One request of several that an answer was made of. `model` is `None` for the model of the
    call itself, and empty where nobody said which it was; `declined`: the attempt of a model that
    did not answer, in whose place another did."""

    model: str | None
    counts: Counts
    declined: bool = False


def figures(usage: Mapping[str, object]) -> dict[str, object]:
    """The usage object without any text that is no figure and none of the words that dialects
    have: what else stands in it may be somebody's prompt, and it is kept with the event."""
    return {
        name: _figures(name, value)
        for name, value in usage.items()
        if _NAME.fullmatch(name) and _says(name, value)
    }


def _figures(name: str, value: object) -> object:
    if isinstance(value, Mapping):
        return figures(value)
    if isinstance(value, list):
        return [_figures(name, each) for each in value if _says(name, each)]
    return value


def _says(name: str, value: object) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite() and abs(value.adjusted()) <= _MOST_DIGITS
    return (
        not isinstance(value, str)
        or (name in _WORDS and len(value) <= _MAX_WORD)
        or _FIGURE.fullmatch(value) is not None
    )


def count(holder: Mapping[str, object], key: str) -> int | None:
    """The token count under `key`, `None` where there is none."""
    value = holder.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise UnreadableUsage(f"usage: {key} is {shown(value)}; a count is a whole number")
    if not 0 <= value <= MAX_TOKENS:
        raise ImpossibleCount(f"usage: {key} is {value}; a count lies between 0 and {MAX_TOKENS}")
    return value


def shown(value: object) -> str:
    """A value as it was sent, or nearly, for a sentence about it."""
    return f"{value!s:.60}" if isinstance(value, Decimal) else f"{value!r:.60}"


def whole(value: Decimal) -> int | None:
    """The whole number that it is, `None` if it is none; of one beyond all counts only that it is.
    `1e99999999` has more digits than there is memory for."""
    if not value.is_finite():
        return None
    if value.adjusted() > _MOST_DIGITS:
        return -1 if value.is_signed() else MAX_TOKENS + 1
    return int(value) if value == value.to_integral_value() else None


def first(holder: Mapping[str, object], *keys: str) -> int | None:
    """The first of the counts that is there: one count has several spellings."""
    for key in keys:
        value = count(holder, key)
        if value is not None:
            return value
    return None


def part(holder: Mapping[str, object], *keys: str) -> Mapping[str, object]:
    """The first nested object that is there, or an empty one."""
    for key in keys:
        value = holder.get(key)
        if value is None:
            continue
        if not isinstance(value, Mapping):
            raise UnreadableUsage(f"usage: {key} is {value!r:.60}; an object is expected there")
        return value
    return _NOTHING


def parts(holder: Mapping[str, object], *keys: str) -> list[Mapping[str, object]]:
    """The first nested list of objects that is there, or an empty one."""
    for key in keys:
        value = holder.get(key)
        if value is None:
            continue
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            raise UnreadableUsage(f"usage: {key} is {value!r:.60}; a list of objects is expected")
        return value
    return []


def added(*counts: int | None) -> int | None:
    """The sum of what is reported; `None` if nothing is."""
    reported = [value for value in counts if value is not None]
    return sum(reported) if reported else None


def text(holder: Mapping[str, object], *keys: str) -> str | None:
    for key in keys:
        value = holder.get(key)
        if isinstance(value, str) and value:
            return value
    return None


def units(**quantities: int | None) -> dict[str, Decimal]:
    """The units that were used: what is absent or zero is left out."""
    return {name: Decimal(quantity) for name, quantity in quantities.items() if quantity}
