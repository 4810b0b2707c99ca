"""Whatever a payload holds, a format answers: with an event, or a rejection that says where."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.usage import Rejection, UsageEvent
from metering.formats import lago, litellm, openmeter, provider_responses
from tests.metering.formats.test_litellm import RECORD
from tests.metering.formats.test_metered_events import CLOUD, LAGO
from tests.metering.formats.test_provider_responses import CHAT

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
Parse = Callable[..., UsageEvent | Rejection]

FORMATS: Mapping[str, tuple[Parse, Mapping[str, Any]]] = {
    "litellm": (litellm.parse, RECORD),
    "openmeter": (openmeter.parse, CLOUD),
    "lago": (lago.parse, LAGO),
    "provider_responses": (provider_responses.parse, CHAT),
}
"""Each format whose message is a whole call, with a good one."""

by_format = pytest.mark.parametrize("name", FORMATS)


def parse(name: str, payload: bytes) -> UsageEvent | Rejection:
    return FORMATS[name][0](payload, place="line 17", source="app", received_at=NOW)


def expect(found: UsageEvent | Rejection) -> None:
    assert isinstance(found, UsageEvent | Rejection)
    if isinstance(found, Rejection):
        assert found.place.startswith("line 17")
        assert found.reason
        assert found.message


@by_format
def test_a_good_payload_is_an_event(name: str) -> None:
    good = json.dumps(FORMATS[name][1]).encode()
    assert isinstance(parse(name, good), UsageEvent)


@by_format
@given(payload=st.binary(max_size=200))
def test_bytes(name: str, payload: bytes) -> None:
    assert isinstance(parse(name, payload), Rejection)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**19, 10**25),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["", " ", "0", "-1", "1e400", "\u200b", "\x00", "x" * 300, "2026-13-01"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=8), inner, max_size=3),
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every member of the payload, of whatever depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*path, name)
            yield from places(inner, (*path, name))


def changed(value: Any, path: tuple[str, ...], new: Any) -> Any:
    if not path:
        return new
    return {**value, path[0]: changed(value[path[0]], path[1:], new)}


@by_format
@given(data=st.data(), new=values)
def test_a_good_payload_with_anything_in_any_place(name: str, data: Any, new: Any) -> None:
    good = dict(FORMATS[name][1])
    path = data.draw(st.sampled_from(sorted(set(places(good)))))
    expect(parse(name, json.dumps(changed(good, path, new)).encode()))


@by_format
@given(data=st.data())
def test_a_good_payload_with_bytes_changed(name: str, data: Any) -> None:
    good = bytearray(json.dumps(FORMATS[name][1]).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    expect(parse(name, bytes(good)))


DEEP = 100_000
MONSTERS: Mapping[str, bytes] = {
    "deep arrays": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"data":' * DEEP + b"1" + b"}" * DEEP,
    "1e400": b'{"id":1e400,"timestamp":1e400,"startTime":1e400,"created":1e400}',
    "1e99999999": b'{"metadata":{},"prompt_tokens":1e99999999,"data":{"tokens":1e99999999}}',
    "NaN": b'{"data":{"tokens":NaN}}',
    "20 digits": b'{"data":{"tokens":12345678901234567890},"prompt_tokens":12345678901234567890}',
    "invalid UTF-8": b'{"id":"\xff\xfe"}',
    "lone surrogate": b'{"id":"\\ud800","model":"\\ud800"}',
    "NUL": b'{"id":"\\u0000","transaction_id":"\\u0000"}',
    "truncated": b'{"id":"a","data":{',
    "null": b"null",
    "number": b"5",
    "array": b"[]",
    "nothing": b"",
}


@by_format
@pytest.mark.parametrize("monster", MONSTERS)
def test_monsters(name: str, monster: str) -> None:
    found = parse(name, MONSTERS[monster])
    assert isinstance(found, Rejection), found
    expect(found)


@by_format
@pytest.mark.parametrize(
    "number", [b"1e400", b"1e99999999", b"-1", b"123456789012345678901", b"0.5"]
)
def test_numbers_that_no_call_used(name: str, number: bytes) -> None:
    """Anywhere that a good payload has a number, a number that cannot be is refused or doubted."""
    good = dict(FORMATS[name][1])
    for path in sorted(set(places(good))):
        inner: Any = good
        for step in path:
            inner = inner[step]
        if isinstance(inner, bool) or not isinstance(inner, int | float):
            continue
        payload = json.dumps(changed(good, path, "§")).encode().replace(b'"\\u00a7"', number)
        found = parse(name, payload)
        expect(found)
        if isinstance(found, UsageEvent):
            assert all(count is None or 0 <= count <= 10**9 for count in (found.input_tokens,))
