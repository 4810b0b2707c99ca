"""Keys, requests and what came of them, for tests of the API."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.test import Client

from metering.api_keys import create

TODAY = datetime.now(UTC)


def secret(scope: str = "ingest", **different: Any) -> str:
    """A new key's secret; of the source `test` unless told otherwise."""
    if scope in ("ingest", "gateway"):
        different.setdefault("source", "test")
    return create("test", scope, now=datetime.now(UTC), **different)[1]


def sent(request_id: str = "req-1", **different: Any) -> dict[str, Any]:
    """A plain native event as it goes over the wire."""
    plain = {
        "externalRequestId": request_id,
        "provider": "openai",
        "model": "gpt-4o-mini",
        "occurredAt": "2026-10-03T12:00:00Z",
        "inputTokens": 1000,
        "outputTokens": 200,
        "tenantId": "acme",
        "latencyMs": 800,
    }
    return {**plain, **different}


def post(
    key: str | None,
    body: object,
    *,
    path: str = "/api/v1/usage",
    content_type: str = "application/json",
    **headers: str,
) -> Any:
    """The response to a body (bytes as they are, else as JSON)."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    if key is not None:
        headers.setdefault("Authorization", f"Bearer {key}")
    # (a WSGI request has its headers in environ, so names are passed as HTTP clients write them)
    return Client().post(
        path,
        data,
        content_type=content_type,
        headers={n.replace("_", "-"): v for n, v in headers.items()},
    )


def rows(query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def stored() -> int:
    return int(rows("SELECT count(*) FROM usage_event")[0][0])


def counts(answer: dict[str, Any]) -> dict[str, int]:
    return {name: value for name, value in answer.items() if name != "outcomes" and value}


def refused(response: Any, status: int, kind: str) -> dict[str, Any]:
    """The problem, which must be of that status and type; nothing may have been stored."""
    assert response["Content-Type"] == "application/problem+json"
    answer: dict[str, Any] = response.json()
    assert (response.status_code, answer["status"]) == (status, status)
    assert answer["type"] == f"urn:apportion:problem:{kind}"
    assert answer["title"]
    assert answer["detail"]
    assert stored() == 0
    return answer
