"""How an event is laid down in a row, and what its two digests cover.

The row has two parts. The *sealed* part is the report itself and never changes; `seal_digest`
covers it. The *valued* part says who the event belongs to and what it should have cost as that
was known at ingest (revision 0); later revisions are rows of `event_revision`. `value_digest`
covers the valued part. `SEALED` and `VALUED` are the only lists of these columns: the COPY text,
the digests made here, and the digests that `verify` recomputes in SQL all follow them.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from typing import Final, Protocol

import msgspec

from metering.domain.attribution import OwnerBook
from metering.domain.cells import Owner
from metering.domain.identity import UserKind, identify
from metering.domain.keys import claim_digest, event_key
from metering.domain.money import plain
from metering.domain.price_book import PriceBook
from metering.domain.rating import Rating
from metering.domain.rollup import ClassCost, Part, parts
from metering.domain.usage import COUNTS, UsageEvent
from metering.domain.usage_classes import usage_classes
from metering.pricing.rated_events import rated

_KINDS: Final = {
    "occurred_at": "timestamptz",
    "time_reported": "boolean",
    "batch": "boolean",
    "attempt": "integer",
    "latency_ms": "integer",
    "units": "json",
    "usage": "json",
    "tags": "json",
    "shares": "json",
    **dict.fromkeys(COUNTS, "integer"),
}
_PRIVATE: Final = ("user_id", "anon_id", "ip_hash", "agent_hash")
_REPORTED: Final = UsageEvent.__struct_fields__[: -len(_PRIVATE)]
assert UsageEvent.__struct_fields__[-len(_PRIVATE) :] == _PRIVATE, "identifiers must come last"

SEALED: Final = (
    ("event_key", "uuid"),
    ("received_at", "timestamptz"),
    ("provider_project", "text"),
    *((name, _KINDS.get(name, "text")) for name in _REPORTED),
)
"""What was reported: the fields of `UsageEvent` in their order, without those that name a user."""

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
_TABS: Final = len(SEALED) - 1


class ControlCharacter(ValueError):
    """A text of the event holds a control character, which no name or id has."""


class PreparedEvent(msgspec.Struct, gc=False):
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
    parts: tuple[Part, ...]
    sealed: str
    seal_digest: bytes


def prepare(
    event: UsageEvent,
    *,
    owners: OwnerBook,
    prices: PriceBook,
    hash_key: bytes,
    received_at: str,
    identified: tuple[bytes | None, UserKind] | None = None,
) -> PreparedEvent:
    """Key, digest, attribute and rate one event. Pure: books and time are arguments.

    `identified` is who called, where that is known by the keyed hash only: the event names nobody.
    """
    lookup, kind = identified or identify(event, hash_key)
    user = lookup.hex() if lookup else ""
    if lookup in owners.service_accounts:
        kind = "service"
    tenant = owners.tenant_of(event, user)
    cost_centre, route = owners.cost_centre_of(event, user, tenant)
    project = owners.project_of(event)
    key = event_key(event)
    sealed = sealed_text(event, key=key, project=project, received_at=received_at)
    if sealed.count("\t") != _TABS or "\n" in sealed or "\r" in sealed or "\0" in sealed:
        raise ControlCharacter("a text field holds a tab, newline or other control character")
    rating = rated(event, prices)
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
        rating=rating,
        parts=parts(
            event,
            Owner(cost_centre, tenant),
            tuple([owners.tenant_owner(event, s.tenant_id) for s in event.shares]),
            class_costs(event, rating),
        ),
        sealed=sealed,
        seal_digest=sha256(sealed.encode()).digest(),
    )


def class_costs(event: UsageEvent, rating: Rating) -> tuple[ClassCost, ...]:
    """Every class the event used of its provider, with what it should have cost: `None` where it
    is unpriced. A reply from the caller's own cache used nothing that a bill could count."""
    if event.served_from == "caller_cache":
        return ()
    lines = tuple([(line[0], line[1], line[3]) for line in rating.lines])
    if rating.reason is None and lines:
        return lines
    rated = {name for name, _, _ in lines}
    nothing = Decimal(0) if rating.pricing == "free" else None
    return lines + tuple(
        (name, quantity, nothing) for name, quantity in usage_classes(event) if name not in rated
    )


def _text(value: object) -> str:
    return NULL if value is None else str(value)


def sealed_text(event: UsageEvent, *, key: str, project: str, received_at: str) -> str:
    """The sealed part as tab-separated text in the order of `SEALED`, with `NULL` for NULL.

    `received_at` comes as text in the form of `instant_text`: it is the same for a whole batch.
    """
    e = event
    # Unrolled, since it runs for every event; a test holds it against SEALED.
    return "\t".join(
        (
            key,
            received_at,
            project,
            e.source,
            e.external_request_id,
            e.provider,
            e.model,
            instant_text(e.occurred_at),
            "true" if e.time_reported else "false",
            NULL if e.event_id is None else e.event_id,
            NULL if e.attempt is None else str(e.attempt),
            NULL if e.model_executed is None else e.model_executed,
            NULL if e.provider_request_id is None else e.provider_request_id,
            NULL if e.input_tokens is None else str(e.input_tokens),
            NULL if e.cached_input_tokens is None else str(e.cached_input_tokens),
            NULL if e.cache_write_tokens is None else str(e.cache_write_tokens),
            NULL if e.cache_write_1h_tokens is None else str(e.cache_write_1h_tokens),
            NULL if e.output_tokens is None else str(e.output_tokens),
            NULL if e.reasoning_tokens is None else str(e.reasoning_tokens),
            NULL if e.audio_input_tokens is None else str(e.audio_input_tokens),
            NULL if e.audio_output_tokens is None else str(e.audio_output_tokens),
            NULL if e.image_input_tokens is None else str(e.image_input_tokens),
            NULL if e.image_output_tokens is None else str(e.image_output_tokens),
            _json(e.units).decode() if e.units else NULL,
            NULL if e.usage is None else e.usage,
            NULL if e.usage_format is None else e.usage_format,
            e.usage_quality,
            e.service_tier,
            "true" if e.batch else "false",
            NULL if e.region is None else e.region,
            e.served_from,
            NULL if e.endpoint_tag is None else e.endpoint_tag,
            NULL if e.prompt_version is None else e.prompt_version,
            NULL if e.tenant_id is None else e.tenant_id,
            NULL if e.cost_center is None else e.cost_center,
            e.status,
            NULL if e.error_code is None else e.error_code,
            NULL if e.latency_ms is None else str(e.latency_ms),
            e.data_mode,
            e.environment,
            NULL if e.trace_id is None else e.trace_id,
            NULL if e.workflow is None else e.workflow,
            _json(e.tags).decode() if e.tags else NULL,
            _json(e.shares).decode() if e.shares else NULL,
        )
    )


def instant_text(instant: datetime) -> str:
    """An aware UTC instant with all six decimals: `2026-10-03T12:00:00.123000+00:00`."""
    return instant.isoformat(timespec="microseconds")


def lines_json(rating: Rating) -> str:
    """The cost lines as stored: a JSON array of [class, quantity, unit price, amount, price row],
    all numbers but the row's id as decimal strings; NULL where there are none."""
    if not rating.lines:
        return NULL
    items = [
        f'["{line.token_class}","{_quantity(line.quantity)}","{_unit_price(line.unit_price)}"'
        f',"{plain(line.amount)}",{line.price_id}]'
        for line in rating.lines
    ]
    return f"[{','.join(items)}]"


_unit_price = lru_cache(maxsize=10_000)(plain)


def _quantity(quantity: int | Decimal) -> str:
    return plain(quantity) if isinstance(quantity, Decimal) else str(quantity)


class Valued(Protocol):
    """An event with whom it belongs to and what it should cost: prepared, or valued anew."""

    @property
    def user_kind(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def cost_centre(self) -> str: ...
    @property
    def owner_route(self) -> str: ...
    @property
    def rating(self) -> Rating: ...


def valued_text(prepared: Valued, pseudonym: str | None) -> str:
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
