"""Checks of the rollups from the raw events, by every key that they can be read by.

Counts that are divided over the owners of a shared call are held against the stored shares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

from metering.domain.money import plain
from metering.domain.periods import Period
from metering.domain.usage import COUNTS
from metering.events import current
from metering.findings import Finding, rows
from metering.rollups import CELL, USAGE, USER, Rollup

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
    for at, centre, tenant, model, tag, *cell in rows(
        f"WITH raw ({by}, {sums}) AS ("
        f"SELECT {by}, {_summed(USAGE)} FROM ({raw}) r ({by}, {sums}) GROUP BY {by}),"
        f" rolled AS (SELECT {by}, {_summed(USAGE)} FROM {USAGE.relation()} cells"
        " WHERE bucket_at >= %(period_start)s AND bucket_at < %(period_end)s"
        f" GROUP BY {by})"
        " SELECT to_char(bucket_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), cost_centre, tenant,"
        f" model, endpoint_tag, {_both(USAGE)} FROM raw FULL JOIN rolled USING ({by})"
        f" WHERE {_unequal(USAGE)} ORDER BY 1, 2, 3, 4, 5",
        parameters,
    ):
        yield Finding(
            "usage rollup",
            f"{at} {centre} {tenant or '(no tenant)'} {model} {tag or '(no endpoint)'}",
            _said(USAGE, cell),
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


def _summed(rollup: Rollup) -> str:
    return ", ".join(f"sum({name}) AS {name}" for name in rollup.sums)


def _both(rollup: Rollup) -> str:
    return ", ".join(f"{side}.{name}" for side in ("raw", "rolled") for name in rollup.sums)


def _unequal(rollup: Rollup) -> str:
    raw, rolled = (
        ", ".join(f"coalesce({side}.{name}, 0)" for name in rollup.sums)
        for side in ("raw", "rolled")
    )
    return f"({raw}) <> ({rolled})"


def _said(rollup: Rollup, cell: Sequence[Decimal | int | None]) -> str:
    """What differs in a cell of which the raw sums come first, then the rollup's."""
    differing = [
        (name, raw, rolled)
        for name, raw, rolled in zip(
            rollup.sums, cell[: len(rollup.sums)], cell[len(rollup.sums) :], strict=True
        )
        if (raw or 0) != (rolled or 0)
    ]
    sides = [
        "nothing"
        if all(side is None for side in values)
        else ", ".join(
            f"{name} {plain(Decimal(value or 0))}"
            for (name, *_), value in zip(differing, values, strict=True)
        )
        for values in ([raw for _, raw, _ in differing], [rolled for _, _, rolled in differing])
    ]
    return f"raw: {sides[0]}; rollup: {sides[1]}"


_DAYS: Final = (
    "day >= (%(period_start)s AT TIME ZONE 'UTC')::date"
    " AND day < (%(period_end)s AT TIME ZONE 'UTC')::date"
)


_WRITTEN: Final = (
    "greatest(coalesce(e.cache_write_tokens, 0), coalesce(e.cache_write_1h_tokens, 0))"
)
_CLASSES: Final = f"""
    SELECT 'input', greatest(0, coalesce(e.input_tokens, 0)::bigint
           - coalesce(e.cached_input_tokens, 0) - {_WRITTEN} - coalesce(e.audio_input_tokens, 0)
           - coalesce(e.image_input_tokens, 0))
    UNION ALL SELECT 'cache_read', e.cached_input_tokens
    UNION ALL SELECT 'cache_write', {_WRITTEN} - coalesce(e.cache_write_1h_tokens, 0)
    UNION ALL SELECT 'cache_write_1h', e.cache_write_1h_tokens
    UNION ALL SELECT 'input_audio', e.audio_input_tokens
    UNION ALL SELECT 'input_image', e.image_input_tokens
    UNION ALL SELECT 'output', greatest(0, coalesce(e.output_tokens, 0)::bigint
           - coalesce(e.audio_output_tokens, 0) - coalesce(e.image_output_tokens, 0))
    UNION ALL SELECT 'output_audio', e.audio_output_tokens
    UNION ALL SELECT 'output_image', e.image_output_tokens
    UNION ALL SELECT unit.key, unit.value::numeric FROM json_each_text(e.units) unit"""
"""What `domain.usage_classes` says of an event, in SQL."""


def _cells(events: str, parameters: dict[str, Any]) -> Iterator[Finding]:
    """Bill cells against the classes of the raw events, whoever owns them."""
    by = ", ".join(name for name in CELL.key if name not in ("tenant", "cost_centre"))
    cell = (
        "(e.occurred_at AT TIME ZONE 'UTC')::date AS day, e.provider, e.provider_project,"
        " coalesce(e.model_executed, e.model) AS model, token_class,"
        " CASE WHEN e.batch THEN 'batch' ELSE e.service_tier END AS tier"
    )
    for day, provider, model, token_class, *sums in rows(
        f"WITH raw AS (SELECT {by}, {_summed(CELL)} FROM ("
        f"SELECT {cell}, e.pricing, e.currency, 1 AS events, quantity, priced.cost FROM {events} e,"
        " json_array_elements(e.lines) line, LATERAL (SELECT line ->> 0 AS token_class,"
        " (line ->> 1)::numeric AS quantity, (line ->> 3)::numeric AS cost) priced"
        f" UNION ALL SELECT {cell},"
        " CASE e.pricing WHEN 'free' THEN 'free' ELSE 'unpriced' END, e.currency, 1, quantity, 0"
        # Fenced in, so that only these few events are taken apart.
        f" FROM (SELECT * FROM {events} e WHERE (lines IS NULL OR pricing_reason IS NOT NULL)"
        "  AND served_from <> 'caller_cache' OFFSET 0) e,"
        f" LATERAL ({_CLASSES}) used (token_class, quantity) WHERE quantity <> 0 AND NOT EXISTS"
        " (SELECT FROM json_array_elements(e.lines) line WHERE line ->> 0 = token_class)"
        f") r GROUP BY {by}),"
        f" rolled AS (SELECT {by}, {_summed(CELL)}"
        f" FROM {CELL.relation()} cells WHERE {_DAYS} GROUP BY {by})"
        f" SELECT day, provider, model, token_class, {_both(CELL)}"
        f" FROM raw FULL JOIN rolled USING ({by}) WHERE {_unequal(CELL)} ORDER BY 1, 2, 3, 4",
        parameters,
    ):
        yield Finding("cell rollup", f"{day} {provider} {model} {token_class}", _said(CELL, sums))


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
    by = ", ".join(USER.key)
    for day, centre, user, *sums in rows(
        f"WITH raw AS (SELECT {by}, {_summed(USER)} FROM (SELECT"
        " (occurred_at AT TIME ZONE 'UTC')::date"
        " AS day, tenant, cost_centre, user_pseudonym, user_kind, 1 AS events,"
        " coalesce(input_tokens, 0)::bigint + coalesce(output_tokens, 0) AS tokens,"
        f" coalesce(cost, 0) AS cost FROM {events} e WHERE user_pseudonym IS NOT NULL) r"
        f" GROUP BY {by}), rolled AS (SELECT {by}, {_summed(USER)} FROM {USER.relation()} u"
        f" WHERE {_DAYS} GROUP BY {by})"
        f" SELECT day, cost_centre, user_pseudonym, {_both(USER)}"
        f" FROM raw FULL JOIN rolled USING ({by}) WHERE {_unequal(USER)} ORDER BY 1, 2, 3",
        parameters,
    ):
        yield Finding("user rollup", f"{day} {centre} user {user}", _said(USER, sums))
