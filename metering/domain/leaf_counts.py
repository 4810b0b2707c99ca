"""From inclusive counts to disjoint ones: every token in one class, and in one only.

Counts are reported inclusively (input holds cached input), prices are for what is left of a unit
once the units inside it that are counted apart have been taken out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final

from metering.domain.units import BY_DIMENSIONS, UNIT_ORDER, UNITS, Unit
from metering.domain.usage import UsageEvent

Count = int | Decimal

_COUNT_UNITS: Final = (
    ("input_tokens", "input_tokens"),
    ("cached_input_tokens", "cache_read_tokens"),
    ("cache_write_1h_tokens", "cache_write_1h_tokens"),
    ("output_tokens", "output_tokens"),
    ("reasoning_tokens", "output_reasoning_tokens"),
    ("audio_input_tokens", "input_audio_tokens"),
    ("audio_output_tokens", "output_audio_tokens"),
    ("image_input_tokens", "input_image_tokens"),
    ("image_output_tokens", "output_image_tokens"),
)


def token_counts(event: UsageEvent) -> dict[str, Count]:
    """The event's own token counts by unit, without those that were not reported.

    Written to the cache is at least what was written for an hour, whichever of the two the
    source left out or counted beside the other.
    """
    counts: dict[str, Count] = {
        unit: count for field, unit in _COUNT_UNITS if (count := getattr(event, field)) is not None
    }
    written, hourly = event.cache_write_tokens, event.cache_write_1h_tokens
    if written is not None or hourly is not None:
        counts["cache_write_tokens"] = max(written or 0, hourly or 0)
    return counts


def with_totals(counts: Mapping[str, Count]) -> dict[str, Count]:
    """The counts, with the total of each kind that was reported only by its parts.

    Seconds of audio reported as input are seconds of audio. Tokens are left alone: there, a part
    without its total is a source that counts otherwise than it should.
    """
    totals: dict[str, Count] = dict(counts)
    for name, unit in UNITS.items():
        if name in counts or unit.family == "tokens":
            continue
        parts = [counts[part] for part in counts if unit.holds(UNITS[part])]
        if parts:
            totals[name] = sum(parts)
    return totals


def leaf_counts(units: Iterable[str], counts: Mapping[str, Count]) -> dict[str, Count] | str:
    """How much of each unit is left once the other `units` inside it are taken out.

    The answer is a reason instead where the counts contradict one another or leave the question
    open: `input_tokens_exceeded` (more was cached than sent), `input_tokens_not_reported` (a part
    without its total), `cache_audio_read_tokens_not_reported` (some input was cached, some was
    audio, both have prices of their own, and nobody said how much was both).
    """
    order = _specific_first(frozenset(units))
    leaves: dict[str, Count] = {}
    for unit in order:
        count = counts.get(unit.name)
        if count is None:
            if _is_missed(unit, counts):
                return f"{unit.name}_not_reported"
            count = 0
        for name, taken in leaves.items():
            if unit.holds(UNITS[name]):
                count -= taken
        if count < 0:
            return f"{unit.name}_exceeded"
        leaves[unit.name] = count
    return leaves


def nearest(unit_name: str, priced: Iterable[str]) -> str | None:
    """The priced unit whose price an unpriced one takes: the most specific that holds it.

    `None` if nothing does, or if two do that say equally much (cached audio where cached input
    and audio have prices, and both together has none).
    """
    unit = UNITS[unit_name]
    if unit_name in priced:
        return unit_name
    holding = [UNITS[name] for name in priced if UNITS[name].holds(unit)]
    if not holding:
        return None
    depth = max(len(holder.dimensions) for holder in holding)
    deepest = [holder.name for holder in holding if len(holder.dimensions) == depth]
    return deepest[0] if len(deepest) == 1 else None


def _is_missed(unit: Unit, counts: Mapping[str, Count]) -> bool:
    """Whether the unit's count cannot be 0, or cannot be told, from what else was counted."""
    reported = [UNITS[name] for name, count in counts.items() if count > 0]
    if any(unit.holds(part) for part in reported):
        return True
    return any(
        _join(left, right) is unit
        for i, left in enumerate(reported)
        for right in reported[i + 1 :]
        if left.compatible(right) and not left.holds(right) and not right.holds(left)
    )


def _join(left: Unit, right: Unit) -> Unit | None:
    return BY_DIMENSIONS.get(left.dimensions | right.dimensions)


@lru_cache(maxsize=1024)
def _specific_first(units: frozenset[str]) -> tuple[Unit, ...]:
    chosen = [UNITS[name] for name in units]
    return tuple(sorted(chosen, key=lambda unit: (-len(unit.dimensions), UNIT_ORDER[unit.name])))
