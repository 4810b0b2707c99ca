"""What somebody may have meant by a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

NEAREST: Final = 3
_ALIKE: Final = 0.6
"""difflib's own measure of what is worth suggesting, from 0 to 1."""


def meant(name: str, known: Iterable[str]) -> str:
    """A clause to end a refusal with: the few known names nearest to this one, nearest first
    (`; did you mean openai?`), or nothing where none is near. Case does not matter."""
    return _meant(name, frozenset(known))


@lru_cache(maxsize=1_024)
def _meant(name: str, known: frozenset[str]) -> str:
    # Remembered, since a sender who names what is not known does so in every batch.
    by_lower = {each.lower(): each for each in sorted(known)}
    near = get_close_matches(name.lower(), by_lower, NEAREST, _ALIKE)
    if not near:
        return ""
    return f"; did you mean {' or '.join(by_lower[each] for each in near)}?"
