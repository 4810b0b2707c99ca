"""From inclusive counts to disjoint ones: every token in one class, and in one only.

Counts are reported inclusively (input holds cached input), prices are for what is left of a unit
once the units inside it that are counted apart have been taken out. What to take out of what hangs
on which units are priced and which were reported, not on how many, so it is planned once for all
calls that are alike in that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from metering.domain.units import BY_DIMENSIONS, CLASS_OF_UNIT, UNIT_ORDER, UNITS, Unit
from metering.domain.usage import UsageEvent

Count = int | Decimal


class Leaf(NamedTuple):
    """A unit less the leaves inside it (`parts`), at the price of `priced_as`: its own, else that
    of the most specific priced unit that holds it, `None` if there is none."""

    unit: str
    parts: tuple[str, ...]
    priced_as: str | None


class Plan(NamedTuple):
    """`leaves` in an order in which parts come before what holds them; `lines` are the same in
    the order of the registry. `unheld` was counted, and neither it nor anything that holds it
    has a price."""

    leaves: tuple[Leaf, ...]
    lines: tuple[Leaf, ...]
    unheld: tuple[str, ...]


def token_counts(event: UsageEvent) -> dict[str, Count]:
    """The event's own token counts by unit, without those that were not reported.

    Written to the cache is at least what was written for an hour, whichever of the two the
    source left out or counted beside the other.
    """
    written, hourly = event.cache_write_tokens, event.cache_write_1h_tokens
    if hourly is not None and (written is None or 0 <= written < hourly):
        written = hourly
    fields = (
        ("input_tokens", event.input_tokens),
        ("cache_read_tokens", event.cached_input_tokens),
        ("cache_write_tokens", written),
        ("cache_write_1h_tokens", hourly),
        ("output_tokens", event.output_tokens),
        ("output_reasoning_tokens", event.reasoning_tokens),
        ("input_audio_tokens", event.audio_input_tokens),
        ("output_audio_tokens", event.audio_output_tokens),
        ("input_image_tokens", event.image_input_tokens),
        ("output_image_tokens", event.image_output_tokens),
    )
    return {unit: count for unit, count in fields if count is not None}


def with_totals(counts: dict[str, Count], priced: frozenset[str]) -> dict[str, Count]:
    """The counts, with each priced total of a kind that was reported only by its parts.

    Seconds of audio reported as input are seconds of audio. Tokens are left alone: there, a part
    without its total is a source that counts otherwise than it should.
    """
    totals = _totals(tuple(counts), priced)
    if not totals:
        return counts
    return counts | {total: sum(counts[part] for part in parts) for total, parts in totals}


def leaf_counts(plan: Plan, counts: Mapping[str, Count]) -> dict[str, Count] | str:
    """How much of each leaf there is; `input_tokens_exceeded` and the like where the parts of a
    unit are more than the whole."""
    left: dict[str, Count] = {}
    for unit, parts, _ in plan.leaves:
        count = counts.get(unit, 0)
        for part in parts:
            count -= left[part]
        if count < 0:
            return f"{unit}_exceeded"
        left[unit] = count
    return left


@lru_cache(maxsize=4096)
def plan_of(
    priced: frozenset[str], reported: tuple[tuple[str, bool], ...], *, apart: bool
) -> Plan | str:
    """What to take out of what, for calls that report these units (and whether above 0).

    `apart`: the token classes that bills keep apart are leaves even where they have no price of
    their own. The answer is a reason instead where the counts leave open what is in which leaf:
    `input_tokens_not_reported` (a part without its total), `cache_audio_read_tokens_not_reported`
    (some input was cached, some was audio, each has its price, and nobody said how much was both),
    or `cache_audio_read_tokens_ambiguous` (both, and two prices have an equal claim to it).
    """
    counted = dict(reported)
    chosen = set(priced)
    if apart:
        chosen.update(unit for unit in counted if unit in CLASS_OF_UNIT)
    leaves: list[Leaf] = []
    for unit in sorted(
        (UNITS[name] for name in chosen),
        key=lambda unit: (-len(unit.dimensions), UNIT_ORDER[unit.name]),
    ):
        if unit.name not in counted and _is_missed(unit, counted):
            return f"{unit.name}_not_reported"
        claims = _nearest(unit, priced)
        if len(claims) > 1 and counted.get(unit.name):
            return f"{unit.name}_ambiguous"
        parts = tuple(leaf.unit for leaf in leaves if unit.holds(UNITS[leaf.unit]))
        leaves.append(Leaf(unit.name, parts, claims[0] if len(claims) == 1 else None))
    unheld = tuple(
        name
        for name, above_zero in reported
        if above_zero
        and name not in chosen
        and not any(UNITS[leaf].holds(UNITS[name]) for leaf in chosen)
    )
    in_order = sorted(leaves, key=lambda leaf: UNIT_ORDER[leaf.unit])
    return Plan(tuple(leaves), tuple(in_order), unheld)


def priced_as(unit: str, priced: Iterable[str]) -> str | None:
    """The priced unit whose price a leaf of this unit has; `None`: none, or more than one has an
    equal claim."""
    claims = _nearest(UNITS[unit], priced)
    return claims[0] if len(claims) == 1 else None


def _nearest(unit: Unit, priced: Iterable[str]) -> list[str]:
    """The priced units with the best claim to price this one: itself, else the most specific
    that hold it. More than one: cached audio, where cached input and audio have prices and both
    together has none."""
    if unit.name in priced:
        return [unit.name]
    holding = [UNITS[name] for name in priced if UNITS[name].holds(unit)]
    depth = max((len(holder.dimensions) for holder in holding), default=0)
    return [holder.name for holder in holding if len(holder.dimensions) == depth]


def _is_missed(unit: Unit, counted: Mapping[str, bool]) -> bool:
    """Whether the unit's count cannot be 0, or cannot be told, from what else was counted."""
    reported = [UNITS[name] for name, above_zero in counted.items() if above_zero]
    if any(unit.holds(part) for part in reported):
        return True
    return any(
        BY_DIMENSIONS.get(left.dimensions | right.dimensions) is unit
        for i, left in enumerate(reported)
        for right in reported[i + 1 :]
        if left.compatible(right) and not left.holds(right) and not right.holds(left)
    )


@lru_cache(maxsize=1024)
def _totals(
    counted: tuple[str, ...], priced: frozenset[str]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = []
    for name, unit in UNITS.items():
        if name in priced and name not in counted and unit.family != "tokens":
            parts = tuple(part for part in counted if unit.holds(UNITS[part]))
            if parts:
                found.append((name, parts))
    return tuple(found)
