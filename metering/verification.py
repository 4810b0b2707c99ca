"""Checks of metering's own promises from the raw rows: which row, cell or bucket does not hold.

Every check recomputes a number by a second route (SQL where the first was Python, raw events
where the first was a rollup) and yields a `Finding` for each difference, at most `LIMIT` a check.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from django.db import connection

from metering import seals
from metering.domain.periods import Month, Period
from metering.event_rows import SEALED, VALUED
from metering.events import current
from metering.rollups import CELL, USAGE

LIMIT: Final = 20


class Finding(NamedTuple):
    """Something that does not hold: which check, which row, and how it differs."""

    check: str
    where: str
    what: str


def _digest_text(columns: tuple[tuple[str, str], ...], alias: str) -> str:
    """The columns as the text that `event_rows` digests: tab-separated, NULL as \\x1e."""
    parts = []
    for name, kind in columns:
        column = f"{alias}.{name}"
        if kind == "timestamptz":
            text = f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')"
        elif kind == "numeric":
            text = f"trim_scale({column})::text"
        else:
            text = f"{column}::text"
        parts.append(f"coalesce({text}, E'\\x1e')")
    return " || E'\\t' || ".join(parts)


def _sha256(text: str) -> str:
    return f"sha256(convert_to({text}, 'UTF8'))"


def check_month(month: Month) -> Iterator[Finding]:
    """All of metering's checks over one UTC month."""
    period = month.period
    yield from _digests(period)
    yield from _ledger(period)
    yield from _lines(period)
    yield from _rollups(period)
    for found in seals.broken(month):
        yield Finding(f"seal of the {found.book} book", str(month), found.what)


def _rows(sql: str, parameters: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} LIMIT {LIMIT}", parameters)
        yield from cursor.fetchall()


def _bounds(period: Period) -> dict[str, Any]:
    return {"period_start": period.start, "period_end": period.end}


_WITHIN: Final = "occurred_at >= %(period_start)s AND occurred_at < %(period_end)s"


def _digests(period: Period) -> Iterator[Finding]:
    sealed = _sha256(_digest_text(SEALED, "e"))
    for (key,) in _rows(
        f"SELECT event_key FROM usage_event e WHERE {_WITHIN} AND seal_digest <> {sealed}"
        " ORDER BY event_key",
        _bounds(period),
    ):
        yield Finding("event digest", f"event {key}", "what was reported has been changed")
    valued = _digest_text(VALUED, "e")
    first = _sha256("e.event_key || E'\\t0\\t' || " + valued)
    later = _sha256("e.event_key || E'\\t' || e.revision || E'\\t' || " + valued)
    for key, revision in _rows(
        "SELECT event_key, revision FROM ("
        f" SELECT event_key, 0 AS revision, value_digest <> {first} AS differs"
        f" FROM usage_event e WHERE {_WITHIN}"
        f" UNION ALL SELECT event_key, revision, value_digest <> {later}"
        f" FROM event_revision e WHERE {_WITHIN}) d WHERE differs ORDER BY 1, 2",
        _bounds(period),
    ):
        yield Finding(
            "value digest",
            f"event {key} revision {revision}",
            "its owner, price or cost has been changed",
        )


def _ledger(period: Period) -> Iterator[Finding]:
    for key, in_ledger in _rows(
        "SELECT coalesce(e.event_key, l.event_key), l.event_key IS NOT NULL"
        f" FROM (SELECT event_key FROM usage_event WHERE {_WITHIN}) e"
        f" FULL JOIN (SELECT event_key FROM event_ledger WHERE {_WITHIN}) l"
        " ON l.event_key = e.event_key WHERE e.event_key IS NULL OR l.event_key IS NULL ORDER BY 1",
        _bounds(period),
    ):
        yield Finding(
            "ledger",
            f"event {key}",
            "its key is claimed but the event is gone"
            if in_ledger
            else "the event is there but its key was never claimed",
        )


def _lines(period: Period) -> Iterator[Finding]:
    events, parameters = current(period)
    for key, cost, total in _rows(
        "SELECT event_key, cost, total FROM ("
        " SELECT e.event_key, e.cost, (SELECT coalesce(sum((line ->> 3)::numeric), 0)"
        "  FROM json_array_elements(e.lines) line) AS total"
        f" FROM {events} e WHERE e.cost IS NOT NULL) sums WHERE cost <> total ORDER BY 1",
        parameters,
    ):
        yield Finding("cost lines", f"event {key}", f"its lines sum to {total}, its cost is {cost}")
    for key, cost, total in _rows(
        "SELECT e.event_key, e.cost, sum(s.cost) FROM"
        f" {events} e JOIN event_share s ON s.event_key = e.event_key AND s.revision = e.revision"
        " WHERE e.cost IS NOT NULL GROUP BY 1, 2 HAVING sum(s.cost) <> e.cost ORDER BY 1",
        parameters,
    ):
        yield Finding("shares", f"event {key}", f"its shares sum to {total}, its cost is {cost}")


def _rollups(period: Period) -> Iterator[Finding]:
    """Rollups against raw events, by owner and day, and by bill cell."""
    events, parameters = current(period)
    raw = f"""
        SELECT (occurred_at AT TIME ZONE 'UTC')::date AS day, tenant, cost_centre, 1 AS events,
               coalesce(input_tokens, 0) AS input_tokens, coalesce(output_tokens, 0)
               AS output_tokens, coalesce(cost, 0) AS cost
        FROM {events} e WHERE shares IS NULL
        UNION ALL
        SELECT (e.occurred_at AT TIME ZONE 'UTC')::date, s.tenant, s.cost_centre,
               (s.position = json_array_length(e.shares))::int, s.input_tokens, s.output_tokens,
               coalesce(s.cost, 0)
        FROM {events} e JOIN event_share s
          ON s.event_key = e.event_key AND s.revision = e.revision
        WHERE e.shares IS NOT NULL"""
    sums = "sum(events) AS events, sum(input_tokens) AS input_tokens,"
    sums += " sum(output_tokens) AS output_tokens, sum(cost) AS cost"
    for day, tenant, centre, *numbers in _rows(
        f"WITH raw AS (SELECT day, tenant, cost_centre, {sums} FROM ({raw}) r GROUP BY 1, 2, 3),"
        " rolled AS (SELECT (bucket_at AT TIME ZONE 'UTC')::date AS day, tenant, cost_centre,"
        f" {sums} FROM {USAGE.relation()} cells"
        " WHERE bucket_at >= %(period_start)s AND bucket_at < %(period_end)s GROUP BY 1, 2, 3)"
        " SELECT day, tenant, cost_centre, raw.events, rolled.events, raw.cost, rolled.cost"
        " FROM raw FULL JOIN rolled USING (day, tenant, cost_centre)"
        " WHERE (coalesce(raw.events, 0), coalesce(raw.input_tokens, 0),"
        "  coalesce(raw.output_tokens, 0), coalesce(raw.cost, 0)) <>"
        " (coalesce(rolled.events, 0), coalesce(rolled.input_tokens, 0),"
        "  coalesce(rolled.output_tokens, 0), coalesce(rolled.cost, 0)) ORDER BY 1, 2, 3",
        parameters,
    ):
        n, rolled_n, cost, rolled_cost = numbers
        yield Finding(
            "usage rollup",
            f"{day} {centre} {tenant or '(no tenant)'}",
            f"raw: {n} events, cost {cost}; rollup: {rolled_n} events, cost {rolled_cost}",
        )
    yield from _cells(events, parameters)


def _cells(events: str, parameters: dict[str, Any]) -> Iterator[Finding]:
    for day, provider, model, token_class, quantity, rolled_quantity, cost, rolled_cost in _rows(
        "WITH raw AS (SELECT (e.occurred_at AT TIME ZONE 'UTC')::date AS day, e.provider,"
        " coalesce(e.model_executed, e.model) AS model, line ->> 0 AS token_class,"
        " sum((line ->> 1)::numeric) AS quantity, sum((line ->> 3)::numeric) AS cost"
        f" FROM {events} e, json_array_elements(e.lines) line GROUP BY 1, 2, 3, 4),"
        " rolled AS (SELECT day, provider, model, token_class, sum(quantity) AS quantity,"
        f" sum(cost) AS cost FROM {CELL.relation()} cells"
        " WHERE day >= (%(period_start)s AT TIME ZONE 'UTC')::date"
        " AND day < (%(period_end)s AT TIME ZONE 'UTC')::date AND pricing = 'priced'"
        " GROUP BY 1, 2, 3, 4)"
        " SELECT day, provider, model, token_class, raw.quantity, rolled.quantity,"
        " raw.cost, rolled.cost FROM raw FULL JOIN rolled"
        " USING (day, provider, model, token_class)"
        " WHERE (coalesce(raw.quantity, 0), coalesce(raw.cost, 0)) <>"
        " (coalesce(rolled.quantity, 0), coalesce(rolled.cost, 0)) ORDER BY 1, 2, 3, 4",
        parameters,
    ):
        yield Finding(
            "cell rollup",
            f"{day} {provider} {model} {token_class}",
            f"raw: {quantity} at {cost}; rollup: {rolled_quantity} at {rolled_cost}",
        )
