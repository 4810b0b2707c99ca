"""Business outcomes, stored once each: append-only rows beside usage.

They are few beside events, so one plain table holds them, and its unique key is the claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from django.db import transaction

from metering import bulk
from metering.domain.business_outcomes import BusinessOutcome, content_digest
from metering.domain.usage import Rejection
from metering.outcomes import Outcome

_TEXTS: Final = (
    *("endpoint_tag", "prompt_version", "workflow", "external_request_id", "trace_id"),
    *("data_mode", "environment"),
)
_COLUMNS: Final = (
    *("source", "outcome_id", "kind", "quantity", "occurred_at", "time_reported", "received_at"),
    *("tenant", "cost_centre", *_TEXTS, "tags", "content_digest"),
)
_TYPES: Final = {
    "quantity": "numeric",
    "occurred_at": "timestamptz",
    "time_reported": "boolean",
    "received_at": "timestamptz",
    "tags": "jsonb",
}
_TYPED: Final = ", ".join(f"{name} {_TYPES.get(name, 'text')}" for name in _COLUMNS)
_STORE: Final = (
    f"INSERT INTO business_outcome ({', '.join(_COLUMNS)})"
    f" SELECT {', '.join(_COLUMNS[:-1])}, decode(content_digest, 'hex')"
    f" FROM jsonb_to_recordset(%s::jsonb) AS told ({_TYPED})"
    " ORDER BY source, outcome_id"
    " ON CONFLICT (source, outcome_id) DO NOTHING RETURNING outcome_id"
)
_REGISTER: Final = (
    "INSERT INTO tenant (key, name, time_zone, registered_at)"
    " SELECT key, '', 'UTC', now() FROM unnest(%s::text[]) AS t(key)"
    " WHERE NOT EXISTS (SELECT FROM tenant known WHERE known.key = t.key)"
    " ON CONFLICT DO NOTHING"
)
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


def within_tenant(item: BusinessOutcome | Rejection, tenant: str) -> BusinessOutcome | Rejection:
    """The outcome as one of the tenant for which alone a key sends."""
    if isinstance(item, Rejection) or item.tenant_id == tenant:
        return item
    if item.tenant_id is None:
        return msgspec.structs.replace(item, tenant_id=tenant)
    return Rejection(
        place=item.outcome_id,
        reason="foreign_tenant",
        message=f"tenantId {item.tenant_id!r:.80}: this API key sends for the tenant {tenant!r}"
        " only; leave tenantId out, or use that tenant's key",
        key=item.outcome_id,
    )


def take(items: Sequence[BusinessOutcome | Rejection], *, now: datetime) -> list[Outcome]:
    """Store each outcome once, all in one transaction; what became of each, in their order.

    A repeated id is a `duplicate` if it tells the same, else a `conflict`: the first one counts.
    """
    first: dict[tuple[str, str], BusinessOutcome] = {}
    for item in items:
        if isinstance(item, BusinessOutcome):
            first.setdefault((item.source, item.outcome_id), item)
    with transaction.atomic():
        new = _store(list(first.values()), now)
        known = _digests([key for key in first if key not in new])
    answers = []
    for index, item in enumerate(items):
        if isinstance(item, Rejection):
            answers.append(_rejected(index, item))
            continue
        key = (item.source, item.outcome_id)
        if key in new:
            new.remove(key)
            known[key] = content_digest(first[key])
            answers.append(Outcome(index=index, outcome="accepted", key=item.outcome_id))
        else:
            answers.append(_repeated(index, item, known[key]))
    return answers


def _store(told: Sequence[BusinessOutcome], now: datetime) -> set[tuple[str, str]]:
    if not told:
        return set()
    tenants = sorted({outcome.tenant_id for outcome in told if outcome.tenant_id})
    with bulk.cursor() as cursor:
        cursor.execute(_REGISTER, [tenants])
        cursor.execute(_STORE, [_encode([_row(outcome, now) for outcome in told]).decode()])
        stored = {outcome_id for (outcome_id,) in cursor.fetchall()}
    return {(o.source, o.outcome_id) for o in told if o.outcome_id in stored}


def _row(outcome: BusinessOutcome, now: datetime) -> Mapping[str, Any]:
    return {
        "source": outcome.source,
        "outcome_id": outcome.outcome_id,
        "kind": outcome.kind,
        "quantity": outcome.quantity,
        "occurred_at": outcome.occurred_at,
        "time_reported": outcome.time_reported,
        "received_at": now,
        "tenant": outcome.tenant_id or "",
        "cost_centre": outcome.cost_center or "",
        **{name: getattr(outcome, name) or "" for name in _TEXTS},
        "tags": outcome.tags,
        "content_digest": content_digest(outcome).hex(),
    }


def _digests(keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    if not keys:
        return {}
    with bulk.cursor() as cursor:
        # A statement of its own: in the one that stores, a row committed meanwhile is not seen.
        cursor.execute(
            "SELECT source, outcome_id, content_digest FROM business_outcome"
            " WHERE (source, outcome_id) IN"
            " (SELECT * FROM unnest(%s::text[], %s::text[]))",
            [[source for source, _ in keys], [outcome_id for _, outcome_id in keys]],
        )
        return {(source, id_): bytes(digest) for source, id_, digest in cursor.fetchall()}


def _repeated(index: int, item: BusinessOutcome, earlier: bytes) -> Outcome:
    if content_digest(item) == earlier:
        return Outcome(index=index, outcome="duplicate", key=item.outcome_id)
    return Outcome(
        index=index,
        outcome="conflict",
        key=item.outcome_id,
        reason="same_key_other_content",
        message=f"the outcome {item.outcome_id!r:.80} was told before with other content; the first"
        " one counts. Tell a correction under an id of its own",
    )


def _rejected(index: int, item: Rejection) -> Outcome:
    return Outcome(
        index=index,
        outcome="rejected",
        key=item.key,
        reason=item.reason,
        message=item.message,
        place=item.place,
    )
