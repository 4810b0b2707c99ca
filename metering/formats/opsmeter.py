"""Opsmeter's ingest payload: one JSON object → `UsageEvent` or `Rejection`.

It has no cached and no reasoning tokens. `tenantId`, `costCenter`, `shares` and `occurredAt` are
extensions of ours, the first three in `metadata` too; its own SDK puts the tenant and the
provider's request id there, and sends no time (then the time of receipt counts). Fields that we do
not know are let pass, as its clients expect of the original.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from metering.domain.usage import (
    DataMode,
    Environment,
    Rejection,
    Status,
    UsageEvent,
    UsageQuality,
)
from metering.formats.malformed import UNDECODABLE, refuse
from metering.formats.native import (
    MAX_TEXT,
    Count,
    Name,
    NativeEvent,
    NativeShare,
    finish,
    rejection,
    unreadable_name,
    without_absent,
)
from metering.formats.problems import MAX_SHARES

Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Shares = Annotated[tuple[NativeShare, ...], Meta(max_length=MAX_SHARES)]


class Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the Opsmeter SDK knows beside the payload's own fields."""

    tenant_id: Text | None = None
    cost_center: Text | None = None
    shares: Shares | None = None
    provider_request_id: Text | None = None


class OpsmeterPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The payload as its documentation and its SDKs send it."""

    external_request_id: Name
    provider: Name
    model: Name
    occurred_at: Annotated[datetime, Meta(tz=True)] | None = None
    prompt_version: Text | None = None
    endpoint_tag: Text | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    latency_ms: Annotated[int, Meta(ge=0, le=1_000_000_000)] | None = None
    status: Status | None = None
    error_code: Text | None = None
    user_id: Text | None = None
    tenant_id: Text | None = None
    cost_center: Text | None = None
    shares: Shares | None = None
    data_mode: DataMode | None = None
    environment: Environment | None = None
    metadata: Metadata | None = None


_decode: Final = msgspec.json.Decoder(OpsmeterPayload).decode


def parse(
    payload: bytes, *, place: str, source: str, received_at: datetime
) -> UsageEvent | Rejection:
    """Read one payload. Nothing that the bytes hold makes this raise.

    A `totalTokens` other than input + output leaves the event with `usage_quality`
    *inconsistent*: its client swallows errors, so a refusal would lose the usage unseen.
    """
    try:
        try:
            sent = _decode(payload)
        except msgspec.ValidationError:
            sent = _decode(without_absent(payload))
    except UNDECODABLE as error:
        return refuse(payload, error, place=place)
    known = sent.metadata or Metadata()
    event = NativeEvent(
        source=source,
        external_request_id=sent.external_request_id,
        provider=sent.provider,
        model=sent.model,
        occurred_at=sent.occurred_at,
        provider_request_id=known.provider_request_id or None,
        input_tokens=sent.input_tokens,
        output_tokens=sent.output_tokens,
        endpoint_tag=sent.endpoint_tag or None,
        prompt_version=sent.prompt_version or None,
        tenant_id=sent.tenant_id or known.tenant_id or None,
        cost_center=sent.cost_center or known.cost_center or None,
        shares=sent.shares or known.shares or (),
        user_id=sent.user_id or None,
        status=sent.status or "success",
        error_code=sent.error_code or None,
        latency_ms=sent.latency_ms,
        data_mode=sent.data_mode or "real",
        environment=sent.environment or "prod",
    )
    quality: UsageQuality = "reported" if _adds_up(sent) else "inconsistent"
    problem = unreadable_name(event, payload)
    problem = problem or finish(event, source=source, received_at=received_at, quality=quality)
    return event if problem is None else rejection(event, problem, place=place)


def _adds_up(sent: OpsmeterPayload) -> bool:
    return sent.total_tokens in (None, (sent.input_tokens or 0) + (sent.output_tokens or 0))
