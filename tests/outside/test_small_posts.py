"""Small posts, which the event loop answers, against the server itself: as by the usual way, and
refused where one sender's, or all, are more than can wait.

`Content-Encoding: identity` changes nothing of a request but the way that it takes.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from config.small_posts import READERS
from metering import api_keys
from metering.models import AttributeName
from tests.metering.api.keys import rows, sent
from tests.serving import Server

pytestmark = pytest.mark.outside
USUAL = {"Content-Encoding": "identity"}
JSON = {"Content-Type": "application/json"}
MANY = 50
"""Events of a request that still waits with others."""


def bearer(name: str = "sender") -> dict[str, str]:
    secret = api_keys.create(name, "ingest", source="door", now=datetime.now(UTC))[1]
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """One connection, which stays open."""
    limits = httpx.Limits(max_connections=1)
    with httpx.Client(base_url=server.url, limits=limits, timeout=30) as made:
        yield made


def said(answer: httpx.Response) -> tuple[int, Any, dict[str, str]]:
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    content = re.sub(rb"(?<=urn:request:)[^\"]+", b"", answer.content)  # that request's own
    headers.pop("content-length", None) if content != answer.content else None
    return answer.status_code, content, headers


def both(
    client: httpx.Client,
    body: bytes,
    headers: dict[str, str],
    query: str = "",
    at: str = "/api/v1/usage",
) -> httpx.Response:
    """The answer, which must be the same by either way."""
    path = f"{at}{query}"
    short = client.post(path, content=body, headers=headers)
    usual = client.post(path, content=body, headers={**headers, **USUAL})
    assert said(short) == said(usual)
    return short


def metered(number: int, **different: Any) -> dict[str, Any]:
    """An event of Lago."""
    told = {"model": "gpt-4o-mini", "input_tokens": 540, "output_tokens": 180}
    ours = {"transaction_id": f"txn-{number}", "external_subscription_id": "acme", "code": "tokens"}
    return {**ours, "properties": told, **different}


def cloud(number: int, **different: Any) -> dict[str, Any]:
    """An event of OpenMeter."""
    told = {"model": "gpt-4o-mini", "input_tokens": 540, "output_tokens": 180}
    context = {"specversion": "1.0", "id": f"e-{number}", "source": "chat", "type": "prompt"}
    return {**context, "subject": "acme", "data": told, **different}


def test_answers_are_those_of_the_usual_way(client: httpx.Client) -> None:
    key = {**bearer(), **JSON}
    body = json.dumps(sent("a", attempt=1)).encode()
    first = client.post("/api/v1/usage", content=body, headers=key)
    assert (first.status_code, first.json()["accepted"]) == (200, 1)
    assert both(client, body, key).json()["duplicates"] == 1
    assert both(client, body, key, "?outcomes=all").json()["outcomes"][0]["outcome"] == "duplicate"
    changed = json.dumps([sent("a", attempt=1, outputTokens=9), sent(provider="opnai"), {}])
    assert both(client, changed.encode(), key).json()["conflicts"] == 1
    lines = b"\n".join([body, body])
    for kind in ("application/x-ndjson", "application/json; charset=UTF-8", "text/plain"):
        assert both(client, lines, {**key, "Content-Type": kind}).json()["duplicates"] == 2
    assert both(client, b"[]", key).json()["accepted"] == 0
    assert both(client, body, {**key, "X-API-Key": "apk_other"}).status_code == 401
    assert both(client, b"{", key).status_code == 400
    assert both(client, b"", key).status_code == 400
    assert both(client, body, {**key, "Content-Type": "text/csv"}).status_code == 415
    assert both(client, body, {**key, "Host": "evil.example"}).status_code == 400
    assert both(client, body, JSON).status_code == 401
    assert both(client, body, {**JSON, "Authorization": "Bearer apk_no"}).status_code == 401
    assert rows("SELECT count(*) FROM usage_event") == [(1,)]


def test_so_are_opsmeters(client: httpx.Client) -> None:
    path = "/v1/ingest/llm-request"
    key = {"X-API-Key": bearer()["Authorization"].removeprefix("Bearer "), **JSON}
    call: dict[str, Any] = {
        "externalRequestId": "ext_1",
        "provider": "openai",
        "model": "gpt-4o-mini",
    }
    call |= {"inputTokens": 1000, "outputTokens": 200, "totalTokens": 1200, "latencyMs": 8}
    body = json.dumps(call).encode()
    first = client.post(path, content=body, headers=key)
    assert (first.status_code, first.json()["ok"], first.json()["warnings"]) == (200, True, [])
    assert "duplicate" in both(client, body, key, at=path).json()["warnings"][0]
    tenant = json.dumps({**call, "tenantId": "acme"}).encode()
    assert both(client, tenant, key, at=path).status_code == 409
    for spoilt in (b"{", b"", b"[]", json.dumps({**call, "provider": "opnai"}).encode()):
        assert both(client, spoilt, key, at=path).json()["ok"] is False
    assert both(client, body, {**key, "Content-Type": "image/png"}, at=path).status_code == 415
    for kind in ("text/plain", "application/vnd.api+json; charset=utf-8"):
        assert both(client, body, {**key, "Content-Type": kind}, at=path).status_code == 200
    assert both(client, body, {**key, "X-API-Key": "apk_no"}, at=path).status_code == 401
    assert rows("SELECT count(*) FROM usage_event") == [(1,)]


def test_so_are_lagos(client: httpx.Client) -> None:
    path, key = "/lago/api/v1/events", {**bearer(), **JSON}
    for number in range(3):  # the first makes the key known, the others take the short way
        answer = client.post(path, json={"event": metered(number)}, headers=key)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
        assert answer.json()["event"]["transaction_id"] == f"txn-{number}"
    again = both(client, json.dumps({"event": metered(1)}).encode(), key, at=path)
    assert again.status_code == 422
    assert again.json()["error_details"] == {"transaction_id": ["value_already_exist"]}
    for spoilt in (b"", b"{", b"{}", b"[]", b'{"event": {"code": 7}}'):
        assert both(client, spoilt, key, at=path).status_code in (400, 422)
    other = {**key, "Content-Type": "text/csv"}
    assert (
        both(client, json.dumps({"event": metered(1)}).encode(), other, at=path).status_code == 400
    )
    no_key = {**JSON, "Authorization": "Bearer apk_no"}
    assert both(client, b"{}", no_key, at=path).json() == {"status": 401, "error": "Unauthorized"}
    assert rows("SELECT count(*) FROM usage_event") == [(3,)]


def test_so_are_openmeters(client: httpx.Client) -> None:
    path, key = "/openmeter/api/v1/events", {**bearer(), "Content-Type": "application/json"}
    body = json.dumps(cloud(1)).encode()
    assert client.post(path, content=body, headers=key).status_code == 204
    assert both(client, body, key, at=path).status_code == 204
    for kind, sent_so in (
        ("application/cloudevents+json", body),
        ("application/cloudevents-batch+json; charset=utf-8", b"[" + body + b"]"),
        ("application/json", json.dumps([cloud(1), cloud(2)]).encode()),
    ):
        answer = both(client, sent_so, {**key, "Content-Type": kind}, at=path)
        assert (answer.status_code, answer.content) == (204, b"")
        assert "Content-Type" not in answer.headers
    binary = {f"ce-{name}": str(value) for name, value in cloud(3).items() if name != "data"}
    data = json.dumps(cloud(3)["data"]).encode()
    assert both(client, data, {**key, **binary}, at=path).status_code == 204
    changed = json.dumps(cloud(1, subject="globex")).encode()
    refused = both(client, changed, key, at=path)
    assert (refused.status_code, refused.headers["Content-Type"]) == (
        400,
        "application/problem+json",
    )
    assert refused.json()["extensions"]["events"][0]["reason"] == "same_key_other_content"
    for spoilt in (b"", b"{", b"[]", b"{}", b"null"):
        assert both(client, spoilt, key, at=path).status_code == 400
    assert both(client, body, {**key, "Content-Type": "text/csv"}, at=path).status_code == 400
    assert both(client, body, {**key, "X-API-Key": "apk_other"}, at=path).status_code == 401
    assert rows("SELECT count(*) FROM usage_event") == [(3,)]


def test_a_source_that_names_things_anew_is_read_so_from_the_next_post_on(
    client: httpx.Client,
) -> None:
    path, key = "/lago/api/v1/events", {**bearer(), **JSON}
    for number in range(3):
        event = metered(number, properties={**metered(0)["properties"], "room": "b12"})
        assert client.post(path, json={"event": event}, headers=key).status_code == 200
        if number == 1:
            AttributeName.objects.create(source="door", field="endpointTag", attribute="room")
    tags = "SELECT endpoint_tag FROM usage_event ORDER BY received_at"
    assert rows(tags) == [(None,), (None,), ("b12",)]


def test_what_is_packed_chunked_or_large_is_taken_all_the_same(client: httpx.Client) -> None:
    key = {**bearer(), **JSON}
    packed = gzip.compress(json.dumps(sent("a")).encode())
    answer = client.post(
        "/api/v1/usage", content=packed, headers={**key, "Content-Encoding": "gzip"}
    )
    assert answer.json()["accepted"] == 1
    pieces = iter([json.dumps(sent("b")).encode()[:20], json.dumps(sent("b")).encode()[20:]])
    assert client.post("/api/v1/usage", content=pieces, headers=key).json()["accepted"] == 1
    large = json.dumps([sent(f"large-{n}") for n in range(1_000)]).encode()
    assert client.post("/api/v1/usage", content=large, headers=key).json()["accepted"] == 1_000
    too_large = client.post("/api/v1/usage", content=b" " * 10_000_001, headers=key)
    assert too_large.status_code == 413
    assert client.get("/api/v1/usage").status_code == 405
    assert client.get("/healthz").json() == {"status": "alive"}
    assert len(client.get("/api/schema/").content) > 10_000


BROKEN = {
    "cut": (b"Content-Length: 5000", b'{"a":'),
    "large and cut": (b"Content-Length: 500000", b'{"a":'),
    "without its last chunk": (b"Transfer-Encoding: chunked", b"2\r\n{}\r\n"),
    "with a chunk of no length": (b"Transfer-Encoding: chunked", b"2\r\n{}\r\nzz\r\n"),
}


def test_a_body_that_breaks_off_is_refused_in_the_words_of_its_endpoint(server: Server) -> None:
    key = bearer()
    for path in READERS:
        httpx.post(f"{server.url}{path}", json={}, headers=key)  # the key is known from now on
        for what, (framed, body) in BROKEN.items():
            status, content = broken_off(server, path, key, framed, body)
            assert status == 400, (path, what, content)
            assert "broke off" in content or "ends after" in content, (path, what)
            assert json.loads(content), (path, what)
    assert rows("SELECT count(*) FROM usage_event") == [(0,)]
    assert "Traceback" not in server.log.read_text()


def broken_off(
    server: Server, path: str, key: dict[str, str], framed: bytes, body: bytes
) -> tuple[int, str]:
    """What is said to a sender that says no more, but listens."""
    place = urlsplit(server.url)
    assert place.hostname
    assert place.port
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
        lines += [f"Authorization: {key['Authorization']}"]
        head = "\r\n".join(lines).encode() + b"\r\n" + framed
        connection.sendall(head + b"\r\n\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        answer = HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.read().decode()


def test_a_key_that_is_revoked_sends_nothing_more(client: httpx.Client) -> None:
    row, secret = api_keys.create("sender", "ingest", source="door", now=datetime.now(UTC))
    key = {"X-API-Key": secret}
    assert client.post("/api/v1/usage", json=sent("a"), headers=key).status_code == 200
    assert client.post("/api/v1/usage", json=sent("b"), headers=key).status_code == 200
    api_keys.revoke(row.id, now=datetime.now(UTC))
    refused = client.post("/api/v1/usage", json=sent("c"), headers=key)
    assert refused.status_code == 401
    assert refused.json()["type"].endswith(":revoked-key")
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert rows("SELECT count(*) FROM usage_event") == [(2,)]


@contextmanager
def nothing_is_stored(owner: psycopg.Connection) -> Iterator[None]:
    with owner.transaction():
        owner.execute("LOCK TABLE event_ledger IN ACCESS EXCLUSIVE MODE")
        yield


def test_a_sender_that_floods_is_told_so_and_a_full_server_says_so(
    server: Server, owner_connection: psycopg.Connection
) -> None:
    keys = {name: bearer(name) for name in ("first", "second", "third")}
    with httpx.Client(base_url=server.url) as client:
        for name, key in keys.items():  # each is known to the process from now on
            assert client.post("/api/v1/usage", json=sent(name), headers=key).status_code == 200
    answers = asyncio.run(flood(server.url, keys, owner_connection))
    by_sender = {name: Counter(each.status_code for each in got) for name, got in answers.items()}
    assert by_sender["first"][429] > 0
    assert by_sender["first"][503] == 0
    assert by_sender["second"][200] > 0, "there is room beside whoever floods"
    assert by_sender["third"][503] > 0
    for answer in [each for got in answers.values() for each in got]:
        if answer.status_code != 200:
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.headers["Content-Type"] == "application/problem+json"
        else:
            assert answer.json()["accepted"] == MANY
    stored = sum(count[200] for count in by_sender.values()) * MANY + len(keys)
    assert rows("SELECT count(*) FROM usage_event") == [(stored,)]


async def flood(
    url: str, keys: dict[str, dict[str, str]], owner: psycopg.Connection
) -> dict[str, list[httpx.Response]]:
    """Send much more with each key than may wait while nothing can be stored; what was answered
    in the end."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client:

        async def send(name: str, number: int) -> httpx.Response:
            events = [sent(f"{name}-{number}-{n}") for n in range(MANY)]
            return await client.post("/api/v1/usage", json=events, headers=keys[name])

        sending: dict[str, list[asyncio.Task[httpx.Response]]] = {}
        with nothing_is_stored(owner):
            for name, wanted in (("first", 429), ("second", 429), ("third", 503)):
                sending[name] = []
                while not any(
                    task.done() and task.result().status_code == wanted for task in sending[name]
                ):
                    number = len(sending[name])
                    sending[name].append(asyncio.create_task(send(name, number)))
                    await asyncio.wait(sending[name][-1:], timeout=0.01)
        return {name: await asyncio.gather(*tasks) for name, tasks in sending.items()}
