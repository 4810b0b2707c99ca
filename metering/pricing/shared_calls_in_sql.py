"""Dividing what differs of a shared call among its owners, by the database itself.

The rule is that of `domain.rollup.parts`: the amount of each class, in units of 10^-18, is divided
by the owners' tokens (what goes in by input tokens, what comes out by output tokens), by largest
remainder, equal remainders by position. The tokens and owners are those that were stored with the
call's latest revision (`event_share`), whose positions are the shares' in their order and last the
event's own owner.

Most amounts are a price for each token and divide without a remainder. So the whole units of each
part are worked out first, all classes of a part in one row, and only those amounts are looked at
again of which units are left over.
"""

from __future__ import annotations

from typing import Final

from metering.domain.rollup import SHARE_SCALE
from metering.pricing.ratings_in_sql import CLASSES

_UNITS: Final = "1" + "0" * SHARE_SCALE
_UNIT: Final = f"0.{'1':0>{SHARE_SCALE}}"
_DIVIDED: Final = tuple(f"{name}_{when}" for when in ("before", "amount") for name in CLASSES)
"""The amounts that are divided, of classes before and now."""


def _tokens_of(name: str) -> str:
    return "output_tokens" if name.startswith("output_") else "input_tokens"


def _whole_of(name: str) -> str:
    return "output_whole" if name.startswith("output_") else "input_whole"


_IN_UNITS: Final = ", ".join(
    (
        *(
            f"CASE WHEN e.{name} > 0 THEN {_UNITS} * e.{name} END AS {name}_units"
            for name in _DIVIDED
        ),
        *(f"e.{side}_tokens::numeric AS {side}_whole" for side in ("input", "output")),
    )
)
_WHOLE: Final = ", ".join(
    f"div(e.{name}_units * s.{_tokens_of(name)}, e.{_whole_of(name)}) AS {name}"
    for name in _DIVIDED
)
_LEFT: Final = ", ".join(f"e.{name}_units - w.{name} AS {name}" for name in _DIVIDED)
_SUMS: Final = ", ".join(f"sum({name}) AS {name}" for name in _DIVIDED)
_IS_LEFT: Final = " OR ".join(f"e.{name}_units > w.{name}" for name in _DIVIDED)
_EACH_LEFT: Final = ", ".join(
    f"('{name}', l.{name}, CASE WHEN l.{name} > 0 THEN"
    f" mod(e.{name}_units * s.{_tokens_of(name)}, e.{_whole_of(name)}) END)"
    for name in _DIVIDED
)
_MORE_UNITS: Final = ", ".join(
    f"count(*) FILTER (WHERE p.name = '{name}') AS {name}" for name in _DIVIDED
)
_OF_PART: Final = {name: f"coalesce(w.{name}, 0) + coalesce(u.{name}, 0)" for name in _DIVIDED}
_MORE: Final = ", ".join(
    f"{_UNIT} * ({_OF_PART[f'{name}_amount']} - ({_OF_PART[f'{name}_before']})) AS {name}_more"
    for name in CLASSES
)
_COST: Final = f"{_UNIT} * ({' + '.join(_OF_PART[f'{name}_amount'] for name in CLASSES)})"

DIVIDED: Final = f"""
    shared AS MATERIALIZED (
        SELECT e.*, {_IN_UNITS} FROM changed e WHERE e.is_plain AND e.is_shared),
    whole AS MATERIALIZED (
        SELECT s.event_key, s.position, s.tenant, s.cost_centre, s.input_tokens, s.output_tokens,
            {_WHOLE}
        FROM shared e JOIN event_share s ON s.event_key = e.event_key AND s.revision = e.revision
            AND s.occurred_at >= %(period_start)s AND s.occurred_at < %(period_end)s),
    left_over AS MATERIALIZED (
        SELECT e.event_key, {_LEFT}
        FROM shared e JOIN (SELECT event_key, {_SUMS} FROM whole GROUP BY event_key) w
            USING (event_key)
        WHERE {_IS_LEFT}),
    further AS (
        SELECT p.event_key, p.position, {_MORE_UNITS} FROM (
            SELECT s.event_key, s.position, c.name, c.units, row_number() OVER (
                PARTITION BY s.event_key, c.name ORDER BY c.remainder DESC, s.position) AS place
            FROM left_over l JOIN shared e USING (event_key) JOIN whole s USING (event_key),
                LATERAL (VALUES {_EACH_LEFT}) c (name, units, remainder)
            WHERE c.units > 0
        ) p WHERE p.place <= p.units GROUP BY p.event_key, p.position),
    divided AS MATERIALIZED (
        SELECT w.event_key, w.position, w.tenant, w.cost_centre, w.input_tokens, w.output_tokens,
            {_COST} AS cost, {_MORE}
        FROM whole w LEFT JOIN further u USING (event_key, position))"""
"""Common table expressions over `changed` (`revisions_in_sql`): `shared` are the plain shared
calls among them; `divided` has each owner's part of each, with its cost now and how much `more`
each class costs."""
