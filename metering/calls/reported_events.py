"""Events read back whole, as reported: what the report of another route is merged with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from metering import bulk
from metering.domain.identity import UserKind
from metering.domain.usage import Share, UsageEvent
from metering.event_rows import SEALED

_JSON: Final = ("units", "tags", "shares", "usage")
_REPORTED: Final = tuple(
    name for name, _ in SEALED if name not in ("event_key", "received_at", "provider_project")
)
_units: Final = msgspec.json.Decoder(dict[str, Decimal]).decode
_tags: Final = msgspec.json.Decoder(dict[str, str]).decode
_shares: Final = msgspec.json.Decoder(tuple[Share, ...]).decode


class ReportedEvent(NamedTuple):
    """An event as it was reported, and what names its user: the keyed hash (`None`: nobody was
    named, or the person was forgotten since) and of what kind."""

    key: str
    event: UsageEvent
    lookup_hash: bytes | None
    user_kind: UserKind


def read(keys: Mapping[str, datetime]) -> dict[str, ReportedEvent]:
    """The events of these keys, each with its time; whether or not they count."""
    if not keys:
        return {}
    columns = ", ".join(f"e.{name}::text" if name in _JSON else f"e.{name}" for name in _REPORTED)
    with bulk.cursor() as cursor:
        cursor.execute(
            f"SELECT e.event_key::text, u.lookup_hash, e.user_kind, {columns} FROM usage_event e"
            " LEFT JOIN user_identity u ON u.pseudonym = e.user_pseudonym"
            " WHERE e.event_key = ANY(%s::uuid[]) AND e.occurred_at BETWEEN %s AND %s",
            [bulk.array(sorted(keys)), min(keys.values()), max(keys.values())],
        )
        return {row[0]: _reported(row) for row in cursor.fetchall()}


def _reported(row: tuple[Any, ...]) -> ReportedEvent:
    key, lookup_hash, user_kind, *values = row
    fields = dict(zip(_REPORTED, values, strict=True))
    fields["units"] = _units(fields["units"]) if fields["units"] else {}
    fields["tags"] = _tags(fields["tags"]) if fields["tags"] else {}
    fields["shares"] = _shares(fields["shares"]) if fields["shares"] else ()
    return ReportedEvent(
        key,
        UsageEvent(**fields),
        None if lookup_hash is None else bytes(lookup_hash),
        user_kind if lookup_hash is not None else "unknown",
    )
