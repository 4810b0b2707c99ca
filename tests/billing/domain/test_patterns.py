from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.domain.patterns import matches, meet

PATTERNS = st.text("ab*?", max_size=5)


@pytest.mark.parametrize(
    ("patterns", "value", "expected"),
    [
        ((), "anything", True),
        (("gpt-4o*",), "gpt-4o-mini", True),
        (("gpt-4o*",), "o4-mini", False),
        (("gpt-4?",), "gpt-4o", True),
        (("gpt-4?",), "gpt-4", False),
        (("checkout.*", "search"), "search", True),
        (("a[b]",), "a[b]", True),
        (("a.c",), "abc", False),
    ],
)
def test_what_a_pattern_names(patterns: tuple[str, ...], value: str, *, expected: bool) -> None:
    assert matches(patterns, value) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((), ("gpt*",), True),
        (("gpt-4o*",), ("gpt-4o-mini",), True),
        (("gpt-4o*",), ("claude*",), False),
        (("*-mini",), ("gpt-*",), True),
        (("gpt-4",), ("gpt-4?",), False),
        (("a*b",), ("*c",), False),
        (("*a*",), ("*b*",), True),
    ],
)
def test_whether_two_patterns_meet(
    one: tuple[str, ...], other: tuple[str, ...], *, expected: bool
) -> None:
    assert meet(one, other) is expected
    assert meet(other, one) is expected


@given(PATTERNS.filter(bool), PATTERNS.filter(bool), st.text("abc", max_size=6))
def test_a_text_that_both_name_is_never_missed(one: str, other: str, text: str) -> None:
    if matches([one], text) and matches([other], text):
        assert meet([one], [other])


@given(PATTERNS.filter(bool), PATTERNS.filter(bool))
def test_patterns_that_meet_share_a_text(one: str, other: str) -> None:
    """A shortest witness is no longer than both patterns together, so all of them can be tried."""
    if meet([one], [other]):
        reach = [""]
        for _ in range(len(one) + len(other)):
            if any(matches([one], t) and matches([other], t) for t in reach):
                return
            reach = [t + c for t in reach for c in "ab"][:4096]
        assert any(matches([one], t) and matches([other], t) for t in reach)
