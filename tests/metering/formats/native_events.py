"""The least native event, and what parsing makes of it with other fields."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from metering.domain.usage import Rejection, UsageEvent
from metering.formats import native

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


LEAST: dict[str, Any] = {
    "externalRequestId": "req_1",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "inputTokens": 540,
    "outputTokens": 180,
}


def parse(sent: dict[str, Any] | bytes | str) -> UsageEvent | Rejection:
    if isinstance(sent, dict):
        sent = json.dumps(sent)
    payload = sent.encode() if isinstance(sent, str) else sent
    return native.parse(payload, place="line 17", source="app", received_at=NOW)


def accepted(**fields: Any) -> UsageEvent:
    event = parse({**LEAST, **fields})
    assert isinstance(event, UsageEvent), event
    return event


def refused(**fields: Any) -> Rejection:
    rejection = parse({**LEAST, **fields})
    assert isinstance(rejection, Rejection), rejection
    assert rejection.place == "line 17"
    return rejection
