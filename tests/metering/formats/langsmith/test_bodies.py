"""LangSmith's forms, and bodies that are none: what is wrong with a run is its own matter."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.call_reports import CallReport
from metering.domain.usage import Rejection
from metering.formats.batches import UnreadableBatch
from metering.formats.langsmith.form import boundary_of
from metering.formats.langsmith.runs import parse_batch, parse_export, parse_form, parse_run
from tests.metering.formats.langsmith.runs import CALL, NOW, PATCH, POST, ROOT, posted, run

# ---------------------------------------------------------------------------------------- forms

BOUNDARY = "8f1d0bd5"


def form(parts: list[tuple[str, bytes]]) -> bytes:
    """A form as LangSmith's client writes one."""
    pieces = [
        (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n'
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        ).encode()
        + content
        + b"\r\n"
        for name, content in parts
    ]
    return b"".join([*pieces, f"--{BOUNDARY}--\r\n".encode()])


def in_parts(act: str, sent: dict[str, Any]) -> list[tuple[str, bytes]]:
    large = ("inputs", "outputs", "extra", "error", "events", "serialized")
    whole = {key: value for key, value in sent.items() if key not in large}
    parts = [(f"{act}.{CALL}", json.dumps(whole).encode())]
    parts += [
        (f"{act}.{CALL}.{key}", json.dumps(sent[key]).encode()) for key in large if key in sent
    ]
    return parts


def read_form(body: bytes) -> list[CallReport | Rejection]:
    return parse_form(body, BOUNDARY.encode(), received_at=NOW)


def test_a_form_says_what_a_batch_says() -> None:
    picture = (f"attachment.{CALL}.picture", b"\x89PNG\r\n\r\n--no boundary\r\n")
    feedback = (f"feedback.{ROOT}", b'{"key": "good", "score": 1}')
    parts = [*in_parts("post", POST), picture, *in_parts("patch", PATCH), feedback]
    assert read_form(form(parts)) == posted(POST, patch=[PATCH])


def test_a_run_may_be_without_its_own_part() -> None:
    (item,) = read_form(form([(f"post.{CALL}.inputs", b"{}")]))
    assert isinstance(item, Rejection)
    assert (item.reason, item.key) == ("missing_part", CALL)


@pytest.mark.parametrize("part", [b"{", b"[]", b'"x"', b'{"id": 5}', b"\xff", b"[" * 100_000])
def test_a_bad_part_costs_its_run_only(part: bytes) -> None:
    other = f"post.{ROOT}"
    items = read_form(form([(other, part), *in_parts("post", POST)]))
    assert [type(item) for item in items] == [Rejection, CallReport]
    assert items[0].key == ROOT if isinstance(items[0], Rejection) else False


@given(st.integers(0, 10_000))
def test_a_form_that_is_cut_off_is_refused_as_a_whole(cut: int) -> None:
    body = form(in_parts("post", POST))
    cut %= len(body) - 4
    with pytest.raises(UnreadableBatch):
        read_form(body[:cut])


@given(st.binary(max_size=80))
def test_garbage_is_no_form(tail: bytes) -> None:
    with suppress(UnreadableBatch):
        assert read_form(f"--{BOUNDARY}".encode() + tail) == []


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('multipart/form-data; charset=utf-8; boundary="a b"', b"a b"),
        ("Multipart/Form-Data;boundary=abc; x=y", b"abc"),
        ("application/json", None),
        ("multipart/form-data", None),
        ("", None),
    ],
)
def test_the_boundary_stands_in_the_content_type(content_type: str, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary


# ----------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"run_type": "llm"}, "missing_field"),
        (run(id=5), "wrong_type"),
        (run(name=[1]), "wrong_type"),
        (run(start_time="yesterday"), "invalid_time"),
        (run(end_time="0001-01-01T00:00:00+14:00"), "invalid_time"),
        (run(outputs={"usage_metadata": {"input_tokens": -1}}), "unreadable_usage"),
        (run(outputs={"usage_metadata": {"input_tokens": 1.5}}), "unreadable_usage"),
        (run(outputs={"usage_metadata": {"input_tokens": "13"}}), "unreadable_usage"),
    ],
)
def test_what_is_wrong_with_a_run_is_its_own_matter(sent: dict[str, Any], reason: str) -> None:
    body = json.dumps({"post": [POST, sent]}).encode()
    good, bad = parse_batch(body, received_at=NOW)
    assert isinstance(good, CallReport)
    assert isinstance(bad, Rejection)
    assert (bad.reason, bad.place) == (reason, "post 1")


@pytest.mark.parametrize("count", ["1e400", "9" * 400, "NaN"])
def test_numbers_that_are_no_counts_are_refused(count: str) -> None:
    body = json.dumps({"post": [run(outputs={"usage_metadata": {"input_tokens": "~"}})]})
    if count == "NaN":
        with pytest.raises(UnreadableBatch):
            parse_batch(body.replace('"~"', count).encode(), received_at=NOW)
        return
    (item,) = parse_batch(body.replace('"~"', count).encode(), received_at=NOW)
    assert isinstance(item, Rejection)


def test_a_body_that_is_no_batch_is_refused_as_a_whole() -> None:
    for body in (b"", b"[]", b'{"post": 5}', b'{"post": [', b"\xff", b"[" * 100_000):
        with pytest.raises(UnreadableBatch):
            parse_batch(body, received_at=NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        *("id", "trace_id", "dotted_order", "run_type", "start_time", "end_time", "extra"),
        *("inputs", "outputs", "error", "tags", "session_name", "prompt_tokens"),
        "prompt_token_details",
    ]
)
KEYS = st.sampled_from(
    ["usage_metadata", "generations", "llm_output", "message", "kwargs", "usage", "metadata"]
)
OUTPUTS = st.recursive(
    JSON,
    lambda inner: st.dictionaries(KEYS, inner, max_size=2) | st.lists(inner, max_size=2),
    max_leaves=6,
)


@given(st.dictionaries(NAMES, JSON | OUTPUTS, max_size=8))
def test_whatever_a_run_holds_has_an_answer(sent: dict[str, Any]) -> None:
    payload = json.dumps({"id": CALL, "run_type": "llm", **sent}).encode()
    item = parse_run(payload, "post", place="x", received_at=NOW)
    assert isinstance(item, CallReport | Rejection)


@given(st.binary(max_size=60))
def test_garbage_has_an_answer(payload: bytes) -> None:
    item = parse_run(payload, "patch", place="x", received_at=NOW)
    assert isinstance(item, Rejection)
    assert parse_export(payload, place="x", received_at=NOW)
