"""Bodies of `POST /api/v1/usage`: malformed, hostile, packed, too large."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
import zlib

import pytest
import zstandard
from django.core.handlers.wsgi import WSGIRequest

from metering.api import bodies
from metering.api.bodies import BodyRefused, read_body
from tests.metering.api.keys import counts, post, refused, secret, sent

pytestmark = pytest.mark.usefixtures("db")


@pytest.mark.parametrize(
    ("body", "line", "byte"),
    [
        (b'[{"a":1},\n {"b":nope}]', 2, 16),
        (b'[{"a":1} {"b":2}]', 1, 9),
        (b'[{"a":1},\n{"b":2}', 2, 17),
        (b'{"a":1', 1, 6),
        (b'{"a":NaN}', 1, 5),
        (b'[{"a":Infinity}]', 1, 6),
        (b"hello", 1, 0),
        (b'"text"', 1, 0),
        (b"[1]x", 1, 3),
        (b"[" * 200_000, None, None),
        (b'{"a":' * 200_000, None, None),
        (b"", None, None),
        (b" \n ", None, None),
        (b"[" + b"1," * 1_000_000 + b"1]", None, None),
    ],
)
def test_what_is_no_json_is_named_by_line_and_byte(
    body: bytes, line: int | None, byte: int | None
) -> None:
    answer = refused(post(secret(), body), 400, "malformed-json")
    assert answer.get("line") == line
    if byte is not None:
        assert abs(answer["byte"] - byte) <= 2, answer


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ('"inputTokens": 1e400', "wrong_type"),
        ('"inputTokens": ' + "9" * 5000, "out_of_range"),
        ('"inputTokens": 1.5', "wrong_type"),
        ('"inputTokens": true', "wrong_type"),
        ('"units": {"x": 1e999999999}', "unit_quantity"),
        ('"units": {"x": ' + "1" * 400 + "}", "unit_quantity"),
        ('"tags": {"a": "\\u0000"}', "control_character"),
        ('"tenantId": "a\\tb"', "control_character"),
        ('"tags": ' + '{"a":' * 50_000 + "1" + "}" * 50_000, "too_deep"),
        ('"occurredAt": "2026-10-03T12:00:00"', "time_without_zone"),
        ('"occurredAt": "9999-12-31T23:59:59Z"', "future_time"),
        ('"shares": [{"tenantId": "x", "inputTokens": 5000}]', "shares_exceed_input"),
    ],
)
def test_hostile_values_cost_their_event_only(field: str, reason: str) -> None:
    good = json.dumps(sent("good"))
    bad = json.dumps(sent("bad"))[:-1] + ", " + field + "}"
    response = post(secret(), f"{good}\n{bad}".encode(), content_type="application/x-ndjson")
    assert counts(response.json()) == {"accepted": 1, "rejected": 1}
    assert response.json()["outcomes"][0]["reason"] == reason


def test_text_that_is_not_utf8_is_refused_by_the_event() -> None:
    body = json.dumps([sent("a", model="gpt-4o-mini"), sent("b")]).encode()
    answer = post(secret(), body.replace(b"acme", b"ac\xff\xfe", 1)).json()
    assert counts(answer) == {"accepted": 1, "rejected": 1}
    assert answer["outcomes"][0]["reason"] == "invalid_utf8"


def test_ten_thousand_events_are_the_limit() -> None:
    key = secret()
    many = b"\n".join([b"{}"] * 10_001)
    refused(post(key, many), 413, "too-many-events")
    refused(post(key, b"[" + b",".join([b"{}"] * 10_001) + b"]"), 413, "too-many-events")
    refused(post(key, b"{}\n" + b"\n" * 30_000 + b"{}"), 413, "too-many-events")
    assert counts(post(key, many[3:]).json()) == {"rejected": 10_000}


def test_ten_megabytes_are_the_limit_packed_or_not() -> None:
    key = secret()
    refused(post(key, b" " * (bodies.MAX_BODY + 1)), 413, "body-too-large")
    bomb = gzip.compress(b" " * (bodies.MAX_BODY + 1))
    assert len(bomb) < 20_000
    refused(post(key, bomb, Content_Encoding="gzip"), 413, "body-too-large")
    fits = json.dumps(sent()).encode()
    fits += b" " * (bodies.MAX_BODY - len(fits))
    assert counts(post(key, gzip.compress(fits), Content_Encoding="gzip").json()) == {"accepted": 1}


def test_a_bomb_is_not_unpacked_beyond_the_limit() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(200)) + bomb.flush()
    tracemalloc.start()
    try:
        with pytest.raises(bodies.BodyRefused) as refusal:
            bodies.unpack(packed, 1_000)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refusal.value.status == 413
    assert most < 1_000_000
    with pytest.raises(bodies.BodyRefused, match="members"):
        bodies.unpack(gzip.compress(b"") * 5_000, 1_000)


def test_gzip_may_come_in_several_members() -> None:
    first, second = json.dumps(sent("a")).encode() + b"\n", json.dumps(sent("b")).encode()
    packed = gzip.compress(first) + gzip.compress(second)
    assert counts(post(secret(), packed, Content_Encoding="x-gzip").json()) == {"accepted": 2}


@pytest.mark.parametrize("cut", [0, 1, 10, 40, -1, -4, -8])
def test_gzip_that_was_cut_off_is_refused_as_a_whole(cut: int) -> None:
    packed = gzip.compress(json.dumps([sent()]).encode())[:cut]
    refused(post(secret(), packed, Content_Encoding="gzip"), 400, "malformed-gzip")


@pytest.mark.parametrize("junk", [b"trailing", b"\0"])
def test_gzip_with_something_behind_it_is_refused(junk: bytes) -> None:
    packed = gzip.compress(json.dumps([sent()]).encode()) + junk
    refused(post(secret(), packed, Content_Encoding="gzip"), 400, "malformed-gzip")
    assert post(secret(), b"{}", Content_Encoding="gzip").status_code == 400


def test_a_broken_checksum_is_refused() -> None:
    packed = bytearray(gzip.compress(json.dumps([sent()]).encode()))
    packed[-5] ^= 1
    refused(post(secret(), bytes(packed), Content_Encoding="gzip"), 400, "malformed-gzip")


def test_zstd_is_taken_whole_or_not_at_all() -> None:
    packed = zstandard.compress(json.dumps([sent("a"), sent("b")]).encode())
    assert counts(post(secret(), packed, Content_Encoding="zstd").json()) == {"accepted": 2}


@pytest.mark.parametrize("cut", [0, 1, 10, 40, -1, -4])
def test_zstd_that_was_cut_off_is_refused_as_a_whole(cut: int) -> None:
    packed = zstandard.compress(json.dumps([sent()]).encode())[:cut]
    refused(post(secret(), packed, Content_Encoding="zstd"), 400, "malformed-zstd")


def test_zstd_may_come_in_several_frames_and_may_not_be_followed_by_anything() -> None:
    frames = b"".join(map(zstandard.compress, (b"[1, ", b"", b"2]")))
    assert bodies.unpack_zstd(frames, 1_000) == b"[1, 2]"
    with pytest.raises(bodies.BodyRefused):
        bodies.unpack_zstd(frames + b"junk", 1_000)
    with pytest.raises(bodies.BodyRefused, match="frames"):
        bodies.unpack_zstd(zstandard.compress(b"") * 5_000, 1_000)


def test_a_bomb_of_zstd_is_not_unpacked_beyond_the_limit() -> None:
    packed = zstandard.compress(bytes(100 << 20))
    assert len(packed) < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(bodies.BodyRefused) as refusal:
            bodies.unpack_zstd(packed, 1_000)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refusal.value.status == 413
    assert most < 20_000_000


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "deflate", "gzip;q=1", "zstd, gzip"])
def test_other_encodings_are_refused(encoding: str) -> None:
    packed = gzip.compress(gzip.compress(json.dumps([sent()]).encode()))
    refused(post(secret(), packed, Content_Encoding=encoding), 415, "unsupported-encoding")


def test_identity_is_no_encoding() -> None:
    assert post(secret(), sent(), Content_Encoding="identity, ").status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/json; charset=utf-16",
        "application/x-protobuf",
    ],
)
def test_other_content_types_are_refused(content_type: str) -> None:
    response = post(secret(), json.dumps(sent()).encode(), content_type=content_type)
    refused(response, 415, "unsupported-media-type")


def test_a_content_type_may_say_utf8() -> None:
    body = json.dumps(sent()).encode()
    response = post(secret(), body, content_type="Application/JSON; charset=UTF-8")
    assert response.status_code == 200


class Failing(io.RawIOBase):
    """A body that cannot be read to its end."""

    def __init__(self, why: OSError) -> None:
        self._why = why

    def readable(self) -> bool:
        return True

    def readinto(self, _: object, /) -> int:
        raise self._why


@pytest.mark.parametrize(
    "framing", [{"CONTENT_LENGTH": "9"}, {"HTTP_TRANSFER_ENCODING": "chunked"}]
)
@pytest.mark.parametrize(
    ("why", "status", "kind"),
    [(OSError("gone"), 400, "incomplete-body"), (TimeoutError(), 408, "slow-body")],
)
def test_a_body_that_does_not_come_is_refused(
    framing: dict[str, str], why: OSError, status: int, kind: str
) -> None:
    environ = {"REQUEST_METHOD": "POST", "wsgi.input_terminated": True, **framing}
    with pytest.raises(BodyRefused) as refused:
        read_body(WSGIRequest({**environ, "wsgi.input": Failing(why)}))
    assert (refused.value.status, refused.value.type) == (status, kind)
