"""Dividing what differs of a shared call among its owners, by the database itself.

The rule is that of `domain.rollup.parts`: the amount of each class, in units of 10^-18, is divided
by the owners' tokens (what goes in by input tokens, what comes out by output tokens), by largest
remainder, equal remainders by position. The tokens and owners are those that were stored with the
call's latest revision (`event_share`), whose positions are the shares' in their order and last the
event's own owner.
"""

from __future__ import annotations

from typing import Final

from metering.domain.rollup import SHARE_SCALE
from metering.pricing.ratings_in_sql import CLASSES

_UNITS: Final = "1" + "0" * SHARE_SCALE
_UNIT: Final = f"0.{'1':0>{SHARE_SCALE}}"
_AMOUNTS: Final = (
    *((f"{name}_before", name) for name in CLASSES),
    *((f"{name}_amount", name) for name in CLASSES),
)
_NUMBERS_OF_OUTPUT: Final = ", ".join(
    str(number) for number, (_, of) in enumerate(_AMOUNTS) if of == "output"
)


def _sum_of(*names: str) -> str:
    numbers = ", ".join(str(n) for n, (name, _) in enumerate(_AMOUNTS) if name in names)
    return f"coalesce(sum(p.units) FILTER (WHERE p.number IN ({numbers})), 0)"


_MORE: Final = ", ".join(
    f"{_UNIT} * ({_sum_of(f'{name}_amount')} - {_sum_of(f'{name}_before')}) AS {name}_more"
    for name in CLASSES
)
_COST: Final = f"{_UNIT} * {_sum_of(*(f'{name}_amount' for name in CLASSES))}"

DIVIDED: Final = f"""
    parts AS MATERIALIZED (
        SELECT e.event_key, s.position, s.tenant, s.cost_centre, s.input_tokens, s.output_tokens
        FROM changed e JOIN event_share s ON s.event_key = e.event_key AND s.revision = e.revision
            AND s.occurred_at >= %(period_start)s AND s.occurred_at < %(period_end)s
        WHERE e.is_plain AND e.is_shared),
    amounts AS MATERIALIZED (
        SELECT t.event_key, t.number, t.total, t.number IN ({_NUMBERS_OF_OUTPUT}) AS is_of_output,
            CASE WHEN t.number IN ({_NUMBERS_OF_OUTPUT}) THEN t.output_tokens
                ELSE t.input_tokens END AS tokens
        FROM (
            SELECT e.event_key, e.input_tokens, e.output_tokens,
                {_UNITS} * unnest(ARRAY[{", ".join(f"e.{name}" for name, _ in _AMOUNTS)}]) AS total,
                generate_series(0, {len(_AMOUNTS) - 1}) AS number
            FROM changed e WHERE e.is_plain AND e.is_shared
        ) t WHERE t.total > 0),
    floors AS (
        SELECT t.event_key, t.number, t.position, t.total, div(t.share, t.tokens) AS units,
            mod(t.share, t.tokens) AS remainder
        FROM (
            SELECT t.event_key, t.number, p.position, t.total, t.tokens, t.total
                * CASE WHEN t.is_of_output THEN p.output_tokens ELSE p.input_tokens END AS share
            FROM amounts t JOIN parts p USING (event_key) OFFSET 0
        ) t),
    portions AS (
        SELECT p.event_key, p.number, p.position, p.units + (
            row_number() OVER (PARTITION BY p.event_key, p.number
                ORDER BY p.remainder DESC, p.position)
            <= p.total - sum(p.units) OVER (PARTITION BY p.event_key, p.number)
        )::int AS units
        FROM floors p),
    divided AS MATERIALIZED (
        SELECT p.*, coalesce(d.cost, 0) AS cost,
            {", ".join(f"coalesce(d.{name}_more, 0) AS {name}_more" for name in CLASSES)}
        FROM parts p LEFT JOIN (
            SELECT p.event_key, p.position, {_COST} AS cost, {_MORE}
            FROM portions p GROUP BY p.event_key, p.position
        ) d USING (event_key, position))"""
"""Common table expressions over `changed` (`revisions_in_sql`): `divided` has each owner's part of
each shared call among them, with its cost now and how much `more` each class costs."""
