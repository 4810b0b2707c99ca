"""Events as selections see them: what a selection can name, and the events that may be named, read
one by one or, where that is enough, put together by the database."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection

from metering.bulk import stream
from metering.domain.periods import Period
from metering.events import current


class Selection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which events lie under a line: those of the period that count and meet every condition
    given. `models` are patterns over the requested model. A tenant's events are its own and the
    shared calls it had a share in. Empty means any. `received_by` leaves out what was received
    or decided later, so that old evidence can be checked after late usage came in."""

    period: Period
    tenant: str | None = None
    cost_centre: str | None = None
    provider: str | None = None
    models: tuple[str, ...] = ()
    model_executed: str | None = None
    endpoint_tags: tuple[str, ...] = ()
    data_modes: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    served_from: tuple[str, ...] = ()
    received_by: datetime | None = None


class Traits(NamedTuple):
    """What selections look at: an owner of the call, and what it was."""

    tenant: str
    cost_centre: str
    provider: str
    model: str
    model_executed: str
    endpoint_tag: str
    data_mode: str
    environment: str
    status: str
    served_from: str


class Seen(NamedTuple):
    """A call as selections see it: the last edge of a period before it, which is in the same
    periods, and its traits by each of its owners."""

    at: datetime
    of_owners: tuple[Traits, ...]


class Alike(NamedTuple):
    """Calls of a part of the keys that all selections see alike: how many, their tokens, and in no
    order their keys and digests."""

    part: int
    seen: Seen
    calls: int
    tokens: int
    proofs: bytes


PROOF: Final = 48
"""The bytes of a key and its seal digest."""
_AT_ONCE: Final = 100_000
"""So many events' keys and digests are in a part of the keys, about."""
_MOST_PARTS: Final = 10_000
_MARK: Final = "\x1f"
_BETWEEN: Final = "\x1e"
_LOOKED_AT: Final = {
    "tenant": ("tenant", "tenant"),
    "cost_centre": ("cost_centre", "cost_centre"),
    "provider": ("provider", "provider"),
    "model": ("model", "models"),
    "model_executed": ("coalesce(model_executed, model)", "model_executed"),
    "endpoint_tag": ("coalesce(endpoint_tag, '')", "endpoint_tags"),
    "data_mode": ("data_mode", "data_modes"),
    "environment": ("environment", "environments"),
    "status": ("status", "statuses"),
    "served_from": ("served_from", "served_from"),
}
"""Each trait's column, and the condition of a selection that looks at it."""
_KEY_AND_DIGEST: Final = "uuid_send(event_key) || seal_digest"
_PART: Final = (
    "(get_byte(uuid_send(event_key), 0) * 256 + get_byte(uuid_send(event_key), 1))"
    " * %(parts)s / 65536"
)
"""Which of so many parts of all keys a key is in: those of an earlier one are smaller."""
_TOKENS: Final = "coalesce(input_tokens, 0)::bigint + coalesce(output_tokens, 0)"
_SHARERS: Final = (
    "array_to_string(CASE WHEN shares IS NOT NULL THEN"
    " (SELECT array_agg(DISTINCT concat_ws(E'\\x1f', s.tenant, s.cost_centre))"
    " FROM event_share s WHERE s.event_key = e.event_key) END, E'\\x1e')"
)
_SEGMENT: Final = "width_bucket(occurred_at, %(edges)s::timestamptz[])"


def one_by_one(
    selections: Sequence[Selection], after: UUID | None = None
) -> Iterator[tuple[bytes, Seen]]:
    """Key ‖ seal digest of the events that the selections' owners own or share in, between the
    first and the last instant of the selections, by key, from the one that follows `after` on."""
    edges = _edges(selections)
    source, parameters = _owned(selections, edges)
    if after is not None:
        source += " AND event_key > %(after)s"
        parameters["after"] = after
    known: dict[str, Seen] = {}
    for proof, text in stream(
        f"SELECT {_KEY_AND_DIGEST}, {_text(_LOOKED_AT)} FROM {source} ORDER BY event_key",
        parameters,
    ):
        if text not in known:
            known[text] = _seen(text, edges)
        yield proof, known[text]


def alike(selections: Sequence[Selection]) -> Iterator[Alike]:
    """The same events put together, the parts of the keys in order. A trait at which no selection
    looks is empty."""
    edges = _edges(selections)
    looked_at = [
        trait
        for trait, (_, condition) in _LOOKED_AT.items()
        if any(getattr(s, condition) not in (None, ()) for s in selections)
    ]
    source, parameters = _owned(selections, edges)
    parts = _parts(Period(edges[0], edges[-1]))
    parameters["parts"] = parts
    # By one text: told of many columns, the planner takes it that hardly two calls are alike, and
    # sorts them by all of these.
    for part, text, calls, tokens, proofs in stream(
        "SELECT part, seen, count(*), sum(tokens)::bigint, string_agg(proof, ''::bytea) FROM ("
        f" SELECT {_PART if parts > 1 else 0} AS part, {_text(looked_at)} AS seen,"
        f" {_TOKENS} AS tokens, {_KEY_AND_DIGEST} AS proof FROM {source}"
        ") calls GROUP BY part, seen ORDER BY part",
        parameters,
    ):
        yield Alike(part, _seen(text, edges), calls, tokens, proofs)


def meets(at: datetime, traits: Traits, s: Selection) -> bool:
    """Whether a selection names calls of these traits at this time."""
    return (
        at in s.period
        and (s.tenant is None or traits.tenant == s.tenant)
        and (s.cost_centre is None or traits.cost_centre == s.cost_centre)
        and (s.provider is None or traits.provider == s.provider)
        and (s.model_executed is None or traits.model_executed == s.model_executed)
        and (not s.models or _named(traits.model, s.models))
        and (not s.endpoint_tags or traits.endpoint_tag in s.endpoint_tags)
        and (not s.data_modes or traits.data_mode in s.data_modes)
        and (not s.environments or traits.environment in s.environments)
        and (not s.statuses or traits.status in s.statuses)
        and (not s.served_from or traits.served_from in s.served_from)
    )


@lru_cache(maxsize=10_000)
def _named(model: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in patterns)


def _edges(selections: Sequence[Selection]) -> list[datetime]:
    return sorted({edge for s in selections for edge in (s.period.start, s.period.end)})


def _text(looked_at: Collection[str]) -> str:
    """What `_seen` reads, as SQL: after which edge, the traits, a shared call's sharers."""
    traits = ", ".join(
        column if trait in looked_at else "''" for trait, (column, _) in _LOOKED_AT.items()
    )
    return f"concat_ws(E'\\x1f', {_SEGMENT}, {traits}, {_SHARERS})"


def _seen(text: str, edges: Sequence[datetime]) -> Seen:
    segment, *told = text.split(_MARK, 1 + len(_LOOKED_AT))
    traits = Traits(*told[: len(_LOOKED_AT)])
    owners = {(traits.tenant, traits.cost_centre)}
    for sharers in told[len(_LOOKED_AT) :]:
        for sharer in sharers.split(_BETWEEN):
            tenant, _, centre = sharer.partition(_MARK)
            owners.add((tenant, centre))
    return Seen(
        edges[int(segment) - 1],
        tuple([traits._replace(tenant=tenant, cost_centre=centre) for tenant, centre in owners]),
    )


def _parts(period: Period) -> int:
    """In how many parts of the keys the period's events are hashed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM usage_event WHERE occurred_at >= %s AND occurred_at < %s",
            [period.start, period.end],
        )
        return min(int(cursor.fetchone()[0]) // _AT_ONCE + 1, _MOST_PARTS)


def _owned(
    selections: Sequence[Selection], edges: Sequence[datetime]
) -> tuple[str, dict[str, Any]]:
    """For a FROM clause, and its parameters: the events between the first and the last edge that
    the selections' owners own or share in."""
    events, parameters = current(Period(edges[0], edges[-1]), selections[0].received_by)
    parameters["edges"] = list(edges)
    conditions = ["true"]
    for column, wanted in (
        ("tenant", {s.tenant for s in selections}),
        ("cost_centre", {s.cost_centre for s in selections}),
    ):
        if None not in wanted:
            conditions.append(
                f"({column} = ANY(%({column})s) OR shares IS NOT NULL AND event_key IN"
                f" (SELECT event_key FROM event_share s WHERE s.{column} = ANY(%({column})s)"
                " AND s.occurred_at >= %(period_start)s AND s.occurred_at < %(period_end)s))"
            )
            parameters[column] = list(wanted)
    return f"{events} e WHERE {' AND '.join(conditions)}", parameters
