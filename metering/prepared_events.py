"""Everything about an event that can be known without the database: whose it is, what it should
have cost, its keys, digests and the texts of its row.

Most of that is the same for all calls of a kind, and a batch holds few kinds: it is worked out once
for each (`CallKinds`), and an event adds what it has of its own.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime
from itertools import count
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from metering.domain.attribution import PROJECT_TAG, OwnerBook
from metering.domain.cells import Owner
from metering.domain.identity import UserKind, identify
from metering.domain.keys import claim_digest, event_key
from metering.domain.periods import Period
from metering.domain.price_book import PriceBook
from metering.domain.rate_cards import RateCard
from metering.domain.rating import Rating, priced_by, rate_with
from metering.domain.rollup import Part, RowKeys, parts, row_keys, whole
from metering.domain.usage import THE_COUNTS, Counts, UsageEvent, fields_of
from metering.event_rows import (
    SEALED,
    SealedConstants,
    class_costs,
    instant_text,
    owned_text,
    reported_text,
    seal_digest,
    sealed_constants,
    value_digest,
    valued_as,
)
from metering.pricing.rated_events import rated

REMEMBERED_KINDS: Final = 8192
"""Senders may name anything; beyond so many different kinds the memory starts afresh."""

_ALWAYS: Final = Period(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_TABS: Final = len(SEALED) - 1
_ALIKE: Final = itemgetter(
    *map(
        UsageEvent.__struct_fields__.index,
        (
            *("source", "provider", "model", "model_executed", "time_reported", "usage_format"),
            *("usage_quality", "service_tier", "batch", "region", "served_from", "endpoint_tag"),
            *("prompt_version", "tenant_id", "cost_center", "status", "error_code", "data_mode"),
            "environment",
        ),
    )
)
"""The fields in which calls of a kind are equal: all that owners are found by (beside time, tags
and user), prices are found by (beside time), that rollups are keyed by, and a few more that take
few values."""


Fields = tuple[Any, ...]
"""An event as `usage.fields_of` gives it."""


class ControlCharacter(ValueError):
    """A text of the event holds a control character, which no name or id has."""


class CallKind(NamedTuple):
    """What calls have in common that are alike, and so are their users, in a time in which no
    mapping changed. `card`: their prices, if these are the same at all times."""

    number: int
    owner: Owner
    project: str
    user_kind: UserKind
    card: RateCard | None
    sealed: SealedConstants
    owned: str
    keys: RowKeys


class CallKinds:
    """The kinds of calls met with one set of books, each worked out once.

    Remembering cannot be seen from outside: two threads at worst work out the same kind twice.
    """

    def __init__(self, owners: OwnerBook, prices: PriceBook) -> None:
        self._owners = owners
        self._prices = prices
        self._known: dict[tuple[Any, ...], CallKind] = {}
        self._sharers: dict[tuple[int, str], tuple[Owner, RowKeys]] = {}
        self._numbers = count()

    def of(
        self, event: UsageEvent, fields: Fields, lookup: bytes | None, user_kind: UserKind
    ) -> CallKind:
        """The event's kind; `lookup` is the keyed hash of whom it names."""
        owners = self._owners
        user = lookup.hex() if lookup and owners.mapped_users else ""
        mapped_user = user if user in owners.mapped_users else ""
        if lookup in owners.service_accounts:
            user_kind = "service"
        key = (
            *(_ALIKE(fields), event.tags.get(PROJECT_TAG), mapped_user, user_kind),
            bisect_right(owners.edges, event.occurred_at),
        )
        kind = self._known.get(key)
        if kind is None:
            if len(self._known) >= REMEMBERED_KINDS:
                self._known.clear()
            kind = self._known[key] = self._kind(event, mapped_user, user_kind)
        return kind

    def rated(self, event: UsageEvent, counts: Counts, kind: CallKind) -> Rating:
        """What the event with these counts should have cost (`rated_events.rated`)."""
        if (
            kind.card is None
            or event.units
            or event.usage is not None
            or event.served_from == "caller_cache"
        ):
            return rated(event, self._prices)
        return rate_with(event, kind.card, counts)

    def sharer(self, kind: CallKind, event: UsageEvent, tenant: str) -> tuple[Owner, RowKeys]:
        """Who bears a tenant's share of an event of that kind, and its keys in the rollups."""
        place = (kind.number, tenant)
        known = self._sharers.get(place)
        if known is None:
            if len(self._sharers) >= REMEMBERED_KINDS:
                self._sharers.clear()
            owner = self._owners.tenant_owner(event, tenant)
            keys = row_keys(event, owner, kind.project, kind.user_kind)
            known = self._sharers[place] = (owner, keys)
        return known

    def _kind(self, event: UsageEvent, user: str, user_kind: UserKind) -> CallKind:
        owners = self._owners
        tenant = owners.tenant_of(event, user)
        cost_centre, route = owners.cost_centre_of(event, user, tenant)
        project = owners.project_of(event)
        owner = Owner(cost_centre, tenant)
        card = self._prices.throughout(priced_by(event), _ALWAYS)
        return CallKind(
            number=next(self._numbers),
            owner=owner,
            project=project,
            user_kind=user_kind,
            card=card if isinstance(card, RateCard) else None,
            sealed=sealed_constants(event, project),
            owned=owned_text(user_kind, owner, route),
            keys=row_keys(event, owner, project, user_kind),
        )


class PreparedEvent(msgspec.Struct, gc=False):
    """An event with everything that can be known of it without the database. `occurred_at` is in
    the form of `instant_text`."""

    event: UsageEvent
    kind: CallKind
    key: str
    claim: bytes
    lookup_hash: bytes | None
    occurred_at: str
    rating: Rating
    parts: tuple[tuple[Part, RowKeys], ...]
    sealed: str


def prepare(
    event: UsageEvent,
    *,
    kinds: CallKinds,
    hash_key: bytes,
    received_at: str,
    identified: tuple[bytes | None, UserKind] | None = None,
) -> PreparedEvent:
    """Key, digest, attribute and rate one event. Pure: books and time are arguments.

    `identified` is who called, where that is known by the keyed hash only: the event names nobody.
    """
    lookup, user_kind = identified or identify(event, hash_key)
    fields = fields_of(event)
    counts = fields[THE_COUNTS]
    kind = kinds.of(event, fields, lookup, user_kind)
    key = event_key(event)
    occurred_at = instant_text(event.occurred_at)
    reported = reported_text(event, kind.sealed, counts)
    sealed = reported.sealed(kind.sealed, key=key, received_at=received_at, occurred_at=occurred_at)
    if sealed.count("\t") != _TABS or "\n" in sealed or "\r" in sealed or "\0" in sealed:
        raise ControlCharacter("a text field holds a tab, newline or other control character")
    rating = kinds.rated(event, counts, kind)
    classes = class_costs(event, rating)
    if event.shares:
        sharers = [kinds.sharer(kind, event, share.tenant_id) for share in event.shares]
        divided = parts(event, kind.owner, tuple([owner for owner, _ in sharers]), classes)
        keyed = tuple(zip(divided, (*(keys for _, keys in sharers), kind.keys), strict=True))
    else:
        keyed = ((whole(kind.owner, counts, classes), kind.keys),)
    return PreparedEvent(
        event,
        kind,
        key,
        claim_digest(reported.content(), lookup),
        lookup,
        occurred_at,
        rating,
        keyed,
        sealed,
    )


def copy_line(prepared: PreparedEvent, pseudonym: str | None) -> str:
    """The event's row in PostgreSQL's COPY text format (NULL as `NULL`), newline included."""
    sealed = prepared.sealed
    valued = valued_as(prepared.kind.owned, prepared.rating, pseudonym)
    digests = seal_digest(sealed).hex(), value_digest(prepared.key, 0, valued).hex()
    # The backslash is COPY's one special mark that a field can hold: the others are refused above.
    if "\\" in sealed:
        sealed = sealed.replace("\\", "\\\\")
    if "\\" in valued:
        valued = valued.replace("\\", "\\\\")
    return f"{sealed}\t\\\\x{digests[0]}\t{valued}\t\\\\x{digests[1]}\n"
