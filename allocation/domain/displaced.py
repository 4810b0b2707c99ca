"""Usage that the bill shows elsewhere than where it was metered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from allocation.domain.matching import same_model
from allocation.domain.variances import Cause, Evidence
from metering.domain.cells import counts_tokens

MIN_LONE_QUANTITY: Final = 1000
"""A single token class that agrees in a smaller number may agree by chance."""


class _Place(NamedTuple):
    """Where usage can be taken for other usage: one project and model in one tier, one day."""

    provider: str
    day: date
    project: str
    model: str
    tier: str


_Vector = dict[str, Evidence]


def pair_displaced(pieces: Sequence[Evidence]) -> list[Evidence]:
    """Recognise usage that is billed elsewhere than where it was metered: a surplus and a
    shortfall of the same provider's day with identical quantities in every token class.

    Another model: `executed_not_requested`. The same model in another tier: `price_difference`.
    Both halves get the cause, so it amounts to what the bill asks minus what we metered.
    """
    surplus = _vectors(pieces, "unmetered")
    shortfall = _vectors(pieces, "metered_not_billed")
    by_content: dict[tuple[object, ...], list[_Place]] = defaultdict(list)
    for place in sorted(surplus):
        by_content[_content(place, surplus[place])].append(place)
    renamed: dict[int, Evidence] = {}
    for place in sorted(shortfall):
        candidates = by_content[_content(place, shortfall[place])]
        elsewhere = _counterpart(place, candidates)
        if elsewhere is None:
            continue
        candidates.remove(elsewhere)
        for token_class, missing in shortfall[place].items():
            found = surplus[elsewhere][token_class]
            cause, note = _why_elsewhere(place, elsewhere)
            for piece, other in ((missing, found), (found, missing)):
                renamed[id(piece)] = piece._replace(cause=cause, counterpart=other.group, note=note)
    return [renamed.get(id(p), p) for p in pieces]


def _vectors(pieces: Iterable[Evidence], cause: Cause) -> dict[_Place, _Vector]:
    """Per place the pieces by token class; places whose quantities prove nothing are left out."""
    vectors: dict[_Place, _Vector] = defaultdict(dict)
    unclear: set[_Place] = set()
    for piece in pieces:
        cell = piece.group.cell
        if piece.cause != cause or not counts_tokens(cell.token_class) or not cell.model:
            continue
        place = _Place(cell.provider, cell.day, cell.project, cell.model, cell.tier)
        if piece.quantity is None or cell.token_class in vectors[place]:
            unclear.add(place)
        elif piece.quantity:
            vectors[place][cell.token_class] = piece
    return {p: v for p, v in vectors.items() if p not in unclear and _proves(v)}


def _proves(vector: _Vector) -> bool:
    counts = [piece.quantity or Decimal(0) for piece in vector.values()]
    return len(counts) > 1 or (len(counts) == 1 and counts[0] >= MIN_LONE_QUANTITY)


def _content(place: _Place, vector: _Vector) -> tuple[object, ...]:
    counts = tuple(sorted((c, piece.quantity) for c, piece in vector.items()))
    return (place.provider, place.day, counts)


def _counterpart(place: _Place, candidates: Sequence[_Place]) -> _Place | None:
    """The first candidate in the same project, else the first where a side leaves it open."""
    same = [c for c in candidates if c.project == place.project]
    open_ = [c for c in candidates if "" in (c.project, place.project)]
    return next(iter(same + open_), None)


def _why_elsewhere(metered: _Place, billed: _Place) -> tuple[Cause, str]:
    if same_model(metered.model, billed.model):
        return "price_difference", f"metered as {metered.tier}, billed as {billed.tier}"
    return "executed_not_requested", f"metered as {metered.model}, billed as {billed.model}"
