"""Keys and requests for tests of the API."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

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
