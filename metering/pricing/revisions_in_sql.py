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

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from metering.domain.cells import Owner
from metering.domain.rollup import SHARE_SCALE
from metering.domain.usage import COUNTS
from metering.event_rows import VALUED
from metering.pricing.ratings_in_sql import CLASSES, NOW
from metering.pricing.revaluation import Differences, Moved, Sums
from metering.pricing.shared_calls_in_sql import DIVIDED
from metering.rollups import CELL, USAGE, USER, Rollup

_STORED: Final = {
    **{name: f"e.{column}" for name, column in NOW.items()},
    "cost": "trim_scale(e.now_cost)",
    "lines": "e.now_lines::json",
}
_TEXTS: Final = {**_STORED, "lines": "e.now_lines"}
_NULLABLE: Final = ("user_pseudonym", "pricing_reason", "cost", "lines")


def _as_text(name: str) -> str:
    value = _TEXTS.get(name, f"e.{name}")
    return f"coalesce({value}::text, E'\\x1e')" if name in _NULLABLE else value


_REVISION: Final = f"""
    INSERT INTO event_revision (event_key, revision, occurred_at, made_at, author, reason,
        {", ".join(name for name, _ in VALUED)}, value_digest)
    SELECT e.event_key, e.revision + 1, e.occurred_at, %(made_at)s, %(author)s, %(why)s,
        {", ".join(_STORED.get(name, f"e.{name}") for name, _ in VALUED)},
        sha256(convert_to(concat_ws(E'\\t', e.event_key, e.revision + 1,
            {", ".join(_as_text(name) for name, _ in VALUED)}), 'UTF8'))
    FROM changed e WHERE e.is_plain ORDER BY e.event_key"""
_SHARES: Final = """
    INSERT INTO event_share (event_key, revision, position, occurred_at, tenant, cost_centre,
        input_tokens, output_tokens, cost)
    SELECT e.event_key, e.revision + 1, p.position, e.occurred_at, p.tenant, p.cost_centre,
        p.input_tokens, p.output_tokens,
        CASE WHEN e.now_cost IS NOT NULL THEN trim_scale(p.cost) END
    FROM shared e JOIN divided p USING (event_key)
    ORDER BY e.event_key, p.position"""

_USAGE_KEY: Final = {
    "bucket_at": "date_bin('15 min', e.occurred_at, timestamptz '2000-01-01 00:00Z')",
    "model_executed": "e.executed",
    "endpoint_tag": "coalesce(e.endpoint_tag, '')",
    "prompt_version": "coalesce(e.prompt_version, '')",
}
_CELL_KEY: Final = {
    "day": "%(day)s::date",
    "model": "e.executed",
    "tier": "CASE WHEN e.batch THEN 'batch' ELSE e.service_tier END",
}
_SIDES: Final = (
    (-1, "before", "e.pricing", "e.currency"),
    (1, "amount", "e.now_pricing", "e.rated_currency"),
)
"""Where an event that leaves its cells is taken from and where it is added: the sign, which of the
classes' amounts, and the pricing and currency of the cells."""
_IN_PLACE: Final = "e.is_plain AND NOT e.moves AND NOT e.is_shared"
"""The calls of one owner that stay in their cells: most of them."""


def _keys(rollup: Rollup, named: Mapping[str, str], owned: str = "e") -> str:
    """What its cells are keyed by but for the class: of an event (`e`), and of what has its
    owner."""
    found = []
    for name in rollup.key:
        if name != "token_class":
            of = owned if name in ("tenant", "cost_centre") else "e"
            found.append(f"{named.get(name, f'{of}.{name}')} AS {name}")
    return ", ".join(found)


def _usage_in_place() -> str:
    more = " + ".join(f"p.{name}_more" for name in CLASSES)
    return _appended(
        USAGE,
        f"SELECT {_keys(USAGE, _USAGE_KEY)}, e.now_cost - e.cost AS cost FROM changed e"
        f" WHERE {_IN_PLACE} AND e.now_cost IS NOT NULL"
        f" UNION ALL SELECT {_keys(USAGE, _USAGE_KEY, 'p')}, {more}"
        " FROM shared e JOIN divided p USING (event_key)",
        ("cost",),
    )


def _usage_moved() -> str:
    deltas = []
    for sign, when, pricing, currency in _SIDES:
        named = {**_USAGE_KEY, "pricing": pricing, "currency": currency}
        sums = {
            "events": str(sign),
            "cost": f"{sign} * ({' + '.join(f'e.{name}_{when}' for name in CLASSES)})",
            "latency_ms": f"{sign} * coalesce(e.latency_ms, 0)",
        }
        added = ", ".join(
            f"{sums.get(name, f'{sign} * coalesce(e.{name}, 0)::bigint')} AS {name}"
            for name in USAGE.sums
        )
        deltas.append(f"SELECT {_keys(USAGE, named)}, {added} FROM moving e")
    return _appended(USAGE, " UNION ALL ".join(deltas))


_SUMMED_BY: Final = [name for name in CELL.key if name != "token_class"]
_BY: Final = ", ".join(str(n + 1) for n in range(len(_SUMMED_BY)))
_MORE: Final = ", ".join(f"{name}_more" for name in CLASSES)
_SUMMED: Final = f"""
    SELECT {_keys(CELL, _CELL_KEY)}, count(*) AS events, sum(e.cost) AS cost_before,
        sum(e.now_cost) AS cost_after,
        {", ".join(f"sum(e.{name}_more) AS {name}_more" for name in CLASSES)}
    FROM changed e WHERE {_IN_PLACE} GROUP BY {_BY}"""
"""The calls of one owner that stay in their cells, summed by all else that cells are keyed by:
those sums are few, and they alone are taken apart into a row for each class."""


def _cells_in_place() -> str:
    sums = ", ".join(f"sum(p.{name}_more) AS {name}_more" for name in CLASSES)
    classes = ", ".join(f"('{name}', e.{name}_more)" for name in CLASSES)
    return _appended(
        CELL,
        f"SELECT e.*, c.* FROM (SELECT {', '.join(_SUMMED_BY)}, {_MORE} FROM summed"
        f" UNION ALL SELECT {_keys(CELL, _CELL_KEY, 'p')}, {sums}"
        " FROM shared e JOIN divided p USING (event_key)"
        f" GROUP BY {_BY}) e, LATERAL (VALUES {classes}) c (token_class, cost)",
        ("cost",),
    )


_OF_CALL: Final = [name for name in CELL.key if name not in ("token_class", "pricing", "currency")]


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
        "SELECT %(day)s::date AS day, e.tenant, e.cost_centre, e.user_pseudonym, e.user_kind,"
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
            *("event_key", "revision", *_KEYED_BY, "cost", *_OF_NOW),
            *(name for name, _ in VALUED if name not in NOW),
        )
    )
)
_OF_SOME: Final = {
    "e.is_shared OR e.moves": (
        *("input_tokens", "output_tokens"),
        *(f"{name}_amount" for name in CLASSES),
    ),
    "e.moves": (
        *(name for name in COUNTS if name not in ("input_tokens", "output_tokens")),
        *("latency_ms", *(f"{name}_count" for name in CLASSES)),
    ),
}
"""What only some of the events need: a column that is NULL costs nothing to keep and to read."""
_COUNTED: Final = tuple(name for names in _OF_SOME.values() for name in names)
_READ: Final = ", ".join(
    (
        *(f"e.{name}" for name in (*_CARRIED, *_COUNTED, "verdict", "is_text", "is_dividable")),
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
_BEFORE: Final = {
    name: f"CASE WHEN e.{name}_count > 0 AND e.stored IS NOT NULL"
    f" THEN e.stored[8 * e.{name}_line]::numeric ELSE 0 END"
    for name in CLASSES
}
_KEPT: Final = ", ".join(
    (
        *(f"e.{name}" for name in ("is_shared", "moves", *_CARRIED, "executed")),
        *(
            f"CASE WHEN NOT (e.is_shared OR e.moves) THEN e.{name}_amount - {before} END"
            f" AS {name}_more"
            for name, before in _BEFORE.items()
        ),
        "e.told",
        *(
            f"CASE WHEN {some} THEN e.{name} END AS {name}"
            for some, names in _OF_SOME.items()
            for name in names
        ),
        *(
            f"CASE WHEN e.is_shared OR e.moves THEN {before} END AS {name}_before"
            for name, before in _BEFORE.items()
        ),
    )
)


def changed(rated: str, told: str) -> str:
    """Common table expressions: `changed` are those events of the verdicts (a query of
    `ratings_in_sql.verdicts`) of which they do not say that they stand, with `told` (SQL over them,
    as `e`); `is_plain`: the database can store what they are rated at."""
    return f"""changed AS MATERIALIZED (
        SELECT {_IS_PLAIN} AS is_plain, {_KEPT} FROM (
            SELECT {_READ}, {told} AS told FROM ({rated}) e
            WHERE e.verdict IS NOT TRUE OFFSET 0
        ) e),
        summed AS MATERIALIZED ({_SUMMED})"""


STORED: Final = f"""{DIVIDED},
    moving AS MATERIALIZED (SELECT * FROM changed e WHERE e.is_plain AND e.moves),
    revised AS ({_REVISION}), shares AS ({_SHARES}), users AS ({_users()}),
    usage AS ({_usage_in_place()}), usage_moved AS ({_usage_moved()}),
    cells AS ({_cells_in_place()}), cells_moved AS ({_cells_moved()})"""
"""Common table expressions that store what the plain ones of `changed` are rated at. The parameters
are `made_at`, `author`, `why`, the UTC `day` and the period within it. What counts may not change
meanwhile."""

DIFFERENCES: Final = """
    SELECT provider, model, pricing, pricing, cost_centre, tenant, currency, currency,
        sum(events)::bigint, coalesce(sum(cost_before), 0), coalesce(sum(cost_after), 0)
    FROM summed GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    UNION ALL
    SELECT e.provider, e.executed, e.pricing, e.now_pricing, e.cost_centre, e.tenant,
        e.rated_currency, e.currency, count(*), sum(coalesce(e.cost, 0)),
        sum(coalesce(e.now_cost, 0))
    FROM changed e WHERE e.is_plain AND (e.moves OR e.is_shared) GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"""
"""What differs of the plain ones of `changed`, as `differences_in` reads it."""
NO_DIFFERENCE: Final = ", ".join((*["NULL::text"] * 8, "NULL::bigint", *["NULL::numeric"] * 2))
"""As many columns of the same kinds."""


def differences_in(rows: Iterable[Sequence[Any]]) -> Differences:
    found: Differences = {}
    for provider, model, before, after, centre, tenant, now, then, *sums in rows:
        owner = Owner(centre, tenant)
        moved = Moved(provider, model, before, after, owner, owner, now, then)
        found.setdefault(moved, Sums()).add(Sums(*sums))
    return found
