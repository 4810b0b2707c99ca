"""The raw events under a line: which they are, how many, and a digest that proves the set."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from hashlib import sha256
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


@dataclass(frozen=True, slots=True)
class Evidence:
    """The events under a line: how many, a digest that proves the set, and their tokens.

    `digest` is SHA-256 over event key ‖ seal digest of each, sorted by key. `tokens` is input
    plus output of the whole calls, of which a shared call's line bears a part only.
    """

    count: int
    digest: str
    tokens: int


class _Gathering:
    """Evidence while it is being gathered; what came of a part of the keys waits for all of it."""

    __slots__ = ("_digest", "_waiting", "count", "tokens")

    def __init__(self) -> None:
        self.count = self.tokens = 0
        self._digest = sha256()
        self._waiting: list[bytes] = []

    def add(self, proofs: bytes, count: int, tokens: int) -> None:
        """Add calls of which key and digest stand one after the other, in any order."""
        self.count += count
        self.tokens += tokens
        self._waiting.append(proofs)

    def hash(self) -> None:
        """Hash what waits, sorted by key. All that is added later has greater keys."""
        waiting = b"".join(self._waiting)
        each = [waiting[i : i + _PROOF] for i in range(0, len(waiting), _PROOF)]
        each.sort()
        self._digest.update(b"".join(each))
        self._waiting.clear()

    def evidence(self) -> Evidence:
        self.hash()
        return Evidence(self.count, self._digest.hexdigest(), self.tokens)


_PROOF: Final = 48
"""The bytes of a key and its seal digest."""
_AT_ONCE: Final = 100_000
"""So many events' keys and digests are in memory at once, about."""
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
    "CASE WHEN shares IS NOT NULL THEN"
    " (SELECT array_agg(DISTINCT concat_ws(E'\x1f', s.tenant, s.cost_centre))"
    " FROM event_share s WHERE s.event_key = e.event_key) END"
)
_SEGMENT: Final = "width_bucket(occurred_at, %(edges)s::timestamptz[])"
_CALL: Final = ", ".join(column for column, _ in [*_LOOKED_AT.values()][2:])
# Few columns a row: what is looked at once a kind of call travels as one text, and key and digest
# as the bytes that are hashed.
_SELECTED: Final = (
    f"{_KEY_AND_DIGEST}, {_TOKENS}, concat_ws(E'\x1f', tenant, cost_centre), {_SHARERS},"
    f" concat_ws(E'\x1f', {_SEGMENT}, {_CALL})"
)


class _Traits(NamedTuple):
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


_Selected = tuple[bytes, int, str, list[str] | None, str]
"""One event: key ‖ seal digest, its tokens, and as texts its traits: the owner, the sharers (of a
shared call) and the call."""


def _owners(owner: str, sharers: list[str] | None) -> Collection[str]:
    return (owner,) if sharers is None else {owner, *sharers}


def _traits(owner: str, call: str, edges: Sequence[datetime]) -> tuple[datetime, _Traits]:
    """The traits, and the last edge of a period before the call, which is in the same periods."""
    segment, *others = call.split(_MARK)
    return edges[int(segment) - 1], _Traits(*owner.split(_MARK), *others)


def _edges(selections: Iterable[Selection]) -> list[datetime]:
    return sorted({edge for s in selections for edge in (s.period.start, s.period.end)})


def event_keys(selection: Selection) -> Iterator[tuple[UUID, bytes]]:
    """The selected events' keys and seal digests, sorted by key, streamed."""
    return keys_under([selection])


def keys_under(
    line: Sequence[Selection], after: UUID | None = None
) -> Generator[tuple[UUID, bytes], None, None]:
    """Keys and seal digests of all events that any of a line's selections (of one period) names,
    sorted by key, streamed; `after` a key, those that follow it."""
    if not line:
        return
    edges = _edges(line)
    for proof, _, owner, sharers, call in _candidates(line, edges, after):
        traits = [_traits(one, call, edges) for one in _owners(owner, sharers)]
        if any(_meets(*one, selection) for one in traits for selection in line):
            yield UUID(bytes=proof[:16]), proof[16:]


def evidence(selection: Selection) -> Evidence:
    """Count and digest of the events under one line."""
    return evidence_for([selection])[0]


def evidence_for(selections: Sequence[Selection]) -> list[Evidence]:
    """Count and digest of the events under each of several lines of one selection each."""
    return evidence_under([(selection,) for selection in selections])


def evidence_under(lines: Sequence[Sequence[Selection]]) -> list[Evidence]:
    """Count and digest of the events under each of several lines, each all that any of its
    selections (of one period) names. Lines of overlapping periods share one pass over the
    events, whoever owns them."""
    gathering = [_Gathering() for _ in lines]
    for indexes in _passes(lines):
        _gather([(gathering[i], lines[i]) for i in indexes])
    return [one.evidence() for one in gathering]


def _passes(lines: Sequence[Sequence[Selection]]) -> Iterator[list[int]]:
    """The lines that are gathered together: those of periods that overlap, as of one instant."""
    cuts: dict[datetime | None, list[tuple[Period, int]]] = {}
    for i, line in enumerate(lines):
        of_line = {(s.received_by, s.period) for s in line}
        if len(of_line) > 1:
            raise ValueError("the selections of a line are of one period")
        for received_by, period in of_line:
            cuts.setdefault(received_by, []).append((period, i))
    for members in cuts.values():
        together: list[int] = []
        until: datetime | None = None
        for period, i in sorted(members, key=lambda member: (member[0].start, member[1])):
            if until is not None and period.start >= until:
                yield together
                together, until = [], None
            together.append(i)
            until = period.end if until is None else max(until, period.end)
        yield together


Line = tuple[_Gathering, Sequence[Selection]]


def _gather(lines: list[Line]) -> None:
    """One pass, in which the database puts together the calls that all selections see alike. To
    which lines these belong through one of their owners is decided against the lines of that
    owner's tenant only."""
    by_tenant: dict[str | None, list[Line]] = {}
    for line in lines:
        tenants = {s.tenant for s in line[1]}
        by_tenant.setdefault(tenants.pop() if len(tenants) == 1 else None, []).append(line)
    selections = [s for _, of_line in lines for s in of_line]
    edges = _edges(selections)
    part = 0
    for alike in _alike(selections, edges):
        if alike.part != part:
            part = alike.part
            for gathering, _ in lines:
                gathering.hash()
        at, traits = edges[alike.segment - 1], alike.traits
        owners = {(traits.tenant, traits.cost_centre)}
        owners |= {_owner(sharer) for sharer in alike.sharers}
        chosen: list[_Gathering] = []
        for tenant, centre in owners:
            of_owner = traits._replace(tenant=tenant, cost_centre=centre)
            through = _through(at, of_owner, by_tenant)
            chosen += [gathering for gathering in through if gathering not in chosen]
        for gathering in chosen:
            gathering.add(alike.proofs, alike.calls, alike.tokens)


def _owner(text: str) -> tuple[str, str]:
    tenant, _, centre = text.partition(_MARK)
    return tenant, centre


def _through(
    at: datetime, traits: _Traits, by_tenant: Mapping[str | None, list[Line]]
) -> list[_Gathering]:
    """The lines that calls of these traits at this time belong to."""
    return [
        gathering
        for tenant in (None, traits.tenant)
        for gathering, selections in by_tenant.get(tenant, ())
        if any(_meets(at, traits, s) for s in selections)
    ]


def _meets(at: datetime, traits: _Traits, s: Selection) -> bool:
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


def _candidates(
    selections: Sequence[Selection], edges: Sequence[datetime], after: UUID | None = None
) -> Iterator[_Selected]:
    """The events between the first and the last edge that the selections' owners own or share in,
    by key, from the one that follows `after` on."""
    source, parameters = _owned(selections, edges)
    if after is not None:
        source += " AND event_key > %(after)s"
        parameters["after"] = after
    yield from stream(f"SELECT {_SELECTED} FROM {source} ORDER BY event_key", parameters)


class _Alike(NamedTuple):
    """Calls of a part of the keys that all selections see alike: their owner and sharers (of shared
    calls), after which edge they were, what they were, and in no order their keys and digests."""

    part: int
    sharers: list[str]
    calls: int
    tokens: int
    proofs: bytes
    segment: int
    traits: _Traits


def _alike(selections: Sequence[Selection], edges: Sequence[datetime]) -> Iterator[_Alike]:
    """As `_candidates`, but put together, the parts of the keys in order. A trait at which no
    selection looks is empty."""
    looked_at = [
        trait
        for trait, (_, condition) in _LOOKED_AT.items()
        if any(getattr(s, condition) not in (None, ()) for s in selections)
    ]
    source, parameters = _owned(selections, edges)
    parts = _parts(Period(edges[0], edges[-1]))
    parameters["parts"] = parts
    shown = ", ".join(
        column if trait in looked_at else "''" for trait, (column, _) in _LOOKED_AT.items()
    )
    # By one text: told of many columns, the planner takes it that hardly two calls are alike, and
    # sorts them all.
    seen = f"concat_ws(E'\\x1f', {_SEGMENT}, {shown}, array_to_string({_SHARERS}, E'\\x1e'))"
    for part, text, calls, tokens, proofs in stream(
        "SELECT part, seen, count(*), sum(tokens)::bigint, string_agg(proof, ''::bytea) FROM ("
        f" SELECT {_PART if parts > 1 else 0} AS part, {seen} AS seen, {_TOKENS} AS tokens,"
        f" {_KEY_AND_DIGEST} AS proof FROM {source}) calls GROUP BY part, seen ORDER BY part",
        parameters,
    ):
        segment, *traits = text.split(_MARK, 1 + len(_LOOKED_AT))
        sharers = traits.pop().split(_BETWEEN) if len(traits) > len(_LOOKED_AT) else []
        yield _Alike(part, sharers, calls, tokens, proofs, int(segment), _Traits(*traits))


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
