"""Anything at all, in the place of what a sender means: for parsers and endpoints that must answer
whatever comes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from hypothesis import strategies as st

Path = tuple[str | int, ...]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**19, 10**25),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["", " ", "0", "-1", "1e400", "NaN", "\u200b", "\x00", "x" * 300, "x" * 70_000]
    ),
    st.sampled_from(["2026-13-01", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "²", "١٢"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=8), inner, max_size=3),
    ),
    max_leaves=6,
)

_DEEP: Final = 3_000
RAW: Final = (
    *(b"NaN", b"-Infinity", b"1e400", b"-1e400", b"1e-400", b"1e99999999", b"-0.0"),
    *(b"12345678901234567890", b"-12345678901234567890", b"9" * 500, b"0." + b"1" * 500),
    *(b'"\\ud800"', b'"\\u0000"', b'"\xff"', b'"\\udc00\\ud800"'),
    b"[" * _DEEP + b"]" * _DEEP,
    b'{"a":' * _DEEP + b"1" + b"}" * _DEEP,
    b'{"model":"a","model":["b"],"":1,"":2}',
    b"{" + b",".join(b'"name-%d":"x"' % n for n in range(10_000)) + b"}",
    b"[" + b",".join(b'{"key":"k%d"}' % n for n in range(10_000)) + b"]",
)
"""What JSON's own writers do not write."""

written = st.one_of(values.map(lambda value: json.dumps(value).encode()), st.sampled_from(RAW))
"""A value as it stands in a body."""


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every member of a payload, of whatever depth."""
    inner = value.items() if isinstance(value, dict) else ()
    for name, each in enumerate(value) if isinstance(value, list) else inner:
        yield (*path, name)
        yield from places(each, (*path, name))


def changed(value: Any, path: Path, new: Any) -> Any:
    """The payload with another value in that place."""
    if not path:
        return new
    first, rest = path[0], path[1:]
    if isinstance(value, list):
        return [changed(each, rest, new) if n == first else each for n, each in enumerate(value)]
    return {**value, first: changed(value[first], rest, new)}


def spoilt(good: Any, changes: Sequence[tuple[Path, bytes]]) -> bytes:
    """The payload as JSON, with those values where they are put; a place within one that was
    replaced before is gone."""
    marks: dict[bytes, bytes] = {}
    for number, (path, raw) in enumerate(changes):
        if path in set(places(good)):
            mark = f"\u00a7{number}\u00a7"
            good = changed(good, path, mark)
            marks[json.dumps(mark).encode()] = raw
    body = json.dumps(good).encode()
    for written_mark, raw in marks.items():
        body = body.replace(written_mark, raw)
    return body


@st.composite
def spoilings(draw: st.DrawFn, good: Any) -> bytes:
    """The payload with anything in one to three of its places."""
    found = sorted(set(places(good)), key=repr)
    paths = draw(st.lists(st.sampled_from(found), min_size=1, max_size=3, unique=True))
    return spoilt(good, [(path, draw(written)) for path in paths])
