"""The events under a line one by one, a page at a time, with what was used of them.

For the eyes of the tenant whose line it is: no cost, and of a call that it shares with others no
more than its own part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection

from metering.domain.cells import Owner
from metering.domain.money import EXACT
from metering.domain.rollup import parts, unit_parts
from metering.domain.usage import COUNTS, Share, UsageEvent
from metering.domain.usage_classes import usage_classes
from metering.events import current
from metering.evidence import Selection, keys_under

_FACTS: Final = (
    "event_key",
    "occurred_at",
    "external_request_id",
    "source",
    "provider",
    "model",
    "endpoint_tag",
    "status",
    "data_mode",
    "environment",
    "served_from",
    "user_pseudonym",
    "tenant",
    "units::text",
    "shares::text",
    *COUNTS,
)


class EventFacts(NamedTuple):
    """What a tenant used of one event. `model` is the requested one; `classes` are its tokens in
    the disjoint classes of `cells.TOKEN_CLASSES` and its units.

    `own`: the call was the tenant's. In a call of another's (`own` false) it has a share: then
    `requests` is 0, the tokens are its share's, and whose call it was and by which user (a random
    pseudonym) is not told. `seal_digest` is the event's part of the line's digest.
    """

    event_key: UUID
    seal_digest: str
    occurred_at: datetime
    own: bool
    shared: bool
    requests: int
    external_request_id: str | None
    user: UUID | None
    model: str
    endpoint_tag: str
    status: str
    data_mode: str
    environment: str
    served_from: str
    classes: Mapping[str, int | Decimal]


def events_under(
    line: Sequence[Selection], tenant: str, limit: int, after: UUID | None = None
) -> list[EventFacts]:
    """At most `limit` of the events under a tenant's line, by key, from the one that follows
    `after` on."""
    with closing(keys_under(line, after)) as keys:
        digests = dict(islice(keys, limit))
    if not digests:
        return []
    events, parameters = current(line[0].period, line[0].received_by)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(_FACTS)} FROM {events} e WHERE event_key = ANY(%(keys)s)"
            " ORDER BY event_key",
            {**parameters, "keys": list(digests)},
        )
        return [_facts(row, digests, tenant) for row in cursor]


def _facts(row: tuple[Any, ...], digests: Mapping[UUID, bytes], tenant: str) -> EventFacts:
    (key, at, request_id, source, provider, model, tag, status, mode, environment, served, user,
     owner, units, shares) = row[: -len(COUNTS)]  # fmt: skip
    own = owner == tenant
    event = UsageEvent(
        source=source,
        external_request_id=request_id,
        provider=provider,
        model=model,
        occurred_at=at,
        units={} if units is None else msgspec.json.decode(units, type=dict[str, Decimal]),
        shares=() if shares is None else msgspec.json.decode(shares, type=tuple[Share, ...]),
        **dict(zip(COUNTS, row[-len(COUNTS) :], strict=True)),
    )
    return EventFacts(
        event_key=key,
        seal_digest=digests[key].hex(),
        occurred_at=at,
        own=own,
        shared=bool(event.shares),
        requests=int(own),
        external_request_id=request_id if own else None,
        user=user if own else None,
        model=model,
        endpoint_tag=tag or "",
        status=status,
        data_mode=mode,
        environment=environment,
        served_from=served,
        classes=_used(event, owner, tenant),
    )


def _used(event: UsageEvent, owner: str, tenant: str) -> dict[str, int | Decimal]:
    """What the tenant is charged for of the call: its parts of each count, in disjoint classes,
    and of each unit."""
    tokens: dict[str, int] = dict.fromkeys(COUNTS, 0)
    units: dict[str, Decimal] = dict.fromkeys(event.units, Decimal(0))
    owners = tuple(Owner("", s.tenant_id) for s in event.shares)
    divided = parts(event, Owner("", owner), owners, ())
    divided_units = unit_parts(
        event.units, event.shares, event.input_tokens or 0, event.output_tokens or 0
    )
    for part, of_units in zip(divided, divided_units, strict=True):
        if part.owner.tenant == tenant:
            for name, count in zip(COUNTS, part.counts, strict=True):
                tokens[name] += count
            for name, quantity in of_units.items():
                units[name] = EXACT.add(units[name], quantity)
    return dict(usage_classes(msgspec.structs.replace(event, units=units, **tokens)))
