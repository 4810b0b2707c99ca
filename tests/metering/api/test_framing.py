"""Bodies at random: packed, cut, changed, in lines. Nothing raises but a refusal, and what was sent
whole comes out whole."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from metering.api.bodies import BodyRefused, unpack, unpack_zstd
from metering.formats.batches import Layout, UnreadableBatch, take_apart
from tests.metering.formats.anything import values

LIMIT = 5_000
Unpack = Callable[[bytes, int], bytes]
PACKINGS: dict[str, tuple[Callable[[bytes], bytes], Unpack]] = {
    "gzip": (gzip.compress, unpack),
    "zstd": (zstandard.ZstdCompressor(write_checksum=True).compress, unpack_zstd),
}
by_packing = pytest.mark.parametrize("name", PACKINGS)
contents = st.binary(max_size=400) | st.binary(min_size=1, max_size=20).map(lambda b: b * 200)


@by_packing
@given(pieces=st.lists(contents, min_size=1, max_size=4))
def test_what_was_packed_comes_out_however_many_members_it_has(
    name: str, pieces: list[bytes]
) -> None:
    pack, unpacked = PACKINGS[name]
    packed, whole = b"".join(map(pack, pieces)), b"".join(pieces)
    if len(whole) <= LIMIT:
        assert unpacked(packed, LIMIT) == whole
        return
    with pytest.raises(BodyRefused) as refused:
        unpacked(packed, LIMIT)
    assert refused.value.status == 413


@by_packing
@given(content=contents, data=st.data())
def test_what_is_cut_off_is_refused(name: str, content: bytes, data: Any) -> None:
    pack, unpacked = PACKINGS[name]
    packed = pack(content)
    end = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(BodyRefused) as refused:
        unpacked(packed[:end], LIMIT)
    assert refused.value.status == 400


@by_packing
@given(content=contents, data=st.data())
def test_what_was_changed_on_its_way_is_refused_or_bounded(
    name: str, content: bytes, data: Any
) -> None:
    pack, unpacked = PACKINGS[name]
    packed = bytearray(pack(content))
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = unpacked(bytes(packed), LIMIT)
    except BodyRefused:
        return
    assert len(found) <= LIMIT


@by_packing
@given(packed=st.binary(max_size=200))
def test_bytes_that_nobody_packed(name: str, packed: bytes) -> None:
    _, unpacked = PACKINGS[name]
    with suppress(BodyRefused):
        assert len(unpacked(packed, LIMIT)) <= LIMIT


layouts: st.SearchStrategy[Layout | None] = st.sampled_from([None, "json", "lines"])


@given(body=st.binary(max_size=200), layout=layouts)
def test_bytes_that_are_no_batch(body: bytes, layout: Layout | None) -> None:
    with suppress(UnreadableBatch):
        assert len(take_apart(body, layout=layout, limit=10)) <= 10


@given(
    objects=st.lists(st.dictionaries(st.text(max_size=5), values, max_size=3), max_size=8),
    ending=st.sampled_from(["\n", "\r\n", "\n\n"]),
)
def test_objects_come_apart_as_an_array_and_as_lines(
    objects: list[dict[str, Any]], ending: str
) -> None:
    lines = ending.join(json.dumps(each) for each in objects).encode()
    array = json.dumps(objects).encode()
    ways: tuple[tuple[bytes, Layout | None], ...] = (
        (array, "json"),
        (array, None),
        (lines, "lines"),
    )
    for body, layout in ways:
        if not objects and layout == "lines":
            continue
        placed = take_apart(body, layout=layout, limit=10)
        assert [json.loads(bytes(each.content)) for each in placed] == objects
        assert len({each.place for each in placed}) == len(objects)


@given(
    good=st.lists(st.dictionaries(st.text(max_size=5), values, max_size=2), max_size=5),
    bad=st.lists(st.binary(min_size=1, max_size=20).filter(lambda b: b.strip()), max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_a_bad_line_costs_itself_only(
    good: list[dict[str, Any]], bad: list[bytes], order: Any
) -> None:
    lines = [json.dumps(each).encode() for each in good]
    lines += [b"".join(line.splitlines()) or b"x" for line in bad]
    order.shuffle(lines)
    if not lines:
        return
    placed = take_apart(b"\n".join(lines), layout="lines", limit=20)
    contents = [bytes(each.content) for each in placed]
    assert all(line in contents for line in lines if line[:1] == b"{")
