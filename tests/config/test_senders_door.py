"""Programs that send usage come in by a shorter way, with the same answers as by the long one."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import pytest
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import override_settings

from config.senders_door import PATHS, Application, senders_door
from metering import api_keys

pytestmark = pytest.mark.usefixtures("db", "lasting_horizon")

CALL = {
    "externalRequestId": "req_1",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "inputTokens": 10,
    "outputTokens": 5,
    "totalTokens": 15,
    "status": "success",
    "latencyMs": 1,
    "endpointTag": "e",
    "promptVersion": "p",
}
CLOUD = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "chat",
    "type": "prompt",
    "subject": "acme",
    "data": {"model": "gpt-4o-mini", "input_tokens": 10, "output_tokens": 5},
}
LAGO = {
    "transaction_id": "txn-1",
    "external_subscription_id": "acme",
    "code": "ai_tokens",
    "properties": {"model": "gpt-4o-mini", "input_tokens": 10, "output_tokens": 5},
}
BODIES: dict[str, Any] = {
    "/api/v1/usage": CALL,
    "/v1/ingest/llm-request": CALL,
    "/openmeter/api/v1/events": CLOUD,
    "/lago/api/v1/events": {"event": LAGO},
    "/lago/api/v1/events/batch": {"events": [LAGO]},
}
ONCE = "/lago/"
"""Where what was sent before is refused."""


class Said(NamedTuple):
    status: str
    headers: dict[str, str]
    body: bytes


def asked(application: Application, path: str, body: bytes, **environ: str) -> Said:
    """What the application answers, as a server would pass it on."""
    said: list[Any] = []

    def start(status: str, headers: Iterable[tuple[str, str]]) -> None:
        said.extend((status, dict(headers)))

    pieces = application(
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "localhost",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "wsgi.url_scheme": "http",
            "wsgi.errors": io.StringIO(),
            **environ,
        },
        start,
    )
    whole = b"".join(pieces)
    pieces.close()  # type: ignore[attr-defined]
    return Said(said[0], said[1], whole)


def both(path: str, body: bytes, **environ: str) -> Said:
    """The answer at the short way, once it is known to be that of the long one."""
    usual = usual_way()
    short = asked(senders_door(usual), path, body, **environ)
    long = asked(usual, path, body, **environ)
    assert short.status == long.status
    assert _without_its_id(short.body) == _without_its_id(long.body)
    of_pages = {"X-Frame-Options", "Vary"}
    assert short.headers == {n: v for n, v in long.headers.items() if n not in of_pages}
    return short


def _without_its_id(body: bytes) -> bytes:
    """OpenMeter's problems name the request."""
    return re.sub(rb"(?<=localhost/)[0-9a-f]{32}", b"", body)


def usual_way() -> Application:
    return cast("Application", get_wsgi_application())


@pytest.fixture(autouse=True)
def _connections_stay_open() -> Iterator[None]:
    """The test's own transaction outlives each request, as with Django's test client."""
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


@pytest.fixture
def key() -> str:
    now = datetime.now(UTC)
    return f"Bearer {api_keys.create('sender', 'ingest', source='door', now=now)[1]}"


@pytest.mark.parametrize("path", PATHS)
def test_a_resend_and_every_refusal_are_the_same_either_way(path: str, key: str) -> None:
    usual = usual_way()
    body = json.dumps(BODIES[path]).encode()
    first = asked(senders_door(usual), path, body, HTTP_AUTHORIZATION=key)
    assert first.status in ("200 OK", "204 No Content"), first.body
    again = "422 Unprocessable Entity" if path.startswith(ONCE) else first.status
    assert both(path, body, HTTP_AUTHORIZATION=key).status == again
    assert both(path, b"{", HTTP_AUTHORIZATION=key).status == "400 Bad Request"
    assert both(path, body).status == "401 Unauthorized"
    assert both(path, body, HTTP_AUTHORIZATION="Bearer no").status == "401 Unauthorized"
    assert both(path, body, REQUEST_METHOD="PUT").status == "405 Method Not Allowed"
    packed = both(path, body, HTTP_AUTHORIZATION=key, HTTP_CONTENT_ENCODING="gzip")
    assert packed.status == "400 Bad Request"
    assert both(path, body, HTTP_AUTHORIZATION=key, HTTP_HOST="evil.example").status.startswith(
        "400"
    )


@pytest.mark.parametrize("path", PATHS)
@override_settings(SECURE_SSL_REDIRECT=True, SECURE_HSTS_SECONDS=60)
def test_plain_http_is_no_way_in_where_https_is_asked_for(path: str, key: str) -> None:
    said = both(path, json.dumps(BODIES[path]).encode(), HTTP_AUTHORIZATION=key)
    assert said.status.startswith("301")


def test_other_paths_go_the_usual_way() -> None:
    usual = usual_way()
    door = senders_door(usual)
    assert asked(door, "/healthz", b"", REQUEST_METHOD="GET").status == "200 OK"
    assert asked(door, "/api/v1/nothing", b"").status == "404 Not Found"
