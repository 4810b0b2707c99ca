"""Reports of calls as they may be kept: of the key's tenant, and naming nobody."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from metering.domain.call_reports import SUPPOSED, CallReport
from metering.domain.identity import UserKind, lookup_hash
from metering.domain.traces import NAMES_OF_USER
from metering.domain.usage import Rejection
from metering.formats.reported_calls import problem_of

_NAMESPACES: Final[Mapping[str, tuple[bytes, UserKind]]] = {
    "user_id": (b"user", "user"),
    "anon_id": (b"anon", "anonymous"),
    "ip_hash": (b"ip", "anonymous"),
    "agent_hash": (b"agent", "anonymous"),
}
_SPELT: Final = {
    spelt: _NAMESPACES[name][0] for name in NAMES_OF_USER for spelt in (name, SUPPOSED + name)
}


class Admission:
    """What one sender's reports may say. `tenant` is the only one that it may send for (`None`:
    any)."""

    def __init__(self, source: str, tenant: str | None, hash_key: bytes, now: datetime) -> None:
        self._source = source
        self._tenant = tenant
        self._hash_key = hash_key
        self._now = now
        self._hashed: dict[tuple[bytes, str], str] = {}

    def checked(self, report: CallReport) -> CallReport | Rejection:
        """The report as it may be kept, or why it is refused."""
        problem = problem_of(report, source=self._source, received_at=self._now)
        if problem is not None:
            return problem
        fields = self.fields(report)
        if isinstance(fields, Rejection):
            return fields
        return msgspec.structs.replace(report, fields=fields)

    def fields(self, report: CallReport) -> dict[str, Any] | Rejection:
        """The fields as they may be kept, if there is nothing wrong with them."""
        fields = dict(report.fields)
        if self._tenant is not None:
            foreign = self._foreign(fields)
            if foreign is not None:
                return Rejection(
                    place=f"trace {report.trace_id}, span {report.span_id}",
                    reason="foreign_tenant",
                    message=f"tenant {foreign!r:.80}: this API key sends for the tenant"
                    f" {self._tenant!r} only; leave the tenant out, or use that tenant's key",
                    key=report.span_id,
                )
            fields["tenant_id"] = self._tenant
        for spelt in _SPELT.keys() & fields.keys():
            sent = fields.pop(spelt)
            if sent is not None and (named := str(sent)).strip():
                fields[spelt] = self._hash(_SPELT[spelt], named)
        return fields

    def _foreign(self, fields: Mapping[str, Any]) -> str | None:
        shares = fields.get("shares") or ()
        named = {fields.get("tenant_id"), fields.get(SUPPOSED + "tenant_id")}
        named |= {_share_tenant(share) for share in shares}
        return min((str(each) for each in named - {None, self._tenant}), default=None)

    def _hash(self, namespace: bytes, named: str) -> str:
        place = namespace, named
        known = self._hashed.get(place)
        if known is None:
            known = self._hashed[place] = lookup_hash(self._hash_key, namespace, named).hex()
        return known


def identified(fields: Mapping[str, object]) -> tuple[bytes | None, UserKind]:
    """The keyed hash of whom a call's fields name, and of what kind that is."""
    for name, (_, kind) in _NAMESPACES.items():
        hashed = fields.get(name)
        if hashed is not None:
            return bytes.fromhex(str(hashed)), kind
    return None, "unknown"


def _share_tenant(share: object) -> str | None:
    if isinstance(share, Mapping):
        found = share.get("tenantId", share.get("tenant_id"))
        return None if found is None else str(found)
    return str(getattr(share, "tenant_id", "")) or None
