"""What calls of models were made for, once it came about: a ticket resolved, an email sent.

Counted beside usage, so that cost can be said per outcome. It is no usage and costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Final

import msgspec

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_encode: Final = msgspec.json.Encoder(order="deterministic", decimal_format="string").encode


class BusinessOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that came about, or `quantity` of them at once.

    `kind` is the sender's word for it (`ticket_resolved`). It is known again by its source and
    `outcome_id`. What joins it with calls: the request or trace, the workflow, the endpoint
    tag, the tenant, whichever are known. It names no person.
    """

    source: str
    outcome_id: str
    kind: str
    quantity: Decimal
    occurred_at: datetime
    time_reported: bool
    tenant_id: str | None = None
    endpoint_tag: str | None = None
    prompt_version: str | None = None
    workflow: str | None = None
    external_request_id: str | None = None
    trace_id: str | None = None
    cost_center: str | None = None
    data_mode: str = "real"
    environment: str = "prod"
    tags: Mapping[str, str] = {}


def content_digest(outcome: BusinessOutcome) -> bytes:
    """SHA-256 of what was told, times left out: a resend may carry another, or none."""
    content = msgspec.structs.replace(outcome, occurred_at=_EPOCH, time_reported=True)
    return sha256(_encode(content)).digest()
