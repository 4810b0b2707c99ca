"""Checks of shared calls: every stored share against the call that it is a part of.

Tokens and tenants were reported, so they are held against the report; a share's cost against what
its tokens come to, to within the one unit of 10^-18 a line that largest remainder may give.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from metering.domain.periods import Period
from metering.domain.rollup import INPUT_SIDE, OUTPUT_SIDE, SHARE_SCALE
from metering.events import current
from metering.verification.findings import Finding, rows

_OF_SIDE: Final = "coalesce(sum((line ->> 3)::numeric) FILTER (WHERE {}), 0)"
_INPUT: Final = "split_part(line ->> 0, '@', 1) = ANY(%(input_side)s)"
_OUTPUT: Final = "split_part(line ->> 0, '@', 1) = ANY(%(output_side)s)"
_PART: Final = (
    "CASE WHEN {cost} = 0 THEN 0 WHEN {whole} > 0 THEN round({cost}, 24) * ({mine}) / ({whole})"
    " WHEN last THEN {cost} ELSE 0 END"
)
"""To 24 decimals at least: a quotient has no fewer than its dividend."""


def check(period: Period) -> Iterator[Finding]:
    """Every share of the period's calls: there, its tenant's, and with its tokens and cost."""
    events, parameters = current(period)
    parameters |= {"input_side": sorted(INPUT_SIDE), "output_side": sorted(OUTPUT_SIDE)}
    exact = " + ".join(
        _PART.format(cost=f"c.of_{side}", mine=mine, whole=whole)
        for side, mine, whole in (
            ("input", "s.input_tokens", "e.input_tokens"),
            ("output", "s.output_tokens", "e.output_tokens"),
            ("both", "s.input_tokens + s.output_tokens", "e.input_tokens + e.output_tokens"),
        )
    )
    for key, position, has, wants in rows(
        "WITH e AS MATERIALIZED (SELECT event_key, revision, tenant, cost_centre, cost, lines,"
        "  shares, coalesce(input_tokens, 0)::bigint AS input_tokens,"
        f"  coalesce(output_tokens, 0)::bigint AS output_tokens FROM {events} e"
        "  WHERE shares IS NOT NULL),"
        " c AS (SELECT e.event_key, count(line) AS lines,"
        f"  {_OF_SIDE.format(_INPUT)} AS of_input, {_OF_SIDE.format(_OUTPUT)} AS of_output,"
        f"  {_OF_SIDE.format(f'NOT ({_INPUT}) AND NOT ({_OUTPUT})')} AS of_both"
        "  FROM (SELECT event_key, jsonb_array_elements(lines::jsonb) AS line FROM e"
        "   UNION ALL SELECT event_key, NULL FROM e) e GROUP BY 1),"
        " shared AS MATERIALIZED (SELECT e.event_key, (place - 1)::int AS position, t.tenant,"
        "   t.input_tokens, t.output_tokens FROM e, ROWS FROM (json_to_recordset(e.shares)"
        "   AS (tenant_id text, input_tokens bigint, output_tokens bigint))"
        "   WITH ORDINALITY t (tenant, input_tokens, output_tokens, place)),"
        " given AS (SELECT event_key, sum(input_tokens)::bigint AS input_tokens,"
        "   sum(output_tokens)::bigint AS output_tokens FROM shared GROUP BY 1),"
        " reported AS (SELECT event_key, position, tenant, NULL AS cost_centre, input_tokens,"
        "   output_tokens, false AS last FROM shared"
        "  UNION ALL SELECT event_key, json_array_length(e.shares), e.tenant, e.cost_centre,"
        "   e.input_tokens - given.input_tokens, e.output_tokens - given.output_tokens, true"
        "  FROM e LEFT JOIN given USING (event_key)),"
        " stored AS (SELECT s.* FROM event_share s JOIN e USING (event_key, revision))"
        " SELECT event_key, position, CASE WHEN s.tenant IS NOT NULL THEN"
        f"  concat_ws(', ', {_said('s')}) END, CASE WHEN r.tenant IS NOT NULL THEN"
        f"  concat_ws(', ', {_said('r')}, CASE WHEN e.cost IS NOT NULL THEN 'cost '"
        f"  || trim_scale(round({exact}, {SHARE_SCALE})) END) END"
        " FROM reported r FULL JOIN stored s USING (event_key, position)"
        " JOIN e USING (event_key) JOIN c USING (event_key)"
        " WHERE (s.tenant, s.input_tokens, s.output_tokens)"
        "  IS DISTINCT FROM (r.tenant, r.input_tokens, r.output_tokens)"
        " OR s.cost_centre <> r.cost_centre OR (s.cost IS NULL) <> (e.cost IS NULL)"
        f" OR abs(s.cost - ({exact})) > greatest(c.lines, 1) * 1e-{SHARE_SCALE} ORDER BY 1, 2",
        parameters,
    ):
        yield Finding(
            "shares",
            f"event {key} share {position}",
            f"it is stored as {has or 'no row'}; the call gives it {wants or 'nothing'}",
        )
    for key, cost, total in rows(
        f"SELECT e.event_key, e.cost, total FROM {events} e JOIN (SELECT event_key, revision,"
        "  sum(cost) AS total FROM event_share WHERE occurred_at >= %(period_start)s"
        "  AND occurred_at < %(period_end)s GROUP BY 1, 2) s USING (event_key, revision)"
        " WHERE e.cost IS NOT NULL AND total <> e.cost ORDER BY 1",
        parameters,
    ):
        yield Finding("shares", f"event {key}", f"its shares sum to {total}, its cost is {cost}")


def _said(row: str) -> str:
    """What tells one share from another, in words; only of what was stored is the cost known."""
    cost = f", 'cost ' || trim_scale({row}.cost)" if row == "s" else ""
    return (
        f"'tenant ' || {row}.tenant, 'cost centre ' || {row}.cost_centre,"
        f" {row}.input_tokens || ' input', {row}.output_tokens || ' output'{cost}"
    )
