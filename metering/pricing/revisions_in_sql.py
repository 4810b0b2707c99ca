"""Storing what a plain call is rated at now, by the database itself: a statement for thousands.

What `revaluation` does with events that it reads, this does with those that stay in the database:
a revision with its digest, and the differences in the rollups. It takes the calls of text that
`ratings_in_sql` rates, that nobody shares, and of which the classes are plain (`IS_PLAIN`):

- before, those of the stored lines, or where there was no price, the five counts, unpriced;
- now, the lines that were written, or where there is no price, the five counts, unpriced.

That is what `event_rows.class_costs` says of such calls. `verify` holds digests, lines and rollups
against the events, whoever wrote them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from metering.domain.cells import Owner
from metering.domain.periods import Period
from metering.event_rows import VALUED
from metering.events import current
from metering.pricing.ratings_in_sql import AMOUNTS, CLASSES, NOW, asking, verdicts
from metering.pricing.revaluation import Act, Differences, Moved, Sums
from metering.rollups import CELL, USAGE, USER

IS_PLAIN: Final = """(
    e.is_text AND e.input_count >= 0 AND e.shares IS NULL AND e.served_from <> 'caller_cache'
    AND CASE WHEN e.lines IS NULL THEN e.pricing = 'unpriced' ELSE e.pricing_reason IS NULL END
)"""

_MODEL: Final = "coalesce(nullif(e.model_executed, ''), e.model)"
_DAY: Final = "(e.occurred_at AT TIME ZONE 'UTC')::date"
_NOW: Final = {
    "pricing": "e.now_pricing",
    "pricing_reason": "e.rated_reason",
    "cost": "trim_scale(e.now_cost)",
    "currency": "e.rated_currency",
    "lines": "e.now_lines::json",
}
_VALUED_TEXT: Final = " || E'\\t' || ".join(
    f"coalesce({_NOW.get(name, f'e.{name}')}::text, E'\\x1e')" for name, _ in VALUED
)
_REVISION: Final = f"""
    INSERT INTO event_revision (event_key, revision, occurred_at, made_at, author, reason,
        {", ".join(name for name, _ in VALUED)}, value_digest)
    SELECT e.event_key, e.revision + 1, e.occurred_at, %(made_at)s, %(author)s, %(why)s,
        {", ".join(_NOW.get(name, f"e.{name}") for name, _ in VALUED)},
        sha256(convert_to(
            e.event_key || E'\\t' || e.revision + 1 || E'\\t' || {_VALUED_TEXT}, 'UTF8'))
    FROM changed e ORDER BY e.event_key"""

_USAGE_KEY: Final = {
    "bucket_at": "date_bin('15 min', e.occurred_at, timestamptz '2000-01-01 00:00Z')",
    "model_executed": _MODEL,
    "endpoint_tag": "coalesce(e.endpoint_tag, '')",
    "prompt_version": "coalesce(e.prompt_version, '')",
    "pricing": "side.pricing",
    "currency": "side.currency",
}
_USAGE_SUM: Final = {
    "events": "side.sign",
    "cost": "side.cost",
    "latency_ms": "side.sign * coalesce(e.latency_ms, 0)",
}
_SIDES: Final = """
    LATERAL (
        SELECT 0 AS sign, e.pricing, e.currency,
               coalesce(e.now_cost, 0) - coalesce(e.cost, 0) AS cost
        WHERE (e.pricing, e.currency) = (e.now_pricing, e.rated_currency)
        UNION ALL SELECT -1, e.pricing, e.currency, -coalesce(e.cost, 0)
        WHERE (e.pricing, e.currency) <> (e.now_pricing, e.rated_currency)
        UNION ALL SELECT 1, e.now_pricing, e.rated_currency, coalesce(e.now_cost, 0)
        WHERE (e.pricing, e.currency) <> (e.now_pricing, e.rated_currency)
    ) side"""
"""An event's usage in the cell that it leaves and in the one that it comes to; once, with the
difference in cost alone, where it stays in its cell."""

_COUNTED: Final = " UNION ALL ".join(
    f"SELECT '{name}', e.{name}_count, e.{name}_amount WHERE e.{name}_count > 0" for name in CLASSES
)
_CLASSES: Final = f"""
    LATERAL (
        SELECT -1 AS sign, e.pricing, e.currency, line ->> 0 AS token_class,
               (line ->> 1)::numeric AS quantity, (line ->> 3)::numeric AS amount
        FROM json_array_elements(e.lines) line
        UNION ALL SELECT -1, 'unpriced', e.currency, used.token_class, used.quantity, 0
        FROM ({_COUNTED}) used (token_class, quantity, amount) WHERE e.lines IS NULL
        UNION ALL SELECT 1, e.now_pricing, e.rated_currency, now.token_class, now.quantity,
               CASE WHEN e.is_priced THEN now.amount ELSE 0 END
        FROM ({_COUNTED}) now (token_class, quantity, amount)
    ) side"""
_CELL_KEY: Final = {
    "day": _DAY,
    "model": _MODEL,
    "token_class": "side.token_class",
    "tier": "CASE WHEN e.batch THEN 'batch' ELSE e.service_tier END",
    "pricing": "side.pricing",
    "currency": "side.currency",
}
_CELL_SUM: Final = {
    "events": "side.sign",
    "quantity": "side.sign * side.quantity",
    "cost": "side.sign * side.amount",
}


def _usage_sql() -> str:
    keys = ", ".join(f"{_USAGE_KEY.get(name, f'e.{name}')} AS {name}" for name in USAGE.key)
    sums = ", ".join(
        f"{_USAGE_SUM.get(name, f'side.sign * coalesce(e.{name}, 0)::bigint')} AS {name}"
        for name in USAGE.sums
    )
    return _appended(
        USAGE.tail, USAGE.key, USAGE.sums, f"SELECT {keys}, {sums} FROM changed e, {_SIDES}"
    )


def _cell_sql() -> str:
    keys = ", ".join(f"{_CELL_KEY.get(name, f'e.{name}')} AS {name}" for name in CELL.key)
    sums = ", ".join(f"{_CELL_SUM[name]} AS {name}" for name in CELL.sums)
    return _appended(
        CELL.tail, CELL.key, CELL.sums, f"SELECT {keys}, {sums} FROM changed e, {_CLASSES}"
    )


def _user_sql() -> str:
    return _appended(
        USER.tail,
        USER.key,
        USER.sums,
        f"SELECT {_DAY} AS day, e.tenant, e.cost_centre, e.user_pseudonym, e.user_kind,"
        " 0 AS events, 0 AS tokens, coalesce(e.now_cost, 0) - coalesce(e.cost, 0) AS cost"
        " FROM changed e WHERE e.user_pseudonym IS NOT NULL",
    )


def _appended(tail: str, key: tuple[str, ...], sums: tuple[str, ...], deltas: str) -> str:
    by, of = ", ".join(key), ", ".join(sums)
    added = ", ".join(f"sum({name}) AS {name}" for name in sums)
    changed = " OR ".join(f"sum({name}) <> 0" for name in sums)
    return (
        f"INSERT INTO {tail} ({by}, {of})"
        f" SELECT {by}, {added} FROM ({deltas}) deltas GROUP BY {by} HAVING {changed}"
    )


_STORED: Final = (
    f", revised AS ({_REVISION}), usage AS ({_usage_sql()}), cells AS ({_cell_sql()}),"
    f" users AS ({_user_sql()})"
)
_CARRIED: Final = ", ".join(
    f"e.{name}"
    for name in dict.fromkeys(
        (
            *("event_key", "revision", "occurred_at", "provider", "provider_project", "model"),
            *("model_executed", "service_tier", "batch", "source", "endpoint_tag"),
            *("prompt_version", "environment", "data_mode", "status", "served_from"),
            *(name for name in USAGE.sums if name != "events"),
            *(name for name, _ in VALUED),
            *("rated_reason", "rated_currency", "is_priced"),
            *(f"{name}_count" for name in CLASSES),
        )
    )
) + "".join(
    (
        *(f", {NOW[name]} AS now_{name}" for name in ("pricing", "cost", "lines")),
        *(f", {amount} AS {name}_amount" for name, amount in AMOUNTS.items()),
    )
)
_DIFFERENCES: Final = f"""
    SELECT e.provider, {_MODEL}, e.pricing, e.now_pricing, e.cost_centre, e.tenant,
        e.rated_currency, e.currency, count(*), sum(coalesce(e.cost, 0)),
        sum(coalesce(e.now_cost, 0))
    FROM changed e GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"""


def revise(
    period: Period,
    keys: Collection[str],
    rates: dict[str, Any],
    act: Act,
) -> Differences:
    """Store what differs of those of these events of the period that count and are plain, in the
    caller's transaction, in which nothing that counts may change. `rates` are the parameters of
    `ratings_in_sql.verdicts`."""
    events, parameters = current(period, keys=keys)
    rated = verdicts(events, "true")
    query = (
        f"WITH changed AS MATERIALIZED (SELECT {_CARRIED} FROM ({rated}) e"
        f" WHERE NOT e.verdict AND {IS_PLAIN}){'' if act.is_trial else _STORED}{_DIFFERENCES}"
    )
    with asking() as cursor:
        cursor.execute(
            query,
            {**parameters, **rates, "author": act.author, "why": act.reason, "made_at": act.at},
        )
        found: Differences = {}
        for provider, model, before, after, centre, tenant, now, then, *sums in cursor:
            owner = Owner(centre, tenant)
            moved = Moved(provider, model, before, after, owner, owner, now, then)
            found[moved] = Sums(*sums)
    return found
