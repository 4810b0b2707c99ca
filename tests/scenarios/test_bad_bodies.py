"""Bodies that no sender means: refused by every endpoint in its words, and nothing else harmed."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from metering.domain.periods import Month
from metering.verification.event_verification import check_month
from tests.metering.api.keys import post, rows, secret, stored
from tests.scenarios.wires import AT, BESIDE, WIRES, Wire, headers

pytestmark = pytest.mark.usefixtures("db")

ENDPOINTS = {wire.path: wire for wire in WIRES if wire.stores}
"""The last good request of each address."""
by_endpoint = pytest.mark.parametrize("path", ENDPOINTS)

DEEP = 100_000
BOMB = gzip.compress(b"[" + b" " * 60_000_000 + b"]")
"""60 KB that unpack to 60 MB."""
Sent = tuple[bytes, dict[str, str]]


def _plain(body: bytes) -> Callable[[Wire], Sent]:
    return lambda _: (body, {})


def _packed(wire: Wire) -> bytes:
    return gzip.compress(wire.body)


MONSTERS: Mapping[str, Callable[[Wire], Sent]] = {
    "truncated gzip": lambda wire: (_packed(wire)[:-20], {"Content_Encoding": "gzip"}),
    "no gzip": lambda wire: (wire.body, {"Content_Encoding": "gzip"}),
    "gzip bomb": lambda _: (BOMB, {"Content_Encoding": "gzip"}),
    "unknown encoding": lambda wire: (wire.body, {"Content_Encoding": "rot13"}),
    "100 MB": _plain(b"[" + b" " * 100_000_000 + b"]"),
    "invalid UTF-8": lambda wire: (
        re.sub(b"(?<=gpt-4o-)mini|resolved", b"\xff\xfe\xff\xfe", wire.body),
        {},
    ),
    "NaN": _plain(b'{"event": NaN, "events": [NaN], "batch": [NaN], "post": [NaN]}'),
    "deep arrays": _plain(b"[" * DEEP + b"]" * DEEP),
    "deep objects": _plain(b'{"event":' * DEEP + b"1" + b"}" * DEEP),
    "cut off": lambda wire: (wire.body[: len(wire.body) // 2], {}),
    "no JSON": _plain(b"hello"),
    "a number": _plain(b"5"),
}


def send(wire: Wire, key: str, sent: Sent, content_type: str | None = None) -> Any:
    body, more = sent
    return post(
        None,
        body,
        path=wire.path,
        content_type=content_type or wire.content_type,
        **headers(wire, key),
        **more,
    )


def expect_refusal(wire: Wire, response: Any, what: str) -> None:
    """In the client's words: of the whole body, or of the event in it."""
    assert response.status_code < 500, (what, response.content[:300])
    assert response.content, what
    if response.status_code < 300:
        assert any(word in response.content for word in (b"rejected", b"errors")), what
    if "json" in response["Content-Type"]:
        assert isinstance(json.loads(response.content), dict)
    assert stored() == 0, what


def expect_agreement() -> None:
    """All books of the month agree with the events."""
    month = Month.of(AT)
    assert [*check_month(month), *check_month(month.previous())] == []


@by_endpoint
def test_bodies_that_cannot_be_read(path: str) -> None:
    wire, key = ENDPOINTS[path], secret()
    for what, spoil in MONSTERS.items():
        expect_refusal(wire, send(wire, key, spoil(wire)), what)
    if path != "/v1/ingest/llm-request":  # read whatever its clients call their JSON
        expect_refusal(wire, send(wire, key, (wire.body, {}), "image/png"), "content type")
    response = send(wire, key, (wire.body, {}))
    assert response.status_code < 300, response.content[:300]
    assert stored() > 0, "the next good request is taken in"
    expect_agreement()


@pytest.mark.parametrize("wire", BESIDE, ids=lambda wire: wire.name)
def test_bodies_beside_events_that_cannot_be_read(wire: Wire) -> None:
    key = secret()
    kept = f"SELECT count(*) FROM {BESIDE[wire]}"
    for what, spoil in MONSTERS.items():
        response = send(wire, key, spoil(wire))
        assert response.status_code < 500, (what, response.content[:300])
        assert rows(kept) == [(0,)], what
    assert send(wire, key, (wire.body, {})).status_code == 200
    assert rows(kept) == [(1,)]


@by_endpoint
@pytest.mark.parametrize(
    "numbers", [(b"12345678901234567890", b"-7"), (b"1e400", b"0.5", b'"many"')]
)
def test_counts_that_nothing_used(path: str, numbers: tuple[bytes, ...]) -> None:
    """Refused, or kept and marked: never stored as a count that is believed."""
    wire, key = ENDPOINTS[path], secret()
    for number in numbers:
        spoilt = re.sub(rb'(?<=: )"?1000"?(?=[,}])', number, wire.body)
        if spoilt == wire.body:
            pytest.skip("packed otherwise than as text")
        response = send(wire, key, (spoilt, {}))
        assert response.status_code < 500, response.content[:300]
        believed = "pricing = 'priced' AND usage_quality NOT IN ('inconsistent', 'missing')"
        assert rows(f"SELECT count(*) FROM usage_event WHERE {believed}") == [(0,)], number
    expect_agreement()


@by_endpoint
@pytest.mark.parametrize("number", ["1e99999999", "-1e200000", "1e-99999999", "1e1000000000000000"])
def test_figures_that_nothing_can_hold(path: str, number: str) -> None:
    """Beside the counts: such a call is refused, or kept without them."""
    wire, key = ENDPOINTS[path], secret()
    if b"0.0625" not in wire.body:
        pytest.skip("has no figures beside counts")
    response = send(wire, key, (wire.body.replace(b"0.0625", number.encode()), {}))
    assert response.status_code < 500, response.content[:300]
    assert rows("SELECT 1 FROM usage_event WHERE usage::text ~ '0{30}|[0-9][eE]'") == []
    expect_agreement()


@by_endpoint
def test_the_same_again_within_one_body(path: str) -> None:
    """One event, however often a body repeats it: counted once, or refused as a whole."""
    wire, key = ENDPOINTS[path], secret()
    again = _repeated(json.loads(wire.body)) if wire.body[:1] in b"[{" else None
    if again is None:
        pytest.skip("takes one event at a time")
    response = send(wire, key, (json.dumps(again).encode(), {}))
    assert response.status_code < 500
    counted = "SELECT count(*) FROM usage_event e WHERE NOT EXISTS (SELECT FROM event_disposition d"
    assert rows(f"{counted} WHERE d.event_key = e.event_key)") in ([(0,)], [(1,)])
    expect_agreement()


def _repeated(body: Any) -> Any:
    if isinstance(body, list):
        return body * 2
    if "externalRequestId" in body and "usage" in body:
        return [body, body]
    for name in ("events", "batch", "post", "resourceSpans"):
        if isinstance(body.get(name), list):
            return {**body, name: body[name] * 2}
    return None
