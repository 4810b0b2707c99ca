"""Daily aggregates against request rows, one by one: some days' cells, added up by Python.

The other checks add up all of a month, in SQL on both sides. This takes a few cells, reads the
requests beneath them as they are stored, and adds them up as a person with a list would.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import Any, Final, NamedTuple

from metering.bulk import stream
from metering.domain.money import EXACT, plain
from metering.domain.periods import Period
from metering.events import current
from metering.past_usage import one_snapshot
from metering.rollups import DAY
from metering.verification.findings import Finding, rows

CELLS: Final = 12
"""So many cells of the days are looked at in a month."""
LARGEST: Final = 5_000
"""Requests beneath a cell, at most: a larger one is left to the checks that add up in SQL."""

_KEY: Final = ", ".join(DAY.key)
_CHOSEN: Final = f"""
    SELECT {_KEY}, sum(events), sum(cost) FROM {DAY.relation()} days
    WHERE day >= (%(period_start)s AT TIME ZONE 'UTC')::date
      AND day < (%(period_end)s AT TIME ZONE 'UTC')::date
    GROUP BY {_KEY} HAVING sum(events) BETWEEN 1 AND {LARGEST}
    ORDER BY md5(concat_ws('|', %(draw)s::text, {_KEY})) LIMIT {CELLS}"""


def check(period: Period, *, draw: str) -> Iterator[Finding]:
    """Cells that are not the sum of their requests. The same `draw` chooses the same cells;
    another, others."""
    yield from _differing(period, draw)


def _differing(period: Period, draw: str) -> list[Finding]:
    """Days and requests as they stand at one moment."""
    found = []
    with one_snapshot(), localcontext(EXACT):
        for *key, events, cost in rows(_CHOSEN, {**_edges(period), "draw": draw}):
            cell = dict(zip(DAY.key, key, strict=True))
            requests, by_day = _by_request(period, cell), _Sum(int(events), cost)
            if requests != by_day:
                where = (cell["day"], cell["cost_centre"], cell["provider"], cell["model_executed"])
                found.append(
                    Finding(
                        "spot check",
                        " ".join(map(str, where)),
                        f"{requests} by request; {by_day} by day",
                    )
                )
    return found


class _Sum(NamedTuple):
    """How many requests, and what they cost."""

    events: int = 0
    cost: Decimal = Decimal(0)

    def __str__(self) -> str:
        return f"{self.events} requests, cost {plain(self.cost)}"


def _by_request(period: Period, cell: dict[str, Any]) -> _Sum:
    """A cell by its requests. A shared request counts where its last part is."""
    relation, parameters = current(period)
    alike = """e.occurred_at >= %(day)s::timestamp AT TIME ZONE 'UTC'
        AND e.occurred_at < (%(day)s::date + 1)::timestamp AT TIME ZONE 'UTC'
        AND e.provider = %(provider)s AND e.pricing = %(pricing)s AND e.currency = %(currency)s
        AND coalesce(e.model_executed, e.model) = %(model_executed)s"""
    query = f"""
        SELECT 1, e.cost FROM {relation} e
        WHERE {alike} AND e.shares IS NULL AND e.cost_centre = %(cost_centre)s
        UNION ALL
        SELECT (o.position = json_array_length(e.shares))::int, o.cost
        FROM {relation} e JOIN event_share o
          ON o.event_key = e.event_key AND o.revision = e.revision
        WHERE {alike} AND e.shares IS NOT NULL AND o.cost_centre = %(cost_centre)s"""
    found = _Sum()
    for events, cost in stream(query, {**parameters, **cell}):
        found = _Sum(found.events + events, found.cost + (cost or 0))
    return found


def _edges(period: Period) -> dict[str, Any]:
    return {"period_start": period.start, "period_end": period.end}
