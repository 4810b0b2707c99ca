"""Events that are sent on behalf of one tenant only."""

from __future__ import annotations

import msgspec

from metering.domain.usage import Rejection, UsageEvent


def within_tenant(item: UsageEvent | Rejection, tenant: str) -> UsageEvent | Rejection:
    """The event as one of the tenant: one that names no tenant is its own, one that names another
    (or gives another a share) is rejected."""
    if isinstance(item, Rejection):
        return item
    named = {item.tenant_id or tenant, *(share.tenant_id for share in item.shares)}
    foreign = sorted(named - {tenant})
    if foreign:
        return Rejection(
            place=item.external_request_id,
            reason="foreign_tenant",
            message=f"tenantId {foreign[0]!r:.80}: this API key sends for the tenant {tenant!r}"
            " only; leave tenantId out, or use that tenant's key",
            key=item.event_id or item.external_request_id,
        )
    return item if item.tenant_id else msgspec.structs.replace(item, tenant_id=tenant)
