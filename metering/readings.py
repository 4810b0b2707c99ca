"""What the other apps may ask of metering's totals: cells, features, who there is.

Totals come from the rollups, folded and tail in one snapshot. Periods are half-open; where a
reading is cut at 15-minute buckets or at UTC days, it says so. What costs are
divided by is in `driver_readings`, what a customer is charged for in `charged_usage`, the events
under a line in `evidence`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import NamedTuple

from django.db import connection

from metering.domain.cells import Cell, MeteredCell, Owner, class_and_model
from metering.domain.money import EXACT, plain
from metering.domain.period_costs import EstimatedUse
from metering.domain.periods import Period
from metering.events import current
from metering.models import CostCentre, Tenant
from metering.rollups import CELL, USAGE, on_buckets


class MeteredUsage(NamedTuple):
    """What was metered of a period in one reading: its cells, and the `usage_digest` over them."""

    cells: list[MeteredCell]
    digest: str


def metered_cells(period: Period) -> list[MeteredCell]:
    """Metered usage per bill cell and owner, sorted; cut at UTC days.

    A cell has one reading per owner and pricing: unpriced usage stands apart with cost `None`.
    What another model did within an answer (`input@claude-opus-4-8`) is in the cells of that
    model, which is where it is billed, in a reading of its own.
    """
    return _metered(_cell_rows(period))


def metered_usage(period: Period) -> MeteredUsage:
    """`metered_cells` and `usage_digest` of one instant, for what it takes to read the cells."""
    rows = _cell_rows(period)
    return MeteredUsage(_metered(rows), _digest(rows))


def _cell_rows(period: Period) -> list[_CellRow]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT provider, provider_project, day, model, token_class, tier,"
            " cost_centre, tenant, pricing, currency, sum(quantity), sum(cost), sum(events)"
            f" FROM {CELL.relation()} cells WHERE day >= %s AND day < %s"
            " GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10"
            " HAVING sum(quantity) <> 0 OR sum(cost) <> 0 OR sum(events) <> 0"
            # As one text: sorted by ten columns, sorting is half of what the reading takes.
            r" ORDER BY concat_ws(E'\x01', provider, provider_project, day, model, token_class,"
            " tier, cost_centre, tenant, pricing, currency)",
            [period.start.date(), period.end.date()],
        )
        return list(cursor.fetchall())


_CellRow = tuple[
    str, str, date, str, str, str, str, str, str, str, Decimal, Decimal, int
]  # fmt: skip


def _metered(rows: Iterable[_CellRow]) -> list[MeteredCell]:
    cells = [
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
        ) in rows
    ]  # fmt: skip
    elsewhere = [cell for cell in cells if class_and_model(cell.cell.token_class)[1]]
    if not elsewhere:
        return cells
    return sorted((_where_billed(cell) for cell in cells), key=lambda c: (*c[:2], c.cost is None))


def _digest(rows: Iterable[_CellRow]) -> str:
    """`usage_digest` of rows that are at hand."""
    lines = sorted(
        f"{day}\t{provider}\t{project}\t{model}\t{token_class}\t{tier}\t{cost_centre}\t{tenant}"
        f"\t{pricing}\t{currency}\t{plain(quantity)}\t{plain(cost)}\t{events}"
        for (
            provider, project, day, model, token_class, tier,
            cost_centre, tenant, pricing, currency, quantity, cost, events,
        ) in rows
    )  # fmt: skip
    return sha256("\n".join(lines).encode()).hexdigest()


def estimated_cells(period: Period) -> dict[Cell, EstimatedUse]:
    """The priced part of the cells whose usage was estimated, since no provider reported it."""
    with connection.cursor() as cursor:
        # They are few, and an index of their own finds them: the rest of the month is not read.
        cursor.execute(
            "SELECT event_key::text FROM usage_event WHERE usage_quality = 'estimated'"
            " AND occurred_at >= %s AND occurred_at < %s",
            [period.start, period.end],
        )
        keys = [key for (key,) in cursor]
        if not keys:
            return {}
        events, bounds = current(period, keys=keys)
        cursor.execute(
            "SELECT provider, provider_project, (occurred_at AT TIME ZONE 'UTC')::date,"
            " coalesce(model_executed, model), line ->> 0,"
            " CASE WHEN batch THEN 'batch' ELSE service_tier END,"
            " sum((line ->> 1)::numeric), sum((line ->> 3)::numeric)"
            f" FROM {events} e, json_array_elements(e.lines) line"
            " GROUP BY 1, 2, 3, 4, 5, 6",
            bounds,
        )
        found: dict[Cell, EstimatedUse] = {}
        for provider, project, day, model, token_class, tier, quantity, cost in cursor:
            name, other = class_and_model(token_class)
            cell = Cell(provider, project, day, other or model, name, tier)
            before = found.get(cell, EstimatedUse(Decimal(0), Decimal(0)))
            found[cell] = EstimatedUse(before.quantity + quantity, EXACT.add(before.cost, cost))
    return dict(sorted(found.items()))


def _where_billed(reading: MeteredCell) -> MeteredCell:
    token_class, model = class_and_model(reading.cell.token_class)
    if not model:
        return reading
    return reading._replace(cell=reading.cell._replace(model=model, token_class=token_class))


class OwnerDay(NamedTuple):
    """An owner's usage of an executed model on one UTC day, by what it should have cost (`None`:
    what is unpriced, apart)."""

    owner: Owner
    day: date
    model: str
    currency: str
    cost: Decimal | None


def owner_days(
    period: Period, *, cost_centre: str | None = None, tenant: str | None = None
) -> list[OwnerDay]:
    """Metered cost by owner, UTC day and executed model, sorted: of one cost centre or tenant, if
    it is named."""
    whose, parameters = _of_owner(cost_centre, tenant)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT cost_centre, tenant, day, model, currency, pricing = 'unpriced', sum(cost)"
            f" FROM {CELL.relation()} cells WHERE day >= %s AND day < %s{whose}"
            " GROUP BY 1, 2, 3, 4, 5, 6"
            " HAVING sum(quantity) <> 0 OR sum(cost) <> 0 OR sum(events) <> 0"
            " ORDER BY 1, 2, 3, 4, 5, 6",
            [period.start.date(), period.end.date(), *parameters],
        )
        return [
            OwnerDay(Owner(centre, tenant), day, model, currency, None if unpriced else cost)
            for centre, tenant, day, model, currency, unpriced, cost in cursor
        ]


def _of_owner(cost_centre: str | None, tenant: str | None) -> tuple[str, list[str]]:
    """Further conditions, and their parameters."""
    named = [
        (column, value)
        for column, value in (("cost_centre", cost_centre), ("tenant", tenant))
        if value is not None
    ]
    return "".join(f" AND {column} = %s" for column, _ in named), [value for _, value in named]


class DayCost(NamedTuple):
    """What a provider's priced usage of one UTC day should cost in one currency."""

    provider: str
    day: date
    currency: str
    cost: Decimal


def day_costs(period: Period) -> list[DayCost]:
    """Metered cost by provider, UTC day and currency, sorted. Unpriced usage is left out of
    `cost`, but not out of the days."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT provider, day, currency,"
            " coalesce(sum(cost) FILTER (WHERE pricing <> 'unpriced'), 0)"
            f" FROM {CELL.relation()} cells WHERE day >= %s AND day < %s"
            " GROUP BY 1, 2, 3"
            " HAVING sum(quantity) <> 0 OR sum(cost) <> 0 OR sum(events) <> 0"
            " ORDER BY 1, 2, 3",
            [period.start.date(), period.end.date()],
        )
        return [DayCost(*row) for row in cursor]


def usage_digest(period: Period) -> str:
    """Hex SHA-256 over the period's metered cells in their order: what a run reads of usage. Cells
    that have come to nothing are none."""
    return sha256(usage_text(period)).hexdigest()


def usage_text(period: Period) -> bytes:
    """What `usage_digest` is made of: a line for each cell, the days in their order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(string_agg(line, E'\\n' ORDER BY line COLLATE \"C\"), '') FROM ("
            " SELECT concat_ws(E'\\t', day, provider, provider_project, model, token_class, tier,"
            " cost_centre, tenant, pricing, currency, trim_scale(sum(quantity)),"
            f" trim_scale(sum(cost)), sum(events)) AS line FROM {CELL.relation()} cells"
            " WHERE day >= %s AND day < %s"
            " GROUP BY day, provider, provider_project, model, token_class, tier, cost_centre,"
            " tenant, pricing, currency"
            " HAVING sum(quantity) <> 0 OR sum(cost) <> 0 OR sum(events) <> 0) lines",
            [period.start.date(), period.end.date()],
        )
        return str(cursor.fetchone()[0]).encode()


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


def features(
    period: Period, *, cost_centre: str | None = None, tenant: str | None = None
) -> list[FeatureLine]:
    """Metered usage by owner, endpoint tag and executed model, sorted; of one cost centre or
    tenant, if it is named; unpriced cost is left out of `cost`. For information on statements:
    the bill's division does not depend on it."""
    whose, parameters = _of_owner(cost_centre, tenant)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT cost_centre, tenant, endpoint_tag, provider, model_executed, currency,"
            " sum(events), sum(input_tokens + output_tokens), sum(cost)"
            f" FROM {USAGE.relation()} cells WHERE bucket_at >= %s AND bucket_at < %s{whose}"
            " GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6",
            [*on_buckets(period), *parameters],
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


def tenant_facts(key: str) -> TenantFacts | None:
    """One tenant; `None` for a key that is not registered."""
    row = Tenant.objects.filter(key=key).values_list("key", "name", "time_zone").first()
    return None if row is None else TenantFacts(*row)


def cost_centres() -> list[CostCentreFacts]:
    rows = CostCentre.objects.order_by("code").values_list(
        "code", "name", "responsible", "team", "mode"
    )
    return [CostCentreFacts(*row) for row in rows]
