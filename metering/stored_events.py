"""Events read back from their rows, with the values that count: what went into the rollups."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec
from django.db import connection

from metering import bulk
from metering.domain.cells import Owner
from metering.domain.periods import Period
from metering.domain.rating import RatedLine, Rating
from metering.domain.rollup import Part, parts
from metering.domain.usage import COUNTS, Share, UsageEvent
from metering.event_rows import class_costs
from metering.events import current

_PLAIN: Final = (
    *("source", "external_request_id", "provider", "model", "occurred_at", "model_executed"),
    *COUNTS,
    *("service_tier", "batch", "served_from", "endpoint_tag", "prompt_version", "status"),
    *("latency_ms", "data_mode", "environment", "region", "usage_format"),
    *("tenant_id", "cost_center"),
)
"""The reported columns that the rollups are keyed by or sum, that prices hang on, and that owners
are found by."""
_TEXTS: Final = ("units", "shares", "lines", "usage")
_VALUED: Final = (
    *("event_key", "provider_project", "user_pseudonym", "user_kind", "tenant", "cost_centre"),
    *("owner_route", "pricing", "pricing_reason", "cost", "currency", "revision"),
)
_COLUMNS: Final = (*_PLAIN, *_VALUED, *(f"{name}::text AS {name}" for name in _TEXTS))
_units: Final = msgspec.json.Decoder(dict[str, Decimal]).decode
_shares: Final = msgspec.json.Decoder(tuple[Share, ...]).decode
_lines: Final = msgspec.json.Decoder(list[tuple[str, str, str, str, int]]).decode


class StoredEvent(NamedTuple):
    """An event as it counts now, in the shape in which rollups take it. Of what was reported,
    only what rollups, prices and owners hang on is filled in."""

    key: str
    event: UsageEvent
    pseudonym: str | None
    user_kind: str
    project: str
    tenant: str
    cost_centre: str
    owner_route: str
    rating: Rating
    parts: tuple[Part, ...]
    revision: int


def read(
    period: Period, condition: str, parameters: Mapping[str, str | None], *, limit: int
) -> list[StoredEvent]:
    """At most `limit` of the period's events that count and fit the condition (SQL over the
    columns of `events.current`, as `e`), sorted by key."""
    events, bounds = current(period)
    return _read(
        events,
        {**bounds, **parameters, "n": limit},
        f"{condition} ORDER BY e.event_key LIMIT %(n)s",
    )


def of_keys(keys: Mapping[str, datetime]) -> list[StoredEvent]:
    """Those of these events (by key, each with its time) that count, sorted by key."""
    if not keys:
        return []
    until = max(keys.values()) + timedelta(microseconds=1)
    events, bounds = current(Period(min(keys.values()), until), keys=keys)
    return _read(events, bounds, "true ORDER BY e.event_key")


def within(period: Period, keys: Collection[str]) -> list[StoredEvent]:
    """Those of these events of the period that count, sorted by key."""
    events, bounds = current(period, keys=keys)
    return _read(events, bounds, "true ORDER BY e.event_key")


def _read(events: str, parameters: Mapping[str, Any], rest: str) -> list[StoredEvent]:
    columns = ", ".join(f"e.{column}" for column in _COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {columns} FROM {events} e WHERE {rest}",
            parameters,
        )
        names = [column.name for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor]
    owners = _share_owners([str(row["event_key"]) for row in rows if row["shares"]])
    return [_event(row, owners) for row in rows]


_ShareOwners = dict[tuple[str, int], list[Owner]]


def _share_owners(keys: Collection[str]) -> _ShareOwners:
    found: _ShareOwners = {}
    if keys:
        with bulk.cursor() as cursor:
            cursor.execute(
                "SELECT event_key::text, revision, cost_centre, tenant FROM event_share"
                " WHERE event_key = ANY(%s::uuid[]) ORDER BY event_key, revision, position",
                [bulk.array(sorted(keys))],
            )
            for key, revision, cost_centre, tenant in cursor:
                found.setdefault((key, revision), []).append(Owner(cost_centre, tenant))
    return found


def _event(row: dict[str, Any], share_owners: _ShareOwners) -> StoredEvent:
    key = str(row["event_key"])
    event = UsageEvent(
        **{name: row[name] for name in _PLAIN},
        units=_units(row["units"]) if row["units"] else {},
        shares=_shares(row["shares"]) if row["shares"] else (),
        usage=row["usage"],
    )
    rating = Rating(
        row["pricing"],
        row["cost"],
        row["currency"],
        tuple(_rated_lines(row["lines"])) if row["lines"] else (),
        row["pricing_reason"],
    )
    owner = Owner(row["cost_centre"], row["tenant"])
    # The own owner's part comes last among the stored shares.
    others = tuple(share_owners[key, row["revision"]][:-1]) if event.shares else ()
    return StoredEvent(
        key=key,
        event=event,
        pseudonym=str(row["user_pseudonym"]) if row["user_pseudonym"] else None,
        user_kind=row["user_kind"],
        project=row["provider_project"],
        tenant=row["tenant"],
        cost_centre=row["cost_centre"],
        owner_route=row["owner_route"],
        rating=rating,
        parts=parts(event, owner, others, class_costs(event, rating)),
        revision=row["revision"],
    )


def _rated_lines(text: str) -> list[RatedLine]:
    return [
        RatedLine(
            token_class,
            int(quantity) if quantity.isdecimal() else Decimal(quantity),
            Decimal(unit_price),
            Decimal(amount),
            price_id,
        )
        for token_class, quantity, unit_price, amount, price_id in _lines(text)
    ]
