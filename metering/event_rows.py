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
from typing import Final, NamedTuple, Protocol

import msgspec

from metering.domain.cells import Owner
from metering.domain.money import plain
from metering.domain.rating import Rating
from metering.domain.rollup import ClassCost
from metering.domain.usage import COUNTS, Counts, UsageEvent
from metering.domain.usage_classes import usage_classes

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
_compact: Final = msgspec.json.Encoder().encode
_new = tuple.__new__  # builds a named tuple in half the time that calling its class takes


def class_costs(event: UsageEvent, rating: Rating) -> tuple[ClassCost, ...]:
    """Every class the event used of its provider, with what it should have cost: `None` where it
    is unpriced. A reply from the caller's own cache used nothing that a bill could count."""
    if event.served_from == "caller_cache":
        return ()
    lines = tuple([(name, quantity, amount) for name, quantity, _, amount, _ in rating.lines])
    if rating.reason is None and lines:
        return lines
    rated = {name for name, _, _ in lines}
    nothing = Decimal(0) if rating.pricing == "free" else None
    return lines + tuple(
        (name, quantity, nothing) for name, quantity in usage_classes(event) if name not in rated
    )


def _text(value: object) -> str:
    return NULL if value is None else str(value)


class SealedConstants(NamedTuple):
    """What is the same in the sealed text of all calls that are alike, in the order of the text:
    tab-separated runs of columns, between which stands what each call has of its own."""

    project: str
    source: str
    model: str
    time_reported: str
    model_executed: str
    service: str
    mode: str


def sealed_constants(event: UsageEvent, project: str) -> SealedConstants:
    """The constant runs of the events that share everything that `sealed_text` does not take from
    the event itself."""
    e = event
    service = (
        *(e.usage_format, e.usage_quality, e.service_tier, "true" if e.batch else "false"),
        *(e.region, e.served_from, e.endpoint_tag, e.prompt_version, e.tenant_id, e.cost_center),
        *(e.status, e.error_code),
    )
    return SealedConstants(
        project=project,
        source=e.source,
        model=f"{e.provider}\t{e.model}",
        time_reported="true" if e.time_reported else "false",
        model_executed=_text(e.model_executed),
        service="\t".join([_text(value) for value in service]),
        mode=f"{e.data_mode}\t{e.environment}",
    )


class ReportedText(NamedTuple):
    """What was reported, as tab-separated text in the order of `SEALED`, with `NULL` for NULL: the
    columns before those of its time, and those behind."""

    before: str
    behind: str

    def content(self) -> str:
        """All of it, as one line: what two reports of one event have in common."""
        return f"{self.before}\t{self.behind}\n"

    def sealed(
        self, alike: SealedConstants, *, key: str, received_at: str, occurred_at: str
    ) -> str:
        """The sealed part. Both instants come in the form of `instant_text`."""
        return (
            f"{key}\t{received_at}\t{alike.project}\t{self.before}"
            f"\t{occurred_at}\t{alike.time_reported}\t{self.behind}"
        )


def reported_text(event: UsageEvent, alike: SealedConstants, counts: Counts) -> ReportedText:
    """The text of an event with those constants, and of those counts of its own."""
    e = event
    # Unrolled, since it runs for every event; `verify` puts the same text together from SEALED.
    counted = _compact(counts).decode()[1:-1].replace(",", "\t").replace("null", NULL)
    before = f"{alike.source}\t{e.external_request_id}\t{alike.model}"
    behind = (
        f"{NULL if e.event_id is None else e.event_id}"
        f"\t{NULL if e.attempt is None else e.attempt}\t{alike.model_executed}"
        f"\t{NULL if e.provider_request_id is None else e.provider_request_id}\t{counted}"
        f"\t{_json(e.units).decode() if e.units else NULL}"
        f"\t{NULL if e.usage is None else e.usage}\t{alike.service}"
        f"\t{NULL if e.latency_ms is None else e.latency_ms}\t{alike.mode}"
        f"\t{NULL if e.trace_id is None else e.trace_id}"
        f"\t{NULL if e.workflow is None else e.workflow}"
        f"\t{_json(e.tags).decode() if e.tags else NULL}"
        f"\t{_json(e.shares).decode() if e.shares else NULL}"
    )
    return _new(ReportedText, (before, behind))


def seal_digest(sealed: str) -> bytes:
    """SHA-256 over the sealed part."""
    return sha256(sealed.encode()).digest()


def instant_text(instant: datetime) -> str:
    """An aware UTC instant with all six decimals: `2026-10-03T12:00:00.123000+00:00`."""
    # The encoder's form is the same but for the quotes, the Z and a fraction of zero, and takes a
    # fifteenth of the time of `isoformat`.
    text = _compact(instant).decode()
    return f"{text[1:27]}+00:00" if instant.microsecond else f"{text[1:20]}.000000+00:00"


def lines_json(rating: Rating) -> str:
    """The cost lines as stored: a JSON array of [class, quantity, unit price, amount, price row],
    all numbers but the row's id as decimal strings; NULL where there are none."""
    if not rating.lines:
        return NULL
    items = [
        f'["{name}","{plain(quantity) if isinstance(quantity, Decimal) else quantity}"'
        f',"{_unit_price(unit_price)}","{plain(amount)}",{price_id}]'
        for name, quantity, unit_price, amount, price_id in rating.lines
    ]
    return f"[{','.join(items)}]"


_unit_price = lru_cache(maxsize=10_000)(plain)


class Valued(Protocol):
    """An event with whom it belongs to and what it should cost, valued anew."""

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


def valued_text(valued: Valued, pseudonym: str | None) -> str:
    """The valued part as tab-separated text in the order of `VALUED`."""
    owned = owned_text(
        valued.user_kind, Owner(valued.cost_centre, valued.tenant), valued.owner_route
    )
    return valued_as(owned, valued.rating, pseudonym)


def owned_text(user_kind: str, owner: Owner, route: str) -> str:
    """The columns of the valued part from `user_kind` to `owner_route`."""
    return f"{user_kind}\t{owner.tenant}\t{owner.cost_centre}\t{route}"


def valued_as(owned: str, rating: Rating, pseudonym: str | None) -> str:
    """The valued part, with the text of the owner's columns as `owned_text` makes it."""
    pricing, cost, currency, _, reason = rating
    return (
        f"{pseudonym or NULL}\t{owned}\t{pricing}\t{NULL if reason is None else reason}"
        f"\t{NULL if cost is None else plain(cost)}\t{currency}\t{lines_json(rating)}"
    )


def value_digest(key: str, revision: int, valued: str) -> bytes:
    """SHA-256 over the key, the revision and the valued part, tab-separated."""
    return sha256(f"{key}\t{revision}\t{valued}".encode()).digest()
