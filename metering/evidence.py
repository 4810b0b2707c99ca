"""The raw events under a line: which they are, how many, and a digest that proves the set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Final, NamedTuple
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
    """Evidence while it is being gathered."""

    __slots__ = ("_digest", "count", "tokens")

    def __init__(self) -> None:
        self.count = self.tokens = 0
        self._digest = sha256()

    def add(self, row: _Selected) -> None:
        self.count += 1
        self.tokens += row.tokens
        self._digest.update(row.proof)

    def evidence(self) -> Evidence:
        return Evidence(self.count, self._digest.hexdigest(), self.tokens)


_MARK: Final = "\x1f"
_TRAITS: Final = (
    "tenant, cost_centre, provider, model, coalesce(model_executed, model),"
    " coalesce(endpoint_tag, ''), data_mode, environment, status, served_from"
)
# Few columns a row: what is looked at once a kind of call travels as one text, and key and digest
# as the bytes that are hashed.
_SELECTED: Final = (
    "uuid_send(event_key) || seal_digest,"
    " coalesce(input_tokens, 0)::bigint + coalesce(output_tokens, 0),"
    " CASE WHEN shares IS NOT NULL THEN"
    " (SELECT array_agg(ARRAY[s.tenant, s.cost_centre]) FROM event_share s"
    f" WHERE s.event_key = e.event_key) END, concat_ws(E'\\x1f', {_TRAITS})"
)


class _Traits(NamedTuple):
    """What selections look at, beside the owners of a shared call's shares."""

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


class _Selected(NamedTuple):
    """One event: `proof` is key ‖ seal digest, `kind` its traits as one text."""

    proof: bytes
    tokens: int
    share_owners: list[list[str]] | None
    kind: str

    @property
    def traits(self) -> _Traits:
        return _Traits(*self.kind.split(_MARK))


def event_keys(selection: Selection) -> Iterator[tuple[UUID, bytes]]:
    """The selected events' keys and seal digests, sorted by key, streamed."""
    for row in _candidates([selection]):
        if _meets(row, selection):
            yield UUID(bytes=row.proof[:16]), row.proof[16:]


def evidence(selection: Selection) -> Evidence:
    """Count and digest of the events under one line."""
    return evidence_for([selection])[0]


def evidence_for(selections: Sequence[Selection]) -> list[Evidence]:
    """Count and digest of the events under each of several lines of one selection each."""
    return evidence_under([(selection,) for selection in selections])


def evidence_under(lines: Sequence[Sequence[Selection]]) -> list[Evidence]:
    """Count and digest of the events under each of several lines, each all that any of its
    selections (of one period) names. Lines of the same period share one pass over its events,
    whoever owns them."""
    gathering = [_Gathering() for _ in lines]
    passes: dict[tuple[Period, datetime | None], list[int]] = {}
    for i, line in enumerate(lines):
        cuts = {(s.period, s.received_by) for s in line}
        if len(cuts) > 1:
            raise ValueError("the selections of a line are of one period")
        for cut in cuts:
            passes.setdefault(cut, []).append(i)
    for indexes in passes.values():
        _gather([(gathering[i], lines[i]) for i in indexes])
    return [one.evidence() for one in gathering]


def _gather(lines: list[tuple[_Gathering, Sequence[Selection]]]) -> None:
    """One pass. A call is held against the lines of its own tenants only, and which of them it
    belongs to is decided once for all calls of the same traits."""
    by_tenant: dict[str | None, list[tuple[_Gathering, Sequence[Selection]]]] = {}
    for line in lines:
        tenants = {s.tenant for s in line[1]}
        by_tenant.setdefault(tenants.pop() if len(tenants) == 1 else None, []).append(line)
    decided: dict[str, list[_Gathering]] = {}
    for row in _candidates([s for _, selections in lines for s in selections]):
        chosen = None if row.share_owners else decided.get(row.kind)
        if chosen is None:
            owners = {row.traits.tenant, *(tenant for tenant, _ in row.share_owners or ())}
            chosen = [
                one
                for tenant in (None, *owners)
                for one, selections in by_tenant.get(tenant, ())
                if any(_meets(row, s) for s in selections)
            ]
            if not row.share_owners:
                decided[row.kind] = chosen
        for one in chosen:
            one.add(row)


def _meets(row: _Selected, s: Selection) -> bool:
    traits = row.traits
    return (
        _owns(row, 0, s.tenant)
        and _owns(row, 1, s.cost_centre)
        and (s.provider is None or traits.provider == s.provider)
        and (s.model_executed is None or traits.model_executed == s.model_executed)
        and (not s.models or any(fnmatchcase(traits.model, pattern) for pattern in s.models))
        and (not s.endpoint_tags or traits.endpoint_tag in s.endpoint_tags)
        and (not s.data_modes or traits.data_mode in s.data_modes)
        and (not s.environments or traits.environment in s.environments)
        and (not s.statuses or traits.status in s.statuses)
        and (not s.served_from or traits.served_from in s.served_from)
    )


def _owns(row: _Selected, place: int, wanted: str | None) -> bool:
    """Whether the tenant (place 0) or cost centre (1) owns the call or a share in it."""
    return (
        wanted is None
        or row.traits[place] == wanted
        or any(owner[place] == wanted for owner in row.share_owners or ())
    )


def _candidates(selections: Sequence[Selection]) -> Iterator[_Selected]:
    """The events of the selections' one period that their owners own or share in, by key."""
    events, parameters = current(selections[0].period, selections[0].received_by)
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
    sql = f"SELECT {_SELECTED} FROM {events} e WHERE {' AND '.join(conditions)} ORDER BY event_key"
    for row in stream(sql, parameters):
        yield _Selected(*row)


def received_since(period: Period, instant: datetime, tenant: str | None = None) -> int:
    """How many events of the period (of the tenant) came in after the instant: late usage."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM usage_event WHERE occurred_at >= %(start)s"
            " AND occurred_at < %(end)s AND received_at > %(instant)s"
            " AND (%(tenant)s::text IS NULL OR tenant = %(tenant)s OR shares IS NOT NULL)",
            {"start": period.start, "end": period.end, "instant": instant, "tenant": tenant},
        )
        return int(cursor.fetchone()[0])
