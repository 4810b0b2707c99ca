"""Patterns that name models and endpoint tags: `*` is any text, `?` one character."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache


def matches(patterns: Iterable[str], value: str) -> bool:
    """Whether any of the patterns names the value; no pattern at all names everything."""
    tried = False
    for pattern in patterns:
        if _compiled(pattern).fullmatch(value):
            return True
        tried = True
    return not tried


def meet(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether some text is named by both sides; no pattern at all names everything."""
    ours, theirs = list(one) or ["*"], list(other) or ["*"]
    return any(_meet(a, b) for a in ours for b in theirs)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(c) or re.escape(c) for c in pattern), re.DOTALL)


def _meet(one: str, other: str) -> bool:
    """Walk both patterns at once; a state is how far each has been read."""
    seen: set[tuple[int, int]] = set()
    ahead = [(0, 0)]
    while ahead:
        state = ahead.pop()
        if state in seen:
            continue
        seen.add(state)
        i, j = state
        if i == len(one) and j == len(other):
            return True
        ahead.extend(_steps(one[i : i + 1], other[j : j + 1], i, j))
    return False


def _steps(a: str, b: str, i: int, j: int) -> list[tuple[int, int]]:
    """Where two patterns can go next from the characters in front of them (`""`: at the end)."""
    steps: list[tuple[int, int]] = []
    if a == "*":
        steps.append((i + 1, j))
        if b:
            steps.append((i, j + 1))
    if b == "*":
        steps.append((i, j + 1))
        if a:
            steps.append((i + 1, j))
    if a and b and "*" not in (a, b) and (a == b or "?" in (a, b)):
        steps.append((i + 1, j + 1))
    return steps
