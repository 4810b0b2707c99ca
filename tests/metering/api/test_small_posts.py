"""Endpoints that read a small post by themselves, for the server's event loop: only what is in
order, by the memory of what was asked before, and with the answer of the usual way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from metering import small_intake
from metering.api import small_lago, small_openmeter, small_opsmeter, small_usage
from metering.api.posted import Post, Posted
from metering.book_version import book_version
from metering.domain.usage import Rejection
from metering.models import AttributeName
from metering.outcomes import Outcome
from metering.small_intake import ReadOtherwise, Sent
from tests.metering.api.keys import post, rows, secret, sent
from tests.metering.formats.test_metered_events import CLOUD, DATA, LAGO

pytestmark = pytest.mark.usefixtures("db")

OPSMETER = {
    "externalRequestId": "ext_1",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "inputTokens": 10,
    "outputTokens": 5,
    "totalTokens": 15,
    "latencyMs": 1,
}
BINARY = {f"ce-{name}": str(CLOUD[name]) for name in ("specversion", "id", "source", "type")}


class Way(NamedTuple):
    """An endpoint: its short reader, its path, and a request that it takes."""

    small: Callable[[Posted], Post | None]
    path: str
    body: Any
    kind: str = "application/json"
    headers: Mapping[str, str] = {}


WAYS = {
    "native": Way(small_usage.small, "/api/v1/usage", sent()),
    "opsmeter": Way(small_opsmeter.small, "/v1/ingest/llm-request", OPSMETER),
    "lago": Way(small_lago.small, "/lago/api/v1/events", {"event": LAGO}),
    "openmeter": Way(
        small_openmeter.small,
        "/openmeter/api/v1/events",
        CLOUD,
        "application/cloudevents+json; charset=UTF-8",
    ),
    "openmeter's batch of one": Way(
        small_openmeter.small,
        "/openmeter/api/v1/events",
        [CLOUD],
        "application/cloudevents-batch+json",
    ),
    "openmeter's binary mode": Way(
        small_openmeter.small,
        "/openmeter/api/v1/events",
        DATA,
        "application/json",
        {**BINARY, "ce-subject": "acme"},
    ),
}


@pytest.fixture(autouse=True)
def _connections_stay_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own transaction outlives each group, as it does each request."""
    monkeypatch.setattr(small_intake, "close_old_connections", lambda: None)


every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
read_by_names = pytest.mark.parametrize("way", list(WAYS.values())[2:], ids=list(WAYS)[2:])


def usual(way: Way, key: str) -> Any:
    return post(key, way.body, path=way.path, content_type=way.kind, **way.headers)


def posted(way: Way, key: str, **different: Any) -> Posted:
    body = different.get("body", json.dumps(way.body).encode())
    headers = {"content-type": different.get("kind", way.kind), "host": "testserver"}
    return Posted(key, {**headers, **way.headers}, "", body, datetime.now(UTC))


def hand_in(made: Post) -> list[Outcome]:
    (said,) = small_intake._commit([made.sent])
    assert isinstance(said, list)
    return said


@every_way
def test_what_is_read_by_itself_is_answered_as_by_the_usual_way(way: Way) -> None:
    key = secret()
    assert way.small(posted(way, key)) is None, "nobody has said whose key it is"
    assert usual(way, key).status_code < 300
    made = way.small(posted(way, key))
    assert made is not None
    again = made.answer(hand_in(made))
    as_usual = usual(way, key)
    assert again == (as_usual.status_code, as_usual.content, as_usual.get("Content-Type", ""))
    assert rows("SELECT count(*) FROM usage_event") == [(1,)]


@every_way
def test_what_is_not_in_order_is_left_to_the_usual_way(way: Way) -> None:
    key = secret()
    assert usual(way, key).status_code < 300
    assert way.small(posted(way, key)) is not None
    for body in (b"", b"{", b"\xff", b"null", b'{"event": {}}', b"[" * 5_000):
        made = way.small(posted(way, key, body=body))
        assert made is None or way.small is small_usage.small, body
    assert way.small(posted(way, key, kind="image/png")) is None
    assert way.small(posted(way, secret("gateway"))) is None
    assert way.small(posted(way, "apk_1_no")) is None


def test_several_events_that_are_all_or_nothing_are_left_to_it_too() -> None:
    way, key = WAYS["openmeter's batch of one"], secret()
    assert usual(way, key).status_code == 204
    two = json.dumps([CLOUD, {**CLOUD, "id": "e-2"}]).encode()
    assert way.small(posted(way, key, body=two)) is None


@read_by_names
def test_who_renames_what_a_source_sends_is_heeded_by_the_next_post(way: Way) -> None:
    key = secret()
    assert usual(way, key).status_code < 300
    made = way.small(posted(way, key))
    assert made is not None
    assert made.sent.read_by == book_version()
    AttributeName.objects.create(source="test", field="tags.shelf", attribute="model")
    # (In one transaction the version changes once, so what was read by is made older.)
    older = made.sent._replace(read_by="0")
    assert _is_again(small_intake._commit([older])[0])
    usual(way, key)
    now = way.small(posted(way, key))
    assert now is not None
    (item,) = now.sent.items
    assert not isinstance(item, Rejection)
    assert item.tags["shelf"] == item.model
    assert hand_in(now)[0].outcome == "conflict", "by its new names it says something else"


def test_of_a_group_only_what_was_read_otherwise_is_read_again() -> None:
    way, key = WAYS["lago"], secret()
    usual(way, key)
    made = way.small(posted(way, key))
    assert made is not None
    group = [Sent(made.sent.key, made.sent.items, by) for by in ("0", None, "0", book_version())]
    first, second, third, fourth = small_intake._commit(group)
    assert _is_again(first)
    assert _is_again(third)
    assert isinstance(second, list)
    assert isinstance(fourth, list)
    assert rows("SELECT count(*) FROM usage_event") == [(1,)]


def _is_again(said: object) -> bool:
    return isinstance(said, ReadOtherwise)
