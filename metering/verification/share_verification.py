"""Checks of shared calls: every stored share against the call that it is a part of.

Tokens and tenants were reported, so they are held against the report; a share's cost against what
its tokens come to, to within the one unit of 10^-18 a line that largest remainder may give. So are
those of calls that no longer count, and of how a call was valued before: old numbers are computed
again from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from metering.domain.periods import Period
from metering.domain.rollup import INPUT_SIDE, OUTPUT_SIDE, SHARE_SCALE
from metering.verification.findings import Finding, rows

_OF_SIDE: Final = "coalesce(sum((line ->> 3)::numeric) FILTER (WHERE {}), 0)"
_INPUT: Final = "split_part(line ->> 0, '@', 1) = ANY(%(input_side)s)"
_OUTPUT: Final = "split_part(line ->> 0, '@', 1) = ANY(%(output_side)s)"
_PART: Final = (
    "CASE WHEN {cost} = 0 THEN 0 WHEN {whole} > 0 THEN round({cost}, 24) * ({mine}) / ({whole})"
    " WHEN last THEN {cost} ELSE 0 END"
)
"""To 24 decimals at least: a quotient has no fewer than its dividend."""


_WITHIN: Final = "occurred_at >= %(period_start)s AND occurred_at < %(period_end)s"
_VALUED: Final = f"""
    SELECT event_key, 0 AS revision, occurred_at, tenant, cost_centre, cost, lines, shares,
           coalesce(input_tokens, 0)::bigint AS input_tokens,
           coalesce(output_tokens, 0)::bigint AS output_tokens
    FROM usage_event WHERE shares IS NOT NULL AND {_WITHIN}"""
"""Every shared call as it was valued when it came."""
_EVERY: Final = f"""
    WITH first AS MATERIALIZED ({_VALUED}),
    e AS MATERIALIZED (SELECT * FROM first UNION ALL
        SELECT r.event_key, r.revision, first.occurred_at, r.tenant, r.cost_centre, r.cost, r.lines,
               first.shares, first.input_tokens, first.output_tokens
        FROM event_revision r JOIN first ON first.event_key = r.event_key)"""
"""… and as it was valued anew, each time."""


def check(period: Period) -> Iterator[Finding]:
    """Every share of the period's calls: there, its tenant's, and with its tokens and cost."""
    parameters = {
        "period_start": period.start,
        "period_end": period.end,
        "input_side": sorted(INPUT_SIDE),
        "output_side": sorted(OUTPUT_SIDE),
    }
    exact = " + ".join(
        _PART.format(cost=f"c.of_{side}", mine=mine, whole=whole)
        for side, mine, whole in (
            ("input", "s.input_tokens", "e.input_tokens"),
            ("output", "s.output_tokens", "e.output_tokens"),
            ("both", "s.input_tokens + s.output_tokens", "e.input_tokens + e.output_tokens"),
        )
    )
    for key, revision, position, has, wants in rows(
        f"{_EVERY}, c AS (SELECT e.event_key, e.revision, count(line) AS lines,"
        f"  {_OF_SIDE.format(_INPUT)} AS of_input, {_OF_SIDE.format(_OUTPUT)} AS of_output,"
        f"  {_OF_SIDE.format(f'NOT ({_INPUT}) AND NOT ({_OUTPUT})')} AS of_both"
        "  FROM (SELECT event_key, revision, jsonb_array_elements(lines::jsonb) AS line FROM e"
        "   UNION ALL SELECT event_key, revision, NULL FROM e) e GROUP BY 1, 2),"
        " shared AS MATERIALIZED (SELECT first.event_key, (place - 1)::int AS position, t.tenant,"
        "   t.input_tokens, t.output_tokens FROM first, ROWS FROM (json_to_recordset(first.shares)"
        "   AS (tenant_id text, input_tokens bigint, output_tokens bigint))"
        "   WITH ORDINALITY t (tenant, input_tokens, output_tokens, place)),"
        " given AS (SELECT event_key, sum(input_tokens)::bigint AS input_tokens,"
        "   sum(output_tokens)::bigint AS output_tokens FROM shared GROUP BY 1),"
        " reported AS (SELECT event_key, revision, position, shared.tenant, NULL AS cost_centre,"
        "   shared.input_tokens, shared.output_tokens, e.occurred_at, false AS last"
        "  FROM shared JOIN e USING (event_key)"
        "  UNION ALL SELECT event_key, revision, json_array_length(e.shares), e.tenant,"
        "   e.cost_centre, e.input_tokens - given.input_tokens,"
        "   e.output_tokens - given.output_tokens, e.occurred_at, true"
        "  FROM e LEFT JOIN given USING (event_key)),"
        f" stored AS (SELECT * FROM event_share WHERE {_WITHIN})"
        " SELECT event_key, revision, position, CASE WHEN s.tenant IS NOT NULL THEN"
        f"  concat_ws(', ', {_said('s')}) END, CASE WHEN r.tenant IS NOT NULL THEN"
        f"  concat_ws(', ', {_said('r')}, CASE WHEN e.cost IS NOT NULL THEN 'cost '"
        f"  || trim_scale(round({exact}, {SHARE_SCALE})) END) END"
        " FROM reported r FULL JOIN stored s USING (event_key, revision, position)"
        " LEFT JOIN e USING (event_key, revision) LEFT JOIN c USING (event_key, revision)"
        " WHERE (s.tenant, s.input_tokens, s.output_tokens, s.occurred_at)"
        "  IS DISTINCT FROM (r.tenant, r.input_tokens, r.output_tokens, r.occurred_at)"
        " OR s.cost_centre <> r.cost_centre OR (s.cost IS NULL) <> (e.cost IS NULL)"
        f" OR abs(s.cost - ({exact})) > greatest(c.lines, 1) * 1e-{SHARE_SCALE} ORDER BY 1, 2, 3",
        parameters,
    ):
        yield Finding(
            "shares",
            _where(key, revision, f" share {position}"),
            f"it is stored as {has or 'no row'}; the call gives it {wants or 'nothing'}",
        )
    for key, revision, cost, total in rows(
        f"{_EVERY} SELECT event_key, revision, e.cost, total FROM e JOIN (SELECT event_key,"
        f"  revision, sum(cost) AS total FROM event_share WHERE {_WITHIN}"
        "  GROUP BY 1, 2) s USING (event_key, revision)"
        " WHERE e.cost IS NOT NULL AND total <> e.cost ORDER BY 1, 2",
        parameters,
    ):
        yield Finding(
            "shares", _where(key, revision), f"its shares sum to {total}, its cost is {cost}"
        )


def _where(key: object, revision: int, share: str = "") -> str:
    return f"event {key}{f' revision {revision}' if revision else ''}{share}"


def _said(row: str) -> str:
    """What tells one share from another, in words; only of what was stored is the cost known."""
    cost = f", 'cost ' || trim_scale({row}.cost)" if row == "s" else ""
    return (
        f"'tenant ' || {row}.tenant, 'cost centre ' || {row}.cost_centre,"
        f" {row}.input_tokens || ' input', {row}.output_tokens || ' output',"
        f" 'at ' || {row}.occurred_at{cost}"
    )
