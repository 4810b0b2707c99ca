"""Checks of the rollups from the raw events, by every key that they can be read by; of the days
from the usage rollup that they are folded beside.

Counts that are divided over the owners of a shared call are held against the stored shares.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

from django.db import DataError, connection, transaction

from metering.domain.money import plain
from metering.domain.periods import Period
from metering.domain.usage import COUNTS
from metering.events import current
from metering.planning import added_up_by_hash
from metering.rollups import CELL, DAY, USAGE, USER, Rollup, by_utc_day
from metering.verification.findings import LIMIT, Finding, rows, said

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
    yield from _days(parameters)
    yield from _cells_of_owners(parameters)
    yield from _users(events, parameters)


def _usage(events: str, parameters: dict[str, Any]) -> Iterator[Finding]:
    keys = ", ".join(f"{_AS_ROLLED.get(name, f'e.{name}')} AS {name}" for name in USAGE.key)
    by, sums = ", ".join(USAGE.key), ", ".join(USAGE.sums)
    whole = ", ".join(f"coalesce(e.{name}, 0) AS {name}" for name in (*COUNTS, "cost"))
    own = ", ".join(f"o.{name}" for name in USAGE.sums)
    parts = ", ".join(
        f"coalesce(d.{name}, 0)" if name in _SIDES else f"o.{name}" for name in COUNTS
    )
    raw = f"""
        SELECT {keys}, {own} FROM {events} e CROSS JOIN LATERAL (
            SELECT e.tenant, e.cost_centre, 1 AS events, {whole},
                   coalesce(e.latency_ms, 0) AS latency_ms
        ) o WHERE e.shares IS NULL
        UNION ALL
        SELECT {keys}, last::int, {parts}, coalesce(o.cost, 0),
               CASE WHEN last THEN coalesce(e.latency_ms, 0) ELSE 0 END
        FROM {events} e JOIN event_share o
          ON o.event_key = e.event_key AND o.revision = e.revision
        LEFT JOIN ({_divided(events)}) d
          ON d.event_key = o.event_key AND d.position = o.position
        CROSS JOIN LATERAL (SELECT o.position = json_array_length(e.shares) AS last) place
        WHERE e.shares IS NOT NULL"""
    for at, centre, tenant, model, tag, *cell in _differing(
        USAGE,
        by=USAGE.key,
        raw=f"SELECT * FROM ({raw}) r ({by}, {sums})",
        where=_BUCKETS,
        shown="to_char(bucket_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), cost_centre, tenant,"
        " model, endpoint_tag",
        parameters=parameters,
    ):
        yield Finding(
            "usage rollup",
            f"{at} {centre} {tenant or '(no tenant)'} {model} {tag or '(no endpoint)'}",
            said(USAGE.sums, cell),
        )


_SIDES: Final = {
    name: "output_tokens" if "output" in name or name == "reasoning_tokens" else "input_tokens"
    for name in COUNTS
    if name not in ("input_tokens", "output_tokens")
}
"""The counts of which a share is stored without its part, each with the tokens it is divided by."""


def _divided(events: str) -> str:
    """The owners' parts of shared calls' other counts, by largest remainder, as
    `domain.rollup.parts` divides them: the earlier share first; all to the last if nobody has
    tokens of that side. Calls without such counts, which most are, are left out."""
    call = "PARTITION BY o.event_key"
    columns = []
    for count, side in _SIDES.items():
        part = f"coalesce(e.{count}, 0)::bigint * o.{side}"
        columns.append(
            f"CASE WHEN coalesce(e.{side}, 0) = 0"
            f" THEN CASE WHEN o.position = json_array_length(e.shares) THEN e.{count} END"
            f" ELSE {part} / e.{side} + (row_number() OVER ("
            f"{call} ORDER BY {part} %% nullif(e.{side}, 0) DESC, o.position)"
            f" <= e.{count} - sum({part} / nullif(e.{side}, 0)) OVER ({call}))::int END::int"
            f" AS {count}"
        )
    any_count = ", ".join(f"e.{count}" for count in _SIDES)
    return (
        f"SELECT o.event_key, o.position, {', '.join(columns)} FROM {events} e JOIN event_share o"
        " ON o.event_key = e.event_key AND o.revision = e.revision"
        f" WHERE e.shares IS NOT NULL AND greatest({any_count}) > 0"
    )


def _differing(
    rollup: Rollup,
    *,
    by: Sequence[str],
    raw: str,
    where: str,
    shown: str,
    parameters: dict[str, Any],
    folded_only: bool = False,
) -> Iterator[tuple[Any, ...]]:
    """The cells by these keys whose sums differ: what is shown of them, all sums of the raw
    rows, all sums of the rollup's (with its tail, unless only what is folded is asked for).

    Both sides are added up at once, the rollup's below zero, so that what agrees comes to nothing;
    only of the first few cells that do not are the two sides told apart. And only where a
    fingerprint of both sides says that there are such cells is anything put together by cell.
    """
    keys = ", ".join(by)
    less = ", ".join(f"-{name} AS {name}" for name in rollup.sums)
    cells = f"{rollup.name}_rollup" if folded_only else rollup.relation()
    both = (
        f"SELECT {keys}, {', '.join(rollup.sums)}, true AS is_raw FROM ({raw}) raw"
        f" UNION ALL SELECT {keys}, {less}, false FROM {cells} cells WHERE {where}"
    )
    if _comes_to_nothing(both, by, rollup.sums, parameters):
        return iter(())
    unequal = " OR ".join(f"sum({name}) <> 0" for name in rollup.sums)
    sides = ", ".join(
        f"{sign}sum({name}) FILTER (WHERE {side})"
        for sign, side in (("", "is_raw"), ("-", "NOT is_raw"))
        for name in rollup.sums
    )
    return rows(
        f"WITH differing AS MATERIALIZED (SELECT {keys} FROM ({both}) net GROUP BY {keys}"
        f" HAVING {unequal} ORDER BY {keys} LIMIT {LIMIT})"
        f" SELECT {shown}, {sides} FROM ({both}) told JOIN differing USING ({keys})"
        f" GROUP BY {keys} ORDER BY {keys}",
        parameters,
    )


_EXACT: Final = frozenset({"cost", "quantity"})
"""Sums that are `numeric`; the others are counts."""
_HASHES: Final = {
    "bucket_at": "timestamp_hash_extended(bucket_at AT TIME ZONE 'UTC', {})",
    "day": "timestamp_hash_extended(day::timestamp, {})",
    "user_pseudonym": "uuid_hash_extended(user_pseudonym, {})",
}
_HALVES: Final = ("(h & 67108863)", "(h >> 32 & 67108863)")
"""Of a hash of 64 bits, two numbers of 26 that a count can be multiplied by."""


def _comes_to_nothing(
    rows_of_both: str, by: Sequence[str], sums: Sequence[str], parameters: dict[str, Any]
) -> bool:
    """Whether the rows add up to zero in each cell by these keys, without adding them up by cell.

    Each row's sums are multiplied by a hash of its cell and all are added up: where each cell comes
    to zero, so does this. Where one does not, this comes to zero by a chance of one in 2^52; and
    the hash hangs on a number that is drawn for the occasion, so nobody can choose rows for it.
    """
    h = "%(drawn)s::bigint"
    for name in by:
        h = _HASHES.get(name, f"hashtextextended({name}, {{}})").format(h)
    totals = [
        f"coalesce(sum({part} * {name}), 0) = 0"
        for name in sums
        for part in (("h",) if name in _EXACT else _HALVES)
    ]
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                # A key that is NULL, which no rollup has, must not take its row away.
                f"SELECT {' AND '.join(totals)} FROM (SELECT coalesce({h}, 1) AS h,"
                f" {', '.join(sums)} FROM ({rows_of_both}) rows_of_both OFFSET 0) hashed",
                {**parameters, "drawn": secrets.randbits(63)},
            )
            return bool(cursor.fetchone()[0])
    except DataError:  # a count too large to be multiplied: it is looked at by cell
        return False


_BUCKETS: Final = "bucket_at >= %(period_start)s AND bucket_at < %(period_end)s"
_DAYS: Final = (
    "day >= (%(period_start)s AT TIME ZONE 'UTC')::date"
    " AND day < (%(period_end)s AT TIME ZONE 'UTC')::date"
)


def _days(parameters: dict[str, Any]) -> Iterator[Finding]:
    """What is folded by day against what is folded by quarter of an hour, which is held against
    the raw events itself."""
    for day, provider, model, centre, *sums in _differing(
        DAY,
        by=DAY.key,
        raw=f"SELECT * FROM {by_utc_day('usage_rollup')} WHERE {_BUCKETS}",
        where=_DAYS,
        shown="day, provider, model_executed, cost_centre",
        parameters=parameters,
        folded_only=True,
    ):
        yield Finding(
            "day rollup",
            f"{day} {centre} {provider} {model}",
            said(DAY.sums, sums, of=("usage rollup", "by day")),
        )


def _cells_of_owners(parameters: dict[str, Any]) -> Iterator[Finding]:
    """Bill cells against the usage rollup: the same cost for the same owner. (How a shared call
    is divided over classes is computed once, so the raw events cannot say it a second way.)"""
    by = "day, provider, model, tenant, cost_centre, currency"
    query = (
        "WITH used AS (SELECT (bucket_at AT TIME ZONE 'UTC')::date AS day, provider,"
        " model_executed AS model, tenant, cost_centre, currency, sum(cost) AS cost"
        f" FROM {USAGE.relation()} u WHERE {_BUCKETS} GROUP BY 1, 2, 3, 4, 5, 6),"
        f" rolled AS (SELECT {by}, sum(cost) AS cost FROM {CELL.relation()} c WHERE {_DAYS}"
        f" GROUP BY {by})"
        " SELECT day, cost_centre, tenant, provider, model, used.cost, rolled.cost"
        f" FROM used FULL JOIN rolled USING ({by})"
        " WHERE coalesce(used.cost, 0) <> coalesce(rolled.cost, 0) ORDER BY 1, 2, 3, 4, 5"
    )
    with added_up_by_hash():
        found = list(rows(query, parameters))
    for day, centre, tenant, provider, model, cost, rolled_cost in found:
        yield Finding(
            "cells of owners",
            f"{day} {centre} {tenant or '(no tenant)'} {provider} {model}",
            f"this owner's cells cost {plain(rolled_cost or Decimal(0))},"
            f" their usage {plain(cost or Decimal(0))}",
        )


def _users(events: str, parameters: dict[str, Any]) -> Iterator[Finding]:
    raw = (
        "SELECT (occurred_at AT TIME ZONE 'UTC')::date AS day, tenant, cost_centre, user_pseudonym,"
        " user_kind, 1 AS events,"
        " coalesce(input_tokens, 0)::bigint + coalesce(output_tokens, 0) AS tokens,"
        f" coalesce(cost, 0) AS cost FROM {events} e WHERE user_pseudonym IS NOT NULL"
    )
    for day, centre, user, *sums in _differing(
        USER,
        by=USER.key,
        raw=raw,
        where=_DAYS,
        shown="day, cost_centre, user_pseudonym",
        parameters=parameters,
    ):
        yield Finding("user rollup", f"{day} {centre} user {user}", said(USER.sums, sums))
