"""Checks of the rollups from the raw events, by every key that they can be read by.

Counts that are divided over the owners of a shared call are held against the stored shares.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from metering.domain.money import plain
from metering.domain.periods import Period
from metering.events import current
from metering.findings import Finding, rows
from metering.rollups import CELL, USAGE, USER

_AS_ROLLED: Final = {
    "bucket_at": "date_bin('15 min', e.occurred_at, timestamptz '2000-01-01 00:00Z')",
    "model_executed": "coalesce(e.model_executed, e.model)",
    "endpoint_tag": "coalesce(e.endpoint_tag, '')",
    "prompt_version": "coalesce(e.prompt_version, '')",
    "tenant": "o.tenant",
    "cost_centre": "o.cost_centre",
}
"""Where a key of the usage rollup is not simply the event's column of that name. The owner is that
of a part of the call."""


def check(period: Period) -> Iterator[Finding]:
    """Rollups against raw events, by every key they can be read by."""
    events, parameters = current(period)
    yield from _usage(events, parameters)
    yield from _cells(events, parameters)
    yield from _cells_of_owners(parameters)
    yield from _users(events, parameters)


def _usage(events: str, parameters: dict[str, Any]) -> Iterator[Finding]:
    keys = ", ".join(f"{_AS_ROLLED.get(name, f'e.{name}')} AS {name}" for name in USAGE.key)
    by = ", ".join(USAGE.key)
    sums = "sum(events) AS events, sum(input_tokens) AS input_tokens,"
    sums += " sum(output_tokens) AS output_tokens, sum(cost) AS cost"
    raw = f"""
        SELECT {keys}, o.events, o.input_tokens, o.output_tokens, o.cost
        FROM {events} e CROSS JOIN LATERAL (
            SELECT e.tenant, e.cost_centre, 1 AS events, coalesce(e.input_tokens, 0)
                   AS input_tokens, coalesce(e.output_tokens, 0) AS output_tokens,
                   coalesce(e.cost, 0) AS cost
            WHERE e.shares IS NULL
        ) o
        UNION ALL
        SELECT {keys}, (o.position = json_array_length(e.shares))::int, o.input_tokens,
               o.output_tokens, coalesce(o.cost, 0)
        FROM {events} e JOIN event_share o
          ON o.event_key = e.event_key AND o.revision = e.revision
        WHERE e.shares IS NOT NULL"""
    for at, centre, tenant, model, tag, n, rolled_n, cost, rolled_cost in rows(
        f"WITH raw AS (SELECT {by}, {sums} FROM ({raw}) r GROUP BY {by}),"
        f" rolled AS (SELECT {by}, {sums} FROM {USAGE.relation()} cells"
        " WHERE bucket_at >= %(period_start)s AND bucket_at < %(period_end)s"
        f" GROUP BY {by})"
        " SELECT to_char(bucket_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), cost_centre, tenant,"
        " model, endpoint_tag, raw.events, rolled.events, raw.cost, rolled.cost"
        f" FROM raw FULL JOIN rolled USING ({by})"
        " WHERE (coalesce(raw.events, 0), coalesce(raw.input_tokens, 0),"
        "  coalesce(raw.output_tokens, 0), coalesce(raw.cost, 0)) <>"
        " (coalesce(rolled.events, 0), coalesce(rolled.input_tokens, 0),"
        "  coalesce(rolled.output_tokens, 0), coalesce(rolled.cost, 0)) ORDER BY 1, 2, 3, 4, 5",
        parameters,
    ):
        yield Finding(
            "usage rollup",
            f"{at} {centre} {tenant or '(no tenant)'} {model} {tag or '(no endpoint)'}",
            f"raw: {_said(n, cost)}; rollup: {_said(rolled_n, rolled_cost)}",
        )


def _said(events: int | None, cost: Decimal | None) -> str:
    return "nothing" if events is None or cost is None else f"{events} events, cost {plain(cost)}"


_DAYS: Final = (
    "day >= (%(period_start)s AT TIME ZONE 'UTC')::date"
    " AND day < (%(period_end)s AT TIME ZONE 'UTC')::date"
)


def _cells(events: str, parameters: dict[str, Any]) -> Iterator[Finding]:
    by = "day, provider, provider_project, model, token_class, tier, currency"
    for day, provider, model, token_class, quantity, rolled_quantity, cost, rolled_cost in rows(
        "WITH raw AS (SELECT (e.occurred_at AT TIME ZONE 'UTC')::date AS day, e.provider,"
        " e.provider_project, coalesce(e.model_executed, e.model) AS model,"
        " line ->> 0 AS token_class,"
        " CASE WHEN e.batch THEN 'batch' ELSE e.service_tier END AS tier, e.currency,"
        " sum((line ->> 1)::numeric) AS quantity, sum((line ->> 3)::numeric) AS cost"
        f" FROM {events} e, json_array_elements(e.lines) line WHERE e.pricing = 'priced'"
        " GROUP BY 1, 2, 3, 4, 5, 6, 7),"
        f" rolled AS (SELECT {by}, sum(quantity) AS quantity, sum(cost) AS cost"
        f" FROM {CELL.relation()} cells WHERE {_DAYS} AND pricing = 'priced' GROUP BY {by})"
        " SELECT day, provider, model, token_class, raw.quantity, rolled.quantity,"
        f" raw.cost, rolled.cost FROM raw FULL JOIN rolled USING ({by})"
        " WHERE (coalesce(raw.quantity, 0), coalesce(raw.cost, 0)) <>"
        " (coalesce(rolled.quantity, 0), coalesce(rolled.cost, 0)) ORDER BY 1, 2, 3, 4",
        parameters,
    ):
        yield Finding(
            "cell rollup",
            f"{day} {provider} {model} {token_class}",
            f"raw: {quantity} at {cost}; rollup: {rolled_quantity} at {rolled_cost}",
        )


def _cells_of_owners(parameters: dict[str, Any]) -> Iterator[Finding]:
    """Bill cells against the usage rollup: the same cost for the same owner. (How a shared call
    is divided over classes is computed once, so the raw events cannot say it a second way.)"""
    by = "day, provider, model, tenant, cost_centre, currency"
    for day, centre, tenant, provider, model, cost, rolled_cost in rows(
        "WITH used AS (SELECT (bucket_at AT TIME ZONE 'UTC')::date AS day, provider,"
        " model_executed AS model, tenant, cost_centre, currency, sum(cost) AS cost"
        f" FROM {USAGE.relation()} u WHERE bucket_at >= %(period_start)s"
        f" AND bucket_at < %(period_end)s GROUP BY 1, 2, 3, 4, 5, 6),"
        f" rolled AS (SELECT {by}, sum(cost) AS cost FROM {CELL.relation()} c WHERE {_DAYS}"
        f" GROUP BY {by})"
        " SELECT day, cost_centre, tenant, provider, model, used.cost, rolled.cost"
        f" FROM used FULL JOIN rolled USING ({by})"
        " WHERE coalesce(used.cost, 0) <> coalesce(rolled.cost, 0) ORDER BY 1, 2, 3, 4, 5",
        parameters,
    ):
        yield Finding(
            "cells of owners",
            f"{day} {centre} {tenant or '(no tenant)'} {provider} {model}",
            f"this owner's cells cost {plain(rolled_cost or Decimal(0))},"
            f" their usage {plain(cost or Decimal(0))}",
        )


def _users(events: str, parameters: dict[str, Any]) -> Iterator[Finding]:
    by = "day, tenant, cost_centre, user_pseudonym, user_kind"
    sums = "sum(events) AS events, sum(tokens) AS tokens, sum(cost) AS cost"
    for day, centre, user, n, rolled_n, cost, rolled_cost in rows(
        f"WITH raw AS (SELECT {by}, {sums} FROM (SELECT (occurred_at AT TIME ZONE 'UTC')::date"
        " AS day, tenant, cost_centre, user_pseudonym, user_kind, 1 AS events,"
        " coalesce(input_tokens, 0) + coalesce(output_tokens, 0) AS tokens,"
        f" coalesce(cost, 0) AS cost FROM {events} e WHERE user_pseudonym IS NOT NULL) r"
        f" GROUP BY {by}), rolled AS (SELECT {by}, {sums} FROM {USER.relation()} u"
        f" WHERE {_DAYS} GROUP BY {by})"
        " SELECT day, cost_centre, user_pseudonym, raw.events, rolled.events, raw.cost,"
        f" rolled.cost FROM raw FULL JOIN rolled USING ({by})"
        " WHERE (coalesce(raw.events, 0), coalesce(raw.tokens, 0), coalesce(raw.cost, 0)) <>"
        " (coalesce(rolled.events, 0), coalesce(rolled.tokens, 0), coalesce(rolled.cost, 0))"
        " ORDER BY 1, 2, 3",
        parameters,
    ):
        yield Finding(
            "user rollup",
            f"{day} {centre} user {user}",
            f"raw: {_said(n, cost)}; rollup: {_said(rolled_n, rolled_cost)}",
        )
