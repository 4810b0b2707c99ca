"""How an event is laid down in a row, and what its two digests cover.

The row has two parts. The *sealed* part is the report itself and never changes; `seal_digest`
covers it. The *valued* part says who the event belongs to and what it should have cost as that
was known at ingest (revision 0); later revisions are rows of `event_revision`. `value_digest`
covers the valued part. `SEALED` and `VALUED` are the only lists of these columns: the COPY text,
the digests made here, and the digests that `verify` recomputes in SQL all follow them.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Final

import msgspec

from metering.domain.attribution import OwnerBook
from metering.domain.cells import Owner
from metering.domain.identity import UserKind, identify
from metering.domain.keys import claim_digest, event_key
from metering.domain.money import plain
from metering.domain.prices import PriceBook
from metering.domain.rating import Rating, rate, usage_classes
from metering.domain.usage import UsageEvent

SEALED: Final = (
    ("event_key", "uuid"),
    ("occurred_at", "timestamptz"),
    ("received_at", "timestamptz"),
    ("time_reported", "boolean"),
    ("source", "text"),
    ("external_request_id", "text"),
    ("event_id", "text"),
    ("attempt", "integer"),
    ("provider", "text"),
    ("provider_project", "text"),
    ("model", "text"),
    ("model_executed", "text"),
    ("provider_request_id", "text"),
    ("input_tokens", "integer"),
    ("cached_input_tokens", "integer"),
    ("cache_write_tokens", "integer"),
    ("cache_write_1h_tokens", "integer"),
    ("output_tokens", "integer"),
    ("reasoning_tokens", "integer"),
    ("audio_input_tokens", "integer"),
    ("audio_output_tokens", "integer"),
    ("image_input_tokens", "integer"),
    ("image_output_tokens", "integer"),
    ("units", "json"),
    ("usage", "json"),
    ("usage_format", "text"),
    ("usage_quality", "text"),
    ("service_tier", "text"),
    ("batch", "boolean"),
    ("region", "text"),
    ("served_from", "text"),
    ("endpoint_tag", "text"),
    ("prompt_version", "text"),
    ("tenant_id", "text"),
    ("cost_center", "text"),
    ("status", "text"),
    ("error_code", "text"),
    ("latency_ms", "integer"),
    ("data_mode", "text"),
    ("environment", "text"),
    ("trace_id", "text"),
    ("workflow", "text"),
    ("tags", "json"),
    ("shares", "json"),
)

VALUED: Final = (
    ("user_pseudonym", "uuid"),
    ("user_kind", "text"),
    ("tenant", "text"),
    ("cost_centre", "text"),
    ("owner_route", "text"),
    ("pricing", "text"),
    ("pricing_reason", "text"),
    ("cost", "numeric"),
    ("currency", "text"),
    ("lines", "json"),
)

COLUMNS: Final = (
    *(name for name, _ in SEALED),
    "seal_digest",
    *(name for name, _ in VALUED),
    "value_digest",
)

NULL: Final = "\x1e"
"""How NULL is written in COPY text and in digests: a mark that no field can hold."""
_json: Final = msgspec.json.Encoder(order="deterministic", decimal_format="string").encode
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1d\x1f\x7f]")
_BOOLEAN: Final = {True: "true", False: "false"}


class ControlCharacter(ValueError):
    """A text of the event holds a control character, which no name or id has."""


class PreparedEvent(msgspec.Struct):
    """An event with everything that can be known of it without the database."""

    event: UsageEvent
    key: str
    claim: bytes
    lookup_hash: bytes | None
    user_kind: UserKind
    project: str
    tenant: str
    cost_centre: str
    owner_route: str
    rating: Rating
    classes: tuple[tuple[str, int | Decimal], ...]
    share_owners: tuple[Owner, ...]
    sealed: str
    seal_digest: bytes


def prepare(
    event: UsageEvent, *, owners: OwnerBook, prices: PriceBook, hash_key: bytes, now: datetime
) -> PreparedEvent:
    """Key, digest, attribute and rate one event. Pure: books and time are arguments."""
    lookup, kind = identify(event, hash_key)
    user = lookup.hex() if lookup else ""
    if lookup in owners.service_accounts:
        kind = "service"
    tenant = owners.tenant_of(event, user)
    cost_centre, route = owners.cost_centre_of(event, user, tenant)
    project = owners.project_of(event)
    key = event_key(event)
    sealed = sealed_text(event, key=key, project=project, received_at=now)
    if sealed.count("\t") != len(SEALED) - 1 or _CONTROL.search(sealed):
        raise ControlCharacter("a text field holds a tab, newline or other control character")
    return PreparedEvent(
        event=event,
        key=key,
        claim=claim_digest(event, lookup),
        lookup_hash=lookup,
        user_kind=kind,
        project=project,
        tenant=tenant,
        cost_centre=cost_centre,
        owner_route=route,
        rating=rate(event, prices),
        classes=usage_classes(event),
        share_owners=tuple(owners.tenant_owner(event, s.tenant_id) for s in event.shares),
        sealed=sealed,
        seal_digest=sha256(sealed.encode()).digest(),
    )


def _instant(value: datetime) -> str:
    return value.isoformat(timespec="microseconds")


def _text(value: object) -> str:
    return NULL if value is None else str(value)


def sealed_text(event: UsageEvent, *, key: str, project: str, received_at: datetime) -> str:
    """The sealed part as tab-separated text in the order of `SEALED`, with `NULL` for NULL."""
    e = event
    # Joined by position: one list of names in this hot path, the tuple `SEALED`, is enough.
    return "\t".join(
        (
            key,
            _instant(e.occurred_at),
            _instant(received_at),
            _BOOLEAN[e.time_reported],
            e.source,
            e.external_request_id,
            _text(e.event_id),
            _text(e.attempt),
            e.provider,
            project,
            e.model,
            _text(e.model_executed),
            _text(e.provider_request_id),
            _text(e.input_tokens),
            _text(e.cached_input_tokens),
            _text(e.cache_write_tokens),
            _text(e.cache_write_1h_tokens),
            _text(e.output_tokens),
            _text(e.reasoning_tokens),
            _text(e.audio_input_tokens),
            _text(e.audio_output_tokens),
            _text(e.image_input_tokens),
            _text(e.image_output_tokens),
            _json(e.units).decode() if e.units else NULL,
            _text(e.usage),
            _text(e.usage_format),
            e.usage_quality,
            e.service_tier,
            _BOOLEAN[e.batch],
            _text(e.region),
            e.served_from,
            _text(e.endpoint_tag),
            _text(e.prompt_version),
            _text(e.tenant_id),
            _text(e.cost_center),
            e.status,
            _text(e.error_code),
            _text(e.latency_ms),
            e.data_mode,
            e.environment,
            _text(e.trace_id),
            _text(e.workflow),
            _json(e.tags).decode() if e.tags else NULL,
            _json(e.shares).decode() if e.shares else NULL,
        )
    )


def lines_json(rating: Rating) -> str:
    """The cost lines as stored: a JSON array of [class, quantity, unit price, amount, price row],
    all numbers but the row's id as decimal strings; NULL where there are none."""
    if not rating.lines:
        return NULL
    items = [
        f'["{line.token_class}","{_quantity(line.quantity)}","{plain(line.unit_price)}"'
        f',"{plain(line.amount)}",{line.price_id}]'
        for line in rating.lines
    ]
    return f"[{','.join(items)}]"


def _quantity(quantity: int | Decimal) -> str:
    return plain(quantity) if isinstance(quantity, Decimal) else str(quantity)


def valued_text(prepared: PreparedEvent, pseudonym: str | None) -> str:
    """The valued part as tab-separated text in the order of `VALUED`."""
    rating = prepared.rating
    return "\t".join(
        (
            pseudonym or NULL,
            prepared.user_kind,
            prepared.tenant,
            prepared.cost_centre,
            prepared.owner_route,
            rating.pricing,
            _text(rating.reason),
            NULL if rating.cost is None else plain(rating.cost),
            rating.currency,
            lines_json(rating),
        )
    )


def value_digest(key: str, revision: int, valued: str) -> bytes:
    """SHA-256 over the key, the revision and the valued part, tab-separated."""
    return sha256(f"{key}\t{revision}\t{valued}".encode()).digest()


def copy_line(prepared: PreparedEvent, pseudonym: str | None) -> str:
    """The event's row in PostgreSQL's COPY text format (NULL as `NULL`), newline included."""
    valued = valued_text(prepared, pseudonym)
    digest = value_digest(prepared.key, 0, valued)
    row = f"{prepared.sealed}\t\\x{prepared.seal_digest.hex()}\t{valued}\t\\x{digest.hex()}"
    # The backslash is COPY's one special mark that a field can hold: the others are refused above.
    return row.replace("\\", "\\\\") + "\n"
