"""The raw events under a line: which they are, how many, and a digest that proves the set."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

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
    """Evidence while it is being gathered; what is to be hashed waits until it is worth a call."""

    __slots__ = ("_digest", "_waiting", "count", "tokens")

    def __init__(self) -> None:
        self.count = self.tokens = 0
        self._digest = sha256()
        self._waiting = bytearray()

    def add(self, proof: bytes, tokens: int) -> None:
        self.count += 1
        self.tokens += tokens
        self._waiting += proof
        if len(self._waiting) > _WORTH_HASHING:
            self._hash()

    def evidence(self) -> Evidence:
        self._hash()
        return Evidence(self.count, self._digest.hexdigest(), self.tokens)

    def _hash(self) -> None:
        self._digest.update(self._waiting)
        self._waiting.clear()


_WORTH_HASHING: Final = 4_096
_MARK: Final = "\x1f"
_TRAITS: Final = (
    "provider, model, coalesce(model_executed, model), coalesce(endpoint_tag, ''), data_mode,"
    " environment, status, served_from"
)
# Few columns a row: what is looked at once a kind of call travels as one text, and key and digest
# as the bytes that are hashed.
_SELECTED: Final = (
    "uuid_send(event_key) || seal_digest,"
    " coalesce(input_tokens, 0)::bigint + coalesce(output_tokens, 0),"
    " concat_ws(E'\\x1f', tenant, cost_centre),"
    " CASE WHEN shares IS NOT NULL THEN"
    " (SELECT array_agg(DISTINCT concat_ws(E'\\x1f', s.tenant, s.cost_centre))"
    f" FROM event_share s WHERE s.event_key = e.event_key) END,"
    f" concat_ws(E'\\x1f', width_bucket(occurred_at, %(edges)s::timestamptz[]), {_TRAITS})"
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
    """One pass. Which lines a call belongs to through one of its owners is decided once for all
    calls of the same traits, and against the lines of that owner's tenant only."""
    by_tenant: dict[str | None, list[Line]] = {}
    for line in lines:
        tenants = {s.tenant for s in line[1]}
        by_tenant.setdefault(tenants.pop() if len(tenants) == 1 else None, []).append(line)
    selections = [s for _, of_line in lines for s in of_line]
    edges = _edges(selections)
    decided: dict[tuple[str, str], list[_Gathering]] = {}
    for proof, tokens, owner, sharers, call in _candidates(selections, edges):
        chosen: list[_Gathering] = []
        for one in (owner,) if sharers is None else _owners(owner, sharers):
            through = decided.get((one, call))
            if through is None:
                through = _through(*_traits(one, call, edges), by_tenant)
                decided[one, call] = through
            chosen = [*chosen, *(x for x in through if x not in chosen)] if chosen else through
        for gathering in chosen:
            gathering.add(proof, tokens)


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
    events, parameters = current(Period(edges[0], edges[-1]), selections[0].received_by)
    parameters["edges"] = list(edges)
    conditions = ["true"]
    if after is not None:
        conditions.append("event_key > %(after)s")
        parameters["after"] = after
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
    sql = f"SELECT {_SELECTED} FROM {events} e WHERE {' AND '.join(conditions)} ORDER BY event_key"
    yield from stream(sql, parameters)
