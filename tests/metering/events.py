"""Usage events for tests: a plain call, and what a test says is different about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from metering.domain.keys import claim_digest
from metering.domain.usage import UsageEvent, counts_of
from metering.event_rows import reported_text, sealed_constants

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
NOON = datetime(2026, 10, 3, 12, 0, tzinfo=UTC)


def call(request_id: str = "req-1", **different: Any) -> UsageEvent:
    """A successful gpt-4o-mini call: 1,000 input tokens (300 cached), 200 output."""
    plain: dict[str, Any] = {
        "source": "test",
        "external_request_id": request_id,
        "provider": "openai",
        "model": "gpt-4o-mini",
        "occurred_at": NOON,
        "input_tokens": 1000,
        "cached_input_tokens": 300,
        "output_tokens": 200,
        "tenant_id": "acme",
        "endpoint_tag": "checkout.summary",
        "latency_ms": 800,
    }
    return UsageEvent(**{**plain, **different})


def claim_of(event: UsageEvent, lookup_hash: bytes | None) -> bytes:
    """The digest of what the event says, as it is claimed."""
    reported = reported_text(event, sealed_constants(event, ""), counts_of(event))
    return claim_digest(reported.content(), lookup_hash)
