"""Events as they are stored, written out: what a reader outside needs to follow a number down."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from typing import Any, Final

import msgspec

from metering.bulk import stream
from metering.domain.cells import TOKEN_CLASSES
from metering.domain.digests import canonical_json
from metering.domain.money import plain
from metering.domain.periods import Period
from metering.domain.usage import COUNTS
from metering.events import current

_CAMEL: Final = (
    ("externalRequestId", "external_request_id"),
    ("eventId", "event_id"),
    ("attempt", "attempt"),
    ("provider", "provider"),
    ("model", "model"),
    ("providerRequestId", "provider_request_id"),
    *(
        (name.split("_")[0] + "".join(w.capitalize() for w in name.split("_")[1:]), name)
        for name in COUNTS
    ),
    ("usageFormat", "usage_format"),
    ("usageQuality", "usage_quality"),
    ("serviceTier", "service_tier"),
    ("batch", "batch"),
    ("region", "region"),
    ("servedFrom", "served_from"),
    ("endpointTag", "endpoint_tag"),
    ("promptVersion", "prompt_version"),
    ("tenantId", "tenant_id"),
    ("costCenter", "cost_center"),
    ("status", "status"),
    ("errorCode", "error_code"),
    ("latencyMs", "latency_ms"),
    ("dataMode", "data_mode"),
    ("environment", "environment"),
    ("traceId", "trace_id"),
    ("workflow", "workflow"),
    ("source", "source"),
    ("providerProject", "provider_project"),
    ("tenant", "tenant"),
    ("costCentre", "cost_centre"),
    ("ownerRoute", "owner_route"),
    ("userKind", "user_kind"),
    ("pricing", "pricing"),
    ("pricingReason", "pricing_reason"),
    ("currency", "currency"),
    ("revision", "revision"),
)
_JSON: Final = ("units", "usage", "tags")
_SPECIAL: Final = (
    "event_key",
    "occurred_at",
    "model_executed",
    "user_pseudonym",
    "cost",
    "lines",
    "seal_digest",
    "shares",
)
_SHARE: Final = {
    "tenant_id": "tenantId",
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
}
_LINE: Final = ("class", "quantity", "unitPrice", "amount", "priceRow")


def usage_lines(period: Period) -> Iterator[bytes]:
    """One JSON object per event of the period that counts, in order of time and key, streamed.

    The native event's fields as stored (user ids as pseudonyms), with `eventKey`, `source`,
    `tenant`, `costCentre`, `modelExecuted` (the requested model where no other was reported), the
    disjoint token buckets of the cost lines, `pricing`, `cost`, `currency` and `lines`. Amounts
    are decimal strings; an unpriced event's cost is null.
    """
    events, parameters = current(period)
    columns = [
        *_SPECIAL,
        *(f"{name}::text" for name in _JSON),
        *(column for _, column in _CAMEL),
    ]
    sql = f"SELECT {', '.join(columns)} FROM {events} e ORDER BY occurred_at, event_key"
    for row in stream(sql, parameters):
        yield canonical_json(_event(row))


def _event(row: tuple[Any, ...]) -> dict[str, Any]:
    key, occurred_at, executed, pseudonym, cost, lines, digest, shares = row[: len(_SPECIAL)]
    rest = row[len(_SPECIAL) :]
    event: dict[str, Any] = {
        name: None if text is None else msgspec.Raw(text.encode())  # figures stay as they are
        for name, text in zip(_JSON, rest, strict=False)
    }
    event.update((name, value) for (name, _), value in zip(_CAMEL, rest[len(_JSON) :], strict=True))
    rated = [dict(zip(_LINE, line, strict=True)) for line in lines or ()]
    event.update(
        eventKey=str(key),
        occurredAt=occurred_at.astimezone(UTC),
        modelExecuted=executed or event["model"],
        userId=None if pseudonym is None else str(pseudonym),
        cost=None if cost is None else plain(cost),
        lines=rated,
        buckets={
            line["class"]: line["quantity"] for line in rated if line["class"] in TOKEN_CLASSES
        },
        sealDigest=bytes(digest).hex(),
        shares=shares
        and [{_SHARE[name]: value for name, value in each.items()} for each in shares],
    )
    return event
