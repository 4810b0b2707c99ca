"""Checks of what the events' cost lines say: bill cells, costs, and the price rows beneath them.

All lines are taken apart once. What they come to is held against the bill cells' rollup, whoever
owns them, against each event's cost, and against the prices that they name.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db import connection

from metering.bulk import stream
from metering.domain.money import EXACT
from metering.domain.periods import Period
from metering.domain.units import CLASS_OF_UNIT
from metering.events import current
from metering.models import PriceRow
from metering.pricing import catalogue
from metering.rollups import CELL
from metering.verification.findings import LIMIT, Finding, rows, said
from metering.verification.history_verification import changed

_UNROLLED: Final = 5
"""So many lines' amounts are added without a subquery, which costs more than they do; few calls
have more lines."""

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
    UNION ALL SELECT coalesce(%(class_of_unit)s::jsonb ->> unit.key, unit.key),
           unit.value::numeric FROM json_each_text(e.units) unit"""
"""What `domain.usage_classes` says of an event, in SQL."""

_CELL: Final = tuple(name for name in CELL.key if name not in ("tenant", "cost_centre"))
_KEY: Final = ", ".join(_CELL)
_OF_EVENT: Final = (
    "(e.occurred_at AT TIME ZONE 'UTC')::date AS day, e.provider, e.provider_project,"
    " coalesce(e.model_executed, e.model) AS model,"
    " CASE WHEN e.batch THEN 'batch' ELSE e.service_tier END AS tier"
)
_TOTAL: Final = (
    " + ".join(f"coalesce((e.all_lines -> {i} ->> 3)::numeric, 0)" for i in range(_UNROLLED))
    + f" + CASE WHEN jsonb_array_length(e.all_lines) > {_UNROLLED} THEN"
    " (SELECT coalesce(sum((line ->> 3)::numeric), 0)"
    f" FROM jsonb_array_elements(e.all_lines) WITH ORDINALITY each (line, place)"
    f" WHERE place > {_UNROLLED}) ELSE 0 END"
)
_DAYS: Final = (
    "day >= (%(period_start)s AT TIME ZONE 'UTC')::date"
    " AND day < (%(period_end)s AT TIME ZONE 'UTC')::date"
)


_NOTHING: Final = (None,) * len(CELL.sums)
_ZEROS: Final = [Decimal(0)] * len(CELL.sums)


@dataclass
class _Sums:
    """A cell's sums by the lines, and by the rollup; `None`: there is nothing of it."""

    raw: list[Decimal] | None = None
    rolled: list[Decimal] | None = None

    @property
    def differs(self) -> bool:
        return (self.raw or _ZEROS) != (self.rolled or _ZEROS)


@dataclass
class _Read:
    """What one pass over the lines has found."""

    cells: defaultdict[tuple[Any, ...], _Sums] = field(default_factory=lambda: defaultdict(_Sums))
    first_priced: dict[int, datetime] = field(default_factory=dict)
    miscounted: int = 0


def check(period: Period) -> Iterator[Finding]:
    """Bill cells, costs and price rows that are not what the period's cost lines say."""
    read = _read(period)
    differing = [key for key, sums in read.cells.items() if sums.differs]
    for key in sorted(differing, key=str)[:LIMIT]:
        cell, sums = dict(zip(_CELL, key, strict=True)), read.cells[key]
        yield Finding(
            "cell rollup",
            "{day} {provider} {model} {token_class}".format_map(cell),
            said(CELL.sums, [*(sums.raw or _NOTHING), *(sums.rolled or _NOTHING)]),
        )
    if read.miscounted:
        yield from _costs(period)
    yield from _price_rows(period, read.first_priced)


def _read(period: Period) -> _Read:
    """Take all lines apart, once, and add them up by cell and price row; the rollup's cells, as
    they stand at the same moment, beside them."""
    events, parameters = current(period)
    parameters |= {"class_of_unit": json.dumps(dict(CLASS_OF_UNIT))}
    query = f"""
        SELECT true, {_KEY}, price_row, count(*), sum(quantity), sum(cost), min(occurred_at),
               count(*) FILTER (WHERE miscounted) FROM (
            SELECT day, provider, provider_project, model, line ->> 0 AS token_class, tier,
                   pricing, currency, (line ->> 4)::bigint AS price_row,
                   (line ->> 1)::numeric AS quantity, (line ->> 3)::numeric AS cost,
                   occurred_at, miscounted
            FROM (
                SELECT *, jsonb_array_elements(all_lines) AS line
                FROM ({_WITH_LINES.format(events=events)}) e
            ) lines
            UNION ALL {_unpriced(events)}
        ) raw GROUP BY {_KEY}, price_row
        UNION ALL
        SELECT false, {_KEY}, NULL, sum(events), sum(quantity), sum(cost), NULL, 0
        FROM {CELL.relation()} cells WHERE {_DAYS} GROUP BY {_KEY}"""
    read = _Read()
    for row in stream(query, parameters):
        _add(read, *row)
    return read


# Each level is fenced in, so that what is of the call is worked out once, not for each line. A
# cost without any line is looked at as if it had one that says nothing.
_WITH_LINES: Final = f"""
    SELECT {_OF_EVENT}, e.pricing, e.currency, e.occurred_at, e.all_lines,
           e.cost IS NOT NULL AND {_TOTAL} <> e.cost AS miscounted
    FROM (
        SELECT occurred_at, provider, provider_project, model, model_executed, batch,
               service_tier, pricing, currency, cost,
               CASE WHEN lines IS NULL OR lines::text = '[]' THEN '[null]' ELSE lines::jsonb END
               AS all_lines
        FROM {{events}} every WHERE lines::text <> '[]' OR cost <> 0 OFFSET 0
    ) e OFFSET 0"""


def _unpriced(events: str) -> str:
    """What has no line, class by class."""
    return (
        "SELECT day, provider, provider_project, model, token_class, tier,"
        " CASE pricing WHEN 'free' THEN 'free' ELSE 'unpriced' END, currency, NULL, quantity, 0,"
        " NULL, false FROM ("
        f" SELECT {_OF_EVENT}, e.pricing, e.currency, token_class, quantity"
        # Fenced in, so that only these few events are taken apart.
        f" FROM (SELECT * FROM {events} e WHERE (lines IS NULL OR pricing_reason IS NOT NULL)"
        "  AND served_from <> 'caller_cache' OFFSET 0) e,"
        f" LATERAL ({_CLASSES}) used (token_class, quantity) WHERE quantity <> 0 AND NOT EXISTS"
        " (SELECT FROM json_array_elements(e.lines) line WHERE line ->> 0 = token_class)) unpriced"
    )


def _add(read: _Read, is_raw: Any, *row: Any) -> None:
    """Add one row of `_read`'s query."""
    key, (price_row, *sums, first_at, miscounted) = row[: len(_CELL)], row[len(_CELL) :]
    read.miscounted += miscounted
    if price_row is not None:
        read.first_priced[price_row] = min(first_at, read.first_priced.get(price_row, first_at))
    if sums[1:] == [None, None]:
        return
    cell = read.cells[key]
    known = (cell.raw if is_raw else cell.rolled) or _ZEROS
    total = [EXACT.add(a, Decimal(b or 0)) for a, b in zip(known, sums, strict=True)]
    if is_raw:
        cell.raw = total
    else:
        cell.rolled = total


def _costs(period: Period) -> Iterator[Finding]:
    """Which events' costs are not the sum of their lines."""
    events, parameters = current(period)
    for key, cost, total in rows(
        "SELECT event_key, cost, coalesce(sum(amount), 0) FROM ("
        # Expanded among the columns: as a relation of its own, each event's would be stored first.
        " SELECT event_key, cost, (json_array_elements(lines) ->> 3)::numeric AS amount"
        f" FROM {events} e WHERE cost IS NOT NULL"
        f" UNION ALL SELECT event_key, cost, 0 FROM {events} e"
        "  WHERE cost <> 0 AND (lines IS NULL OR lines::text = '[]')"
        " ) expanded GROUP BY 1, 2 HAVING coalesce(sum(amount), 0) <> cost ORDER BY 1",
        parameters,
    ):
        yield Finding("cost lines", f"event {key}", f"its lines sum to {total}, its cost is {cost}")


def _price_rows(period: Period, first_priced: dict[int, datetime]) -> Iterator[Finding]:
    """The price rows beneath the period's costs: there, begun in time, and as they were taken
    over."""
    used = sorted(first_priced)
    starts = dict(PriceRow.objects.filter(pk__in=used).values_list("pk", "valid_from"))
    for number in used:
        if number not in starts:
            first_key = _first_priced_by(number, period)
            yield Finding(
                "price row", f"price row {number}", f"is gone; event {first_key} names it"
            )
        elif (begins := starts[number]) is not None and first_priced[number] < begins:
            yield Finding(
                "price row",
                f"price row {number}",
                f"begins after event {_first_priced_by(number, period)}, which it priced",
            )
    for row in catalogue.changed_rows(used):
        yield Finding(
            "price row",
            f"price row {row.pk} ({row.provider}/{row.model_id})",
            "its model, prices or conditions are not those that were taken from the price list",
        )
    for change in changed("price_row", "t.id = ANY(%(used)s)", used=used):
        yield Finding("price row", f"price row {change.key}", change.what)
    for change in changed("price_list_import"):
        yield Finding("price list", f"price list import {change.key}", change.what)


def _first_priced_by(number: int, period: Period) -> str:
    """The first event of which a line names the price row."""
    events, parameters = current(period)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT event_key::text FROM {events} e, json_array_elements(e.lines) line"
            " WHERE (line ->> 4)::bigint = %(number)s ORDER BY occurred_at, event_key LIMIT 1",
            {**parameters, "number": number},
        )
        return str(cursor.fetchone()[0])
