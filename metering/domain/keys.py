"""What makes two reports the same report: the event key and the claim digest.

The key is `eventId`, else (`externalRequestId`, `attempt`), else `externalRequestId` with what
tells attempts apart: model, tokens, status, error code and latency. With neither an id nor an
attempt given, the identical report is a duplicate and a different one is the next attempt.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import msgspec

from metering.domain.usage import UsageEvent, counts_of

_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def event_key(event: UsageEvent) -> str:
    """The event's key as the text of a UUID (RFC 9562, version 8) derived from source and id."""
    if event.event_id is not None:
        parts: tuple[object, ...] = (event.source, "e", event.event_id)
    elif event.attempt is not None:
        parts = (event.source, "a", event.external_request_id, event.attempt)
    else:
        parts = (
            event.source,
            "r",
            event.external_request_id,
            event.model,
            event.model_executed,
            counts_of(event),
            event.units,
            event.status,
            event.error_code,
            event.latency_ms,
        )
    h = sha256(_encode(parts)).hexdigest()
    return f"{h[:8]}-{h[8:12]}-8{h[13:16]}-{_VARIANT[h[16]]}{h[17:20]}-{h[20:32]}"


def claim_digest(content: str, lookup_hash: bytes | None) -> bytes:
    """SHA-256 of the content as sent (`event_rows.ReportedText.content`: without times, and
    defaults are as good as sent), with the keyed hash in the place of whatever names the user, so
    that the digest can be kept when the person is erased."""
    return sha256(content.encode() + (lookup_hash or b"")).digest()
