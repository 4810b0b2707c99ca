"""All that is known of one event: what was reported, whose it is, what it should have cost, and
what was decided about it since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection

from metering.event_rows import SEALED, VALUED

USAGE_IN_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "provider_reported": "reported by the provider",
        "reported": "reported by the caller",
        "estimated": "estimated by a tokenizer, since nobody reported it",
        "inconsistent": "reported, and contradicts itself",
        "missing": "missing: nobody reported it",
    }
)
"""Whose an event's counts are (`usage_quality`)."""

_AS_TEXT: Final = ("usage",)
_VALUED: Final = tuple(name for name, _ in VALUED)


class RatedLine(NamedTuple):
    """A class of an event's use, priced by a row of the price book."""

    token_class: str
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal
    price_row: int


class Shared(NamedTuple):
    """One owner's part of a shared call; what the shares leave comes last."""

    tenant: str
    cost_centre: str
    input_tokens: int
    output_tokens: int
    cost: Decimal | None


class Revision(NamedTuple):
    """A later attribution or rating, and why. Revision 0 is the event's own row."""

    number: int
    made_at: datetime
    author: str
    reason: str
    tenant: str
    cost_centre: str
    pricing: str
    cost: Decimal | None
    currency: str


class Disposition(NamedTuple):
    """A decision whether the event counts, and why."""

    state: str
    reason: str
    superseded_by: UUID | None
    made_at: datetime
    author: str


class Predecessor(NamedTuple):
    """A report whose place the event has taken: with others, for a merged one."""

    event_key: UUID
    state: str
    reason: str
    source: str
    external_request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStory:
    """`reported` holds the sealed columns by name (`usage` as the JSON text that was stored),
    `valued` the current attribution and rating; `lines` explain `valued["cost"]`."""

    event_key: UUID
    occurred_at: datetime
    reported: Mapping[str, Any]
    valued: Mapping[str, Any]
    seal_digest: bytes
    lines: tuple[RatedLine, ...]
    shares: tuple[Shared, ...]
    revisions: tuple[Revision, ...]
    dispositions: tuple[Disposition, ...]
    in_place_of: tuple[Predecessor, ...]

    @property
    def state(self) -> str:
        """`counted` until a disposition says otherwise."""
        return self.dispositions[-1].state if self.dispositions else "counted"

    @property
    def superseded_by(self) -> UUID | None:
        """The event that took its place, if one did."""
        return self.dispositions[-1].superseded_by if self.dispositions else None


def occurred_at(event_key: UUID) -> datetime | None:
    """When the event of this key occurred, from the ledger; `None` for an unknown key."""
    found = _rows("SELECT occurred_at FROM event_ledger WHERE event_key = %s", event_key)
    return found[0][0] if found else None


def event_story(event_key: UUID) -> EventStory | None:
    """The event's story; `None` for a key that no event has."""
    at = occurred_at(event_key)
    if at is None:
        return None
    sealed = [name for name, _ in SEALED]
    columns = [f"{name}::text" if name in _AS_TEXT else name for name in sealed]
    found = _rows(
        f"SELECT {', '.join(columns)}, {', '.join(_VALUED)}, seal_digest"
        " FROM usage_event WHERE event_key = %s AND occurred_at = %s",
        event_key,
        at,
    )
    if not found:
        return None
    row = found[0]
    revisions, valued = _revisions(
        event_key, at, dict(zip(_VALUED, row[len(sealed) :], strict=False))
    )
    return EventStory(
        event_key=event_key,
        occurred_at=at,
        reported=dict(zip(sealed, row, strict=False)),
        valued=valued,
        seal_digest=bytes(row[-1]),
        lines=tuple(
            RatedLine(name, Decimal(quantity), Decimal(price), Decimal(amount), price_row)
            for name, quantity, price, amount, price_row in valued["lines"] or ()
        ),
        shares=tuple(
            Shared(*share)
            for share in _rows(
                "SELECT tenant, cost_centre, input_tokens, output_tokens, cost FROM event_share"
                " WHERE event_key = %s AND revision = %s ORDER BY position",
                event_key,
                revisions[-1].number if revisions else 0,
            )
        ),
        revisions=revisions,
        dispositions=tuple(
            Disposition(*each)
            for each in _rows(
                "SELECT state, reason, superseded_by, made_at, author FROM event_disposition"
                " WHERE event_key = %s ORDER BY sequence",
                event_key,
            )
        ),
        in_place_of=tuple(_predecessors(event_key)),
    )


def _predecessors(event_key: UUID) -> Iterator[Predecessor]:
    for key, at, state, reason in _rows(
        "SELECT event_key, occurred_at, state, reason FROM event_disposition d"
        " WHERE superseded_by = %s AND NOT EXISTS (SELECT FROM event_disposition later"
        "  WHERE later.event_key = d.event_key AND later.sequence > d.sequence)"
        " ORDER BY made_at, event_key",
        event_key,
    ):
        ((source, request),) = _rows(
            "SELECT source, external_request_id FROM usage_event"
            " WHERE event_key = %s AND occurred_at = %s",
            key,
            at,
        )
        yield Predecessor(key, state, reason, source, request)


def _revisions(
    event_key: UUID, at: datetime, first: dict[str, Any]
) -> tuple[tuple[Revision, ...], dict[str, Any]]:
    """The revisions in order, and the values of the last one (of the event itself, without)."""
    named = Revision._fields[1:]
    found = _rows(
        f"SELECT revision, {', '.join(named)}, {', '.join(_VALUED)} FROM event_revision"
        " WHERE event_key = %s AND occurred_at = %s ORDER BY revision",
        event_key,
        at,
    )
    width = len(Revision._fields)
    latest = dict(zip(_VALUED, found[-1][width:], strict=True)) if found else first
    return tuple(Revision(*row[:width]) for row in found), latest


def _rows(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())
