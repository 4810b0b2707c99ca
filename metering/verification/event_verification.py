"""Checks of metering's own promises from the raw rows: which row, cell or bucket does not hold.

Every check recomputes a number by a second route (SQL where the first was Python, raw events
where the first was a rollup) and yields a `Finding` for each difference, at most `LIMIT` a check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from metering import seal_chain, seals
from metering.domain.periods import Month, Period
from metering.event_rows import SEALED, VALUED
from metering.events import current
from metering.models import Seal
from metering.pricing import catalogue
from metering.verification import (
    history_verification,
    rollup_verification,
    share_verification,
    spot_checks,
)
from metering.verification.findings import Finding, rows


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


def checks(month: Month) -> dict[str, Callable[[], Iterator[Finding]]]:
    """Metering's checks over one UTC month, by name; none depends on another."""
    period = month.period
    return {
        "rollups": lambda: rollup_verification.check(period),
        "requests of some days": lambda: spot_checks.check(period, draw=str(timezone.now().date())),
        "chain of seals": lambda: seal_chain.check(month),
        "seals": lambda: _seals(month),
        "event digests": lambda: _digests(period),
        "cost lines": lambda: _lines(period),
        "shares": lambda: share_verification.check(period),
        "price rows": lambda: _price_rows(period),
        "ledger": lambda: _ledger(period),
        "dispositions": lambda: _successors(period),
    }


def check_month(month: Month) -> Iterator[Finding]:
    """All of metering's checks over one UTC month, one after the other."""
    for check in checks(month).values():
        yield from check()


def _seals(month: Month) -> Iterator[Finding]:
    for found in seals.broken(month):
        yield Finding(f"seal of the {found.book} book", str(month), found.what)


def unsealed_books(month: Month) -> list[str]:
    """The books in which the month has no seal."""
    sealed = set(Seal.objects.filter(month=str(month)).values_list("book", flat=True))
    return sorted(set(seals.BOOKS) - sealed)


def _bounds(period: Period) -> dict[str, Any]:
    return {"period_start": period.start, "period_end": period.end}


_WITHIN: Final = "occurred_at >= %(period_start)s AND occurred_at < %(period_end)s"


def _digests(period: Period) -> Iterator[Finding]:
    sealed = _sha256(_digest_text(SEALED, "e"))
    for (key,) in rows(
        f"SELECT event_key FROM usage_event e WHERE {_WITHIN} AND seal_digest <> {sealed}"
        " ORDER BY event_key",
        _bounds(period),
    ):
        yield Finding("event digest", f"event {key}", "what was reported has been changed")
    valued = _digest_text(VALUED, "e")
    first = _sha256("e.event_key || E'\\t0\\t' || " + valued)
    later = _sha256("e.event_key || E'\\t' || e.revision || E'\\t' || " + valued)
    for key, revision in rows(
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
    for key, in_ledger in rows(
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


def _successors(period: Period) -> Iterator[Finding]:
    """What took an event's place is there; nothing is merged into nothing."""
    for key, by in rows(
        "SELECT event_key, superseded_by FROM event_disposition d"
        f" WHERE {_WITHIN} AND superseded_by IS NOT NULL AND NOT EXISTS"
        " (SELECT FROM event_ledger l WHERE l.event_key = d.superseded_by) ORDER BY 1, 2",
        _bounds(period),
    ):
        yield Finding(
            "dispositions", f"event {key}", f"event {by}, which took its place, is not there"
        )
    for (key,) in rows(
        "SELECT event_key FROM event_disposition"
        f" WHERE {_WITHIN} AND state = 'merged' AND superseded_by IS NULL ORDER BY 1",
        _bounds(period),
    ):
        yield Finding("dispositions", f"event {key}", "is merged into nothing")


def _lines(period: Period) -> Iterator[Finding]:
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


def _price_rows(period: Period) -> Iterator[Finding]:
    """The price rows beneath the period's costs: there, begun in time, and as they were taken
    over."""
    events, parameters = current(period)
    used: set[int] = set()
    for number, starts, first_key, early in _priced_by(events, parameters):
        used.add(number)
        if starts is None:
            yield Finding(
                "price row", f"price row {number}", f"is gone; event {first_key} names it"
            )
        elif early:
            yield Finding(
                "price row", f"price row {number}", f"begins after event {early}, which it priced"
            )
    for row in catalogue.changed_rows(used):
        yield Finding(
            "price row",
            f"price row {row.pk} ({row.provider}/{row.model_id})",
            "its model, prices or conditions are not those that were taken from the price list",
        )
    for change in history_verification.changed("price_row", "t.id = ANY(%(used)s)", used=[*used]):
        yield Finding("price row", f"price row {change.key}", change.what)
    for change in history_verification.changed("price_list_import"):
        yield Finding("price list", f"price list import {change.key}", change.what)


def _priced_by(
    events: str, parameters: dict[str, Any]
) -> list[tuple[int, str | None, str, str | None]]:
    """Every price row that a line names: when it begins (`None`: there is no such row), an event
    that names it, and one that came before it began."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.price_row, CASE WHEN p.id IS NOT NULL"
            " THEN coalesce(p.valid_from::text, '-infinity') END, l.event,"
            " l.first_at < p.valid_from FROM ("
            "  SELECT price_row, min(occurred_at) AS first_at, min(event_key::text) AS event FROM ("
            "   SELECT (json_array_elements(lines) ->> 4)::bigint AS price_row, occurred_at,"
            f"   event_key FROM {events} e WHERE lines IS NOT NULL) expanded"
            "  WHERE price_row IS NOT NULL GROUP BY 1"
            " ) l LEFT JOIN price_row p ON p.id = l.price_row ORDER BY 1",
            parameters,
        )
        return [
            (number, starts, event, _first_priced_by(number, events, parameters) if early else None)
            for number, starts, event, early in cursor.fetchall()
        ]


def _first_priced_by(number: int, events: str, parameters: dict[str, Any]) -> str:
    """The first event of which a line names the price row."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT event_key::text FROM {events} e, json_array_elements(e.lines) line"
            " WHERE (line ->> 4)::bigint = %(number)s ORDER BY occurred_at, event_key LIMIT 1",
            {**parameters, "number": number},
        )
        return str(cursor.fetchone()[0])
