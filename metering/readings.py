"""What the other apps may ask of metering: totals, drivers, charged usage, evidence.

Totals come from the rollups (folded and tail in one snapshot), evidence from the raw events.
Periods are half-open; where a reading is cut at 15-minute buckets or at UTC days, it says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID, uuid4

import msgspec
from django.db import connection, transaction

from metering.domain.cells import Cell, MeteredCell, Owner
from metering.domain.periods import BUCKET, Period
from metering.events import current
from metering.models import CostCentre, Tenant
from metering.rollups import CELL, USAGE, USER

By = Literal["owner", "owner_model", "owner_endpoint"]

DRIVERS: Final = (
    "requests",
    "tokens",
    "input_tokens",
    "output_tokens",
    "metered_cost",
    "active_users",
)
"""Drivers that metering measures. Imported ones (seats, head count) are allocation's."""


class UnknownDriver(ValueError):
    """The driver is not one that metering measures."""


class NotOnABucket(ValueError):
    """The period's edges do not lie on 15-minute buckets, nor can the rollups be cut there."""


def metered_cells(period: Period) -> list[MeteredCell]:
    """Metered usage per bill cell and owner, sorted; cut at UTC days.

    A cell has one reading per owner and pricing: unpriced usage stands apart with cost `None`.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT provider, provider_project, day, model, token_class, tier,"
            " cost_centre, tenant, pricing, currency, sum(quantity), sum(cost), sum(events)"
            f" FROM {CELL.relation()} cells WHERE day >= %s AND day < %s"
            " GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10"
            " HAVING sum(quantity) <> 0 OR sum(cost) <> 0 OR sum(events) <> 0"
            " ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10",
            [period.start.date(), period.end.date()],
        )
        return [
            MeteredCell(
                Cell(provider, project, day, model, token_class, tier),
                Owner(cost_centre, tenant),
                quantity,
                None if pricing == "unpriced" else cost,
                currency,
                int(events),
            )
            for (
                provider, project, day, model, token_class, tier,
                cost_centre, tenant, pricing, currency, quantity, cost, events,
            ) in cursor
        ]  # fmt: skip


def driver_reading(
    period: Period,
    driver: str,
    *,
    providers: Collection[str] = (),
    models: Collection[str] = (),
    endpoint_tags: Collection[str] = (),
    by: By = "owner",
) -> dict[tuple[Owner, str], Decimal]:
    """How much of a driver each owner has; with `by`, per executed model or endpoint tag too.

    Only calls with tokens of the named providers, executed models and endpoint tags (all, where
    none are named). Retries count as requests of their own; a shared call counts as one request
    of its own owner. `active_users` are people and service accounts with a call in the period; a
    user active for two owners counts for both; it knows no models. `metered_cost` leaves out what
    is unpriced. Raises `UnknownDriver`.
    """
    if driver not in DRIVERS:
        raise UnknownDriver(f"driver {driver!r} is not measured; measured are {', '.join(DRIVERS)}")
    if driver == "active_users":
        if by != "owner" or providers or models or endpoint_tags:
            raise UnknownDriver("active_users is measured per owner only, without filters")
        return _active_users(period)
    measure = {
        "requests": "sum(events)",
        "tokens": "sum(input_tokens + output_tokens)",
        "input_tokens": "sum(input_tokens)",
        "output_tokens": "sum(output_tokens)",
        "metered_cost": "sum(cost)",
    }[driver]
    detail = {"owner": "''", "owner_model": "model_executed", "owner_endpoint": "endpoint_tag"}[by]
    conditions, parameters = ["bucket_at >= %s", "bucket_at < %s"], [*_on_buckets(period)]
    for column, chosen in (
        ("provider", providers),
        ("model_executed", models),
        ("endpoint_tag", endpoint_tags),
    ):
        if chosen:
            conditions.append(f"{column} = ANY(%s)")
            parameters.append(sorted(chosen))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT cost_centre, tenant, {detail}, {measure} FROM {USAGE.relation()} cells"
            f" WHERE {' AND '.join(conditions)} GROUP BY 1, 2, 3 HAVING {measure} <> 0"
            " ORDER BY 1, 2, 3",
            parameters,
        )
        return {(Owner(c, t), d): Decimal(value) for c, t, d, value in cursor}


def _active_users(period: Period) -> dict[tuple[Owner, str], Decimal]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT cost_centre, tenant, count(*) FROM ("
            f" SELECT cost_centre, tenant, user_pseudonym FROM {USER.relation()} cells"
            " WHERE day >= %s AND day < %s AND user_kind IN ('user', 'service')"
            " GROUP BY 1, 2, 3 HAVING sum(events) > 0) active GROUP BY 1, 2 ORDER BY 1, 2",
            [period.start.date(), period.end.date()],
        )
        return {(Owner(c, t), ""): Decimal(value) for c, t, value in cursor}


class UsageLine(NamedTuple):
    """Usage as a customer is charged for it: by the model asked for, in disjoint classes."""

    model: str
    endpoint_tag: str
    environment: str
    data_mode: str
    status: str
    served_from: str
    token_class: str
    quantity: Decimal
    events: int


_LEAVES: Final = (
    (
        "input",
        """sum(input_tokens - cached_input_tokens - cache_write_tokens
               - audio_input_tokens - image_input_tokens)""",
    ),
    ("cache_read", "sum(cached_input_tokens)"),
    ("cache_write", "sum(cache_write_tokens - cache_write_1h_tokens)"),
    ("cache_write_1h", "sum(cache_write_1h_tokens)"),
    ("input_audio", "sum(audio_input_tokens)"),
    ("input_image", "sum(image_input_tokens)"),
    ("output", "sum(output_tokens - audio_output_tokens - image_output_tokens)"),
    ("output_audio", "sum(audio_output_tokens)"),
    ("output_image", "sum(image_output_tokens)"),
)
_LINE_KEY: Final = "model, endpoint_tag, environment, data_mode, status, served_from"


def charged_usage(tenant: str, period: Period) -> list[UsageLine]:
    """One tenant's `charged_usages`."""
    return charged_usages([tenant], period)[tenant]


def charged_usages(tenants: Collection[str], period: Period) -> dict[str, list[UsageLine]]:
    """Each tenant's usage in the period by requested model, sorted; its share of shared calls
    included. `requests` is a class of its own. Edges must lie on 15-minute buckets
    (`NotOnABucket`); tools and other units are read from the raw events, for all tenants in one
    pass."""
    start, end = _on_buckets(period)
    leaves = ", ".join(sql for _, sql in _LEAVES)
    lines: dict[str, list[UsageLine]] = {tenant: [] for tenant in tenants}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT tenant, {_LINE_KEY}, sum(events), {leaves} FROM {USAGE.relation()} cells"
            " WHERE tenant = ANY(%s) AND bucket_at >= %s AND bucket_at < %s"
            f" GROUP BY tenant, {_LINE_KEY}",
            [list(lines), start, end],
        )
        for tenant, *row in cursor:
            key: tuple[str, str, str, str, str, str] = tuple(row[:6])
            events, quantities = row[6], row[7:]
            if events:
                lines[tenant].append(UsageLine(*key, "requests", Decimal(events), int(events)))
            lines[tenant] += [
                UsageLine(*key, name, Decimal(quantity), int(events))
                for (name, _), quantity in zip(_LEAVES, quantities, strict=True)
                if quantity
            ]
    for tenant, line in _charged_units(list(lines), period):
        lines[tenant].append(line)
    return {tenant: sorted(found) for tenant, found in lines.items()}


def _charged_units(tenants: list[str], period: Period) -> list[tuple[str, UsageLine]]:
    events, parameters = current(period)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tenant, model, coalesce(endpoint_tag, ''), environment, data_mode, status,"
            " served_from, unit.key, sum(unit.value::numeric), count(*)"
            f" FROM {events} e, json_each_text(e.units) AS unit(key, value)"
            " WHERE e.tenant = ANY(%(tenants)s) AND e.units IS NOT NULL"
            " GROUP BY 1, 2, 3, 4, 5, 6, 7, 8",
            {**parameters, "tenants": tenants},
        )
        return [(tenant, UsageLine(*row)) for tenant, *row in cursor if row[7]]


def _on_buckets(period: Period) -> tuple[Any, Any]:
    for edge in (period.start, period.end):
        if edge.timestamp() % BUCKET.total_seconds():
            raise NotOnABucket(f"{edge.isoformat()} does not lie on a quarter of an hour, UTC")
    return period.start, period.end


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
        self._digest.update(row.event_key.bytes + row.seal_digest)

    def evidence(self) -> Evidence:
        return Evidence(self.count, self._digest.hexdigest(), self.tokens)


_TRAITS: Final = (
    "tenant, cost_centre, provider, model, coalesce(model_executed, model),"
    " coalesce(endpoint_tag, ''), data_mode, environment, status, served_from"
)
_SELECTED: Final = (
    "event_key, seal_digest, coalesce(input_tokens, 0)::bigint + coalesce(output_tokens, 0),"
    " CASE WHEN shares IS NOT NULL THEN"
    " (SELECT array_agg(ARRAY[s.tenant, s.cost_centre]) FROM event_share s"
    f" WHERE s.event_key = e.event_key) END, {_TRAITS}"
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
    event_key: UUID
    seal_digest: bytes
    tokens: int
    share_owners: list[list[str]] | None
    traits: _Traits


def event_keys(selection: Selection) -> Iterator[tuple[UUID, bytes]]:
    """The selected events' keys and seal digests, sorted by key, streamed."""
    for row in _candidates([selection]):
        if _meets(row, selection):
            yield row.event_key, row.seal_digest


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
    decided: dict[_Traits, list[_Gathering]] = {}
    for row in _candidates([s for _, selections in lines for s in selections]):
        chosen = None if row.share_owners else decided.get(row.traits)
        if chosen is None:
            owners = {row.traits.tenant, *(tenant for tenant, _ in row.share_owners or ())}
            chosen = [
                one
                for tenant in (None, *owners)
                for one, selections in by_tenant.get(tenant, ())
                if any(_meets(row, s) for s in selections)
            ]
            if not row.share_owners:
                decided[row.traits] = chosen
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
    for key, digest, tokens, share_owners, *traits in stream(sql, parameters):
        yield _Selected(key, bytes(digest), tokens, share_owners, _Traits(*traits))


def stream(sql: str, parameters: dict[str, Any], size: int = 5_000) -> Iterator[tuple[Any, ...]]:
    """Rows of a query by a server-side cursor: memory stays flat however many there are."""
    connection.ensure_connection()
    with (
        transaction.atomic(),
        connection.connection.cursor(name=f"stream_{uuid4().hex}") as cursor,
    ):
        cursor.itersize = size
        cursor.execute(sql, parameters)
        yield from cursor


def usage_digest(period: Period) -> str:
    """Hex SHA-256 over the period's metered cells in their order: what a run reads of usage."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(encode(sha256(convert_to(string_agg(line, E'\\n' ORDER BY line"
            " COLLATE \"C\"), 'UTF8')), 'hex'), encode(sha256(''), 'hex')) FROM ("
            " SELECT concat_ws(E'\\t', day, provider, provider_project, model, token_class, tier,"
            " cost_centre, tenant, pricing, currency, trim_scale(sum(quantity)),"
            f" trim_scale(sum(cost)), sum(events)) AS line FROM {CELL.relation()} cells"
            " WHERE day >= %s AND day < %s"
            " GROUP BY day, provider, provider_project, model, token_class, tier, cost_centre,"
            " tenant, pricing, currency) lines",
            [period.start.date(), period.end.date()],
        )
        return str(cursor.fetchone()[0])


class FeatureLine(NamedTuple):
    """What one feature (endpoint tag) of an owner used, by metered cost."""

    owner: Owner
    endpoint_tag: str
    provider: str
    model: str
    currency: str
    requests: int
    tokens: int
    cost: Decimal


def features(period: Period) -> list[FeatureLine]:
    """Metered usage by owner, endpoint tag and executed model, sorted; unpriced cost is left out
    of `cost`. For information on statements: the bill's division does not depend on it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT cost_centre, tenant, endpoint_tag, provider, model_executed, currency,"
            " sum(events), sum(input_tokens + output_tokens), sum(cost)"
            f" FROM {USAGE.relation()} cells WHERE bucket_at >= %s AND bucket_at < %s"
            " GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6",
            [*_on_buckets(period)],
        )
        return [
            FeatureLine(Owner(c, t), tag, provider, model, currency, int(n), int(tokens), cost)
            for c, t, tag, provider, model, currency, n, tokens, cost in cursor
        ]


class TenantFacts(NamedTuple):
    key: str
    name: str
    time_zone: str


class CostCentreFacts(NamedTuple):
    """A cost centre and who answers for it; `mode` is `showback` or `chargeback`."""

    code: str
    name: str
    responsible: str
    team: str
    mode: str


def tenants() -> list[TenantFacts]:
    rows = Tenant.objects.order_by("key").values_list("key", "name", "time_zone")
    return [TenantFacts(*row) for row in rows]


def cost_centres() -> list[CostCentreFacts]:
    rows = CostCentre.objects.order_by("code").values_list(
        "code", "name", "responsible", "team", "mode"
    )
    return [CostCentreFacts(*row) for row in rows]


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
