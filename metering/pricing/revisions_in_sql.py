"""Storing what plain calls are rated at now, by the database itself: a statement for thousands.

What `revaluation` does with events that it reads, this does with those that stay in the database:
a revision with its digest, the parts of a shared call, and the differences in the rollups. It takes
the calls of text that `ratings_in_sql` rates and of which the classes are plain (`_IS_PLAIN`):

- before, the stored lines, if they are of the five counts; or where there was no price, the five
  counts, unpriced;
- now, the lines that were written, or where there is no price, the five counts, unpriced.

That is what `event_rows.class_costs` says of such calls. A shared call is among them if it stays in
its cells of the rollups, so that its costs alone are divided anew (`shared_calls_in_sql`). `verify`
holds digests, lines, shares and rollups against the events, whoever wrote them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from metering.domain.cells import Owner
from metering.domain.rollup import SHARE_SCALE
from metering.domain.usage import COUNTS
from metering.event_rows import VALUED
from metering.pricing.ratings_in_sql import CLASSES, NOW
from metering.pricing.revaluation import Differences, Moved, Sums
from metering.pricing.shared_calls_in_sql import DIVIDED
from metering.rollups import CELL, USAGE, USER, Rollup

_DAY: Final = "(e.occurred_at AT TIME ZONE 'UTC')::date"
_STORED: Final = {
    **{name: f"e.{column}" for name, column in NOW.items()},
    "cost": "trim_scale(e.now_cost)",
    "lines": "e.now_lines::json",
}
_TEXTS: Final = {**_STORED, "lines": "e.now_lines"}
_VALUED_TEXT: Final = " || E'\\t' || ".join(
    f"coalesce({_TEXTS.get(name, f'e.{name}')}::text, E'\\x1e')" for name, _ in VALUED
)
_REVISION: Final = f"""
    INSERT INTO event_revision (event_key, revision, occurred_at, made_at, author, reason,
        {", ".join(name for name, _ in VALUED)}, value_digest)
    SELECT e.event_key, e.revision + 1, e.occurred_at, %(made_at)s, %(author)s, %(why)s,
        {", ".join(_STORED.get(name, f"e.{name}") for name, _ in VALUED)},
        sha256(convert_to(
            e.event_key || E'\\t' || e.revision + 1 || E'\\t' || {_VALUED_TEXT}, 'UTF8'))
    FROM changed e WHERE e.is_plain ORDER BY e.event_key"""
_SHARES: Final = """
    INSERT INTO event_share (event_key, revision, position, occurred_at, tenant, cost_centre,
        input_tokens, output_tokens, cost)
    SELECT e.event_key, e.revision + 1, p.position, e.occurred_at, p.tenant, p.cost_centre,
        p.input_tokens, p.output_tokens,
        CASE WHEN e.now_cost IS NOT NULL THEN trim_scale(p.cost) END
    FROM changed e JOIN divided p USING (event_key) ORDER BY e.event_key, p.position"""

_USAGE_KEY: Final = {
    "bucket_at": "date_bin('15 min', e.occurred_at, timestamptz '2000-01-01 00:00Z')",
    "model_executed": "e.executed",
    "endpoint_tag": "coalesce(e.endpoint_tag, '')",
    "prompt_version": "coalesce(e.prompt_version, '')",
}
_CELL_KEY: Final = {
    "day": _DAY,
    "model": "e.executed",
    "tier": "CASE WHEN e.batch THEN 'batch' ELSE e.service_tier END",
}
_SIDES: Final = (
    (-1, "before", "e.pricing", "e.currency"),
    (1, "amount", "e.now_pricing", "e.rated_currency"),
)
"""Where an event that leaves its cells is taken from and where it is added: the sign, which of the
classes' amounts, and the pricing and currency of the cells."""


def _in_place() -> str:
    """Who bears how much more of each class, of the calls that stay in their cells."""
    keys = ", ".join(f"e.{name}" for name in (*_KEYED_BY, "executed"))
    more = ", ".join(f"e.{name}_amount - e.{name}_before AS {name}_more" for name in CLASSES)
    parts = ", ".join(f"p.{name}_more" for name in CLASSES)
    return (
        f"SELECT {keys}, e.tenant, e.cost_centre, {more} FROM changed e"
        " WHERE e.is_plain AND NOT e.moves AND NOT e.is_shared"
        f" UNION ALL SELECT {keys}, p.tenant, p.cost_centre, {parts}"
        " FROM changed e JOIN divided p USING (event_key)"
    )


def _usage_in_place() -> str:
    more = " + ".join(f"e.{name}_more" for name in CLASSES)
    keys = ", ".join(f"{_USAGE_KEY.get(name, f'e.{name}')} AS {name}" for name in USAGE.key)
    return _appended(USAGE, f"SELECT {keys}, {more} AS cost FROM in_place e", ("cost",))


def _usage_moved() -> str:
    deltas = []
    for sign, when, pricing, currency in _SIDES:
        named = {**_USAGE_KEY, "pricing": pricing, "currency": currency}
        sums = {
            "events": str(sign),
            "cost": f"{sign} * ({' + '.join(f'e.{name}_{when}' for name in CLASSES)})",
            "latency_ms": f"{sign} * coalesce(e.latency_ms, 0)",
        }
        keys = ", ".join(f"{named.get(name, f'e.{name}')} AS {name}" for name in USAGE.key)
        added = ", ".join(
            f"{sums.get(name, f'{sign} * coalesce(e.{name}, 0)::bigint')} AS {name}"
            for name in USAGE.sums
        )
        deltas.append(f"SELECT {keys}, {added} FROM moving e")
    return _appended(USAGE, " UNION ALL ".join(deltas))


_OF_CALL: Final = [name for name in CELL.key if name not in ("token_class", "pricing", "currency")]


def _cells_in_place() -> str:
    """Summed by everything else that cells are keyed by first: those sums are few, and only they
    are taken apart into a row for each class."""
    keys = [name for name in CELL.key if name != "token_class"]
    named = ", ".join(f"{_CELL_KEY.get(name, f'e.{name}')} AS {name}" for name in keys)
    more = ", ".join(f"sum(e.{name}_more) AS {name}_more" for name in CLASSES)
    by = ", ".join(str(n + 1) for n in range(len(keys)))
    classes = ", ".join(f"('{name}', e.{name}_more)" for name in CLASSES)
    return _appended(
        CELL,
        f"SELECT e.*, c.* FROM (SELECT {named}, {more} FROM in_place e GROUP BY {by}) e,"
        f" LATERAL (VALUES {classes}) c (token_class, cost)",
        ("cost",),
    )


def _cells_moved() -> str:
    keys = ", ".join(f"{_CELL_KEY.get(name, f'e.{name}')} AS {name}" for name in _OF_CALL)
    deltas = [
        f"SELECT {keys}, '{name}' AS token_class, {pricing} AS pricing, {currency} AS currency,"
        f" {sign} AS events, {sign} * e.{name}_count AS quantity, {sign} * e.{name}_{when} AS cost"
        f" FROM moving e WHERE e.{name}_count > 0"
        for sign, when, pricing, currency in _SIDES
        for name in CLASSES
    ]
    return _appended(CELL, " UNION ALL ".join(deltas))


def _users() -> str:
    return _appended(
        USER,
        f"SELECT {_DAY} AS day, e.tenant, e.cost_centre, e.user_pseudonym, e.user_kind,"
        " coalesce(e.now_cost, 0) - coalesce(e.cost, 0) AS cost"
        " FROM changed e WHERE e.is_plain AND e.user_pseudonym IS NOT NULL",
        ("cost",),
    )


def _appended(rollup: Rollup, deltas: str, summed: Sequence[str] = ()) -> str:
    """The rollup's deltas appended, one a cell; those sums that are not named are 0."""
    summed = summed or rollup.sums
    by, of = ", ".join(rollup.key), ", ".join(rollup.sums)
    added = ", ".join(f"sum({name})" if name in summed else "0" for name in rollup.sums)
    changed = " OR ".join(f"sum({name}) <> 0" for name in summed)
    return (
        f"INSERT INTO {rollup.tail} ({by}, {of})"
        f" SELECT {by}, {added} FROM ({deltas}) deltas GROUP BY {by} HAVING {changed}"
    )


_KEYED_BY: Final = (
    *("occurred_at", "provider", "provider_project", "model", "service_tier", "batch", "source"),
    *("endpoint_tag", "prompt_version", "environment", "data_mode", "status", "served_from"),
    *("user_kind", "pricing", "currency"),
)
_OF_NOW: Final = ("rated_reason", "rated_currency", "now_pricing", "now_cost", "now_lines")
_CARRIED: Final = tuple(
    dict.fromkeys(
        (
            *("event_key", "revision", *_KEYED_BY, *COUNTS, "latency_ms", *_OF_NOW),
            *(name for name, _ in VALUED if name != "lines"),
            *(f"{name}_{of}" for of in ("count", "amount") for name in CLASSES),
        )
    )
)
_READ: Final = ", ".join(
    (
        *(f"e.{name}" for name in (*_CARRIED, "verdict", "is_text", "is_dividable")),
        "coalesce(nullif(e.model_executed, ''), e.model) AS executed",
        "e.shares IS NOT NULL AS is_shared",
        "e.pricing <> e.now_pricing OR e.currency <> e.rated_currency AS moves",
        "string_to_array(e.lines::text, '\"') AS stored",
        *(
            " + ".join(f"(e.{used}_count > 0)::int" for used in CLASSES[: number + 1])
            + f" AS {name}_line"
            for number, name in enumerate(CLASSES)
        ),
    )
)
"""`moves`: to other cells of the rollups. `stored` are the stored lines, split at quotes: of the
n-th line the class is piece 8n - 6, the quantity 8n - 4, the amount 8n. A class's line is the n-th
if it was used."""
_OF_THE_COUNTS: Final = " AND ".join(
    (
        f"cardinality(e.stored) = 8 * e.{CLASSES[-1]}_line + 1",
        *(
            f"(e.{name}_count = 0 OR e.stored[8 * e.{name}_line - 6] = '{name}'"
            f" AND e.stored[8 * e.{name}_line - 4] = e.{name}_count::text)"
            for name in CLASSES
        ),
    )
)
_WAS_DIVIDED: Final = " AND ".join(
    f"length(split_part(coalesce(e.stored[8 * {number}], ''), '.', 2)) <= {SHARE_SCALE}"
    for number in range(1, len(CLASSES) + 1)
)
_IS_PLAIN: Final = f"""coalesce(
    NOT e.verdict AND e.is_text AND e.input_count >= 0 AND e.served_from <> 'caller_cache'
    AND CASE WHEN e.stored IS NULL THEN e.pricing = 'unpriced' ELSE {_OF_THE_COUNTS} END
    AND (NOT e.is_shared
        OR NOT e.moves AND coalesce(e.is_dividable, true) AND {_WAS_DIVIDED}), false)"""
_BEFORE: Final = ", ".join(
    f"CASE WHEN e.{name}_count > 0 AND e.stored IS NOT NULL"
    f" THEN e.stored[8 * e.{name}_line]::numeric ELSE 0 END AS {name}_before"
    for name in CLASSES
)
_KEPT: Final = ", ".join(
    f"e.{name}" for name in (*_CARRIED, "executed", "is_shared", "moves", "told")
)


def changed(rated: str, told: str) -> str:
    """Common table expressions: `changed` are those events of the verdicts (a query of
    `ratings_in_sql.verdicts`) of which they do not say that they stand, with `told` (SQL over them,
    as `e`); `is_plain`: the database can store what they are rated at."""
    return f"""changed AS MATERIALIZED (
        SELECT {_KEPT}, {_IS_PLAIN} AS is_plain, {_BEFORE} FROM (
            SELECT {_READ}, {told} AS told FROM ({rated}) e
            WHERE e.verdict IS NOT TRUE OFFSET 0
        ) e)"""


STORED: Final = f"""{DIVIDED}, in_place AS NOT MATERIALIZED ({_in_place()}),
    moving AS MATERIALIZED (SELECT * FROM changed e WHERE e.is_plain AND e.moves),
    revised AS ({_REVISION}), shares AS ({_SHARES}), users AS ({_users()}),
    usage AS ({_usage_in_place()}), usage_moved AS ({_usage_moved()}),
    cells AS ({_cells_in_place()}), cells_moved AS ({_cells_moved()})"""
"""Common table expressions that store what the plain ones of `changed` are rated at. The parameters
are `made_at`, `author`, `why` and the period's. What counts may not change meanwhile."""

DIFFERENCES: Final = """
    SELECT e.provider, e.executed, e.pricing, e.now_pricing, e.cost_centre, e.tenant,
        e.rated_currency, e.currency, count(*), sum(coalesce(e.cost, 0)),
        sum(coalesce(e.now_cost, 0))
    FROM changed e WHERE e.is_plain GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"""
"""What differs of the plain ones of `changed`, as `differences_in` reads it."""
NO_DIFFERENCE: Final = ", ".join((*["NULL::text"] * 8, "NULL::bigint", *["NULL::numeric"] * 2))
"""As many columns of the same kinds."""


def differences_in(rows: Iterable[Sequence[Any]]) -> Differences:
    found: Differences = {}
    for provider, model, before, after, centre, tenant, now, then, *sums in rows:
        owner = Owner(centre, tenant)
        moved = Moved(provider, model, before, after, owner, owner, now, then)
        found[moved] = Sums(*sums)
    return found
