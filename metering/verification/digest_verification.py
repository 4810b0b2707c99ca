"""Checks of every event's two digests, put together again in SQL from the stored columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from metering.domain.periods import Period
from metering.event_rows import SEALED, VALUED
from metering.verification.findings import LIMIT, Finding, rows

_CHANGED: Final = {
    "event digest": "what was reported has been changed",
    "value digest": "its owner, price or cost has been changed",
}
_WITHIN: Final = "occurred_at >= %(period_start)s AND occurred_at < %(period_end)s"

# What JSON makes of an instant hangs on no setting of the session and takes a sixth of the time of
# `to_char`, if it is made once; it leaves out the zeros at the end of a fraction.
_INSTANTS: Final = ", ".join(
    f"to_json(e.{name} AT TIME ZONE 'UTC')::text AS {name}_json"
    for name, kind in SEALED
    if kind == "timestamptz"
)
_EVENTS: Final = f"(SELECT e.*, {_INSTANTS} FROM usage_event e WHERE {_WITHIN} OFFSET 0)"


def check(period: Period) -> Iterator[Finding]:
    """Events whose reported part, and those of which a revision's valued part, is not what its
    digest was made of; each event is read once for both."""
    sealed = _sha256(_texts(SEALED))
    first = _sha256(["e.event_key::text", "'0'", *_texts(VALUED)])
    later = _sha256(["e.event_key::text", "e.revision::text", *_texts(VALUED)])
    found = rows(
        "WITH differing AS MATERIALIZED (SELECT event_key, revision, of_report, of_value FROM ("
        f" SELECT event_key, 0 AS revision, seal_digest <> {sealed} AS of_report,"
        f" value_digest <> {first} AS of_value FROM {_EVENTS} e OFFSET 0) e"
        " WHERE of_report OR of_value"
        " UNION ALL SELECT event_key, revision, false, true FROM event_revision e"
        f" WHERE {_WITHIN} AND value_digest <> {later})"
        " SELECT digest, event_key, revision FROM ("
        "  SELECT digest, event_key, revision,"
        "  row_number() OVER (PARTITION BY digest ORDER BY event_key, revision) AS number"
        "  FROM differing, LATERAL (VALUES ('event digest', of_report), ('value digest', of_value))"
        f"  each (digest, differs) WHERE differs) numbered WHERE number <= {LIMIT}"
        " ORDER BY digest, event_key, revision",
        {"period_start": period.start, "period_end": period.end},
        most=LIMIT * len(_CHANGED),
    )
    for digest, key, revision in found:
        which = f" revision {revision}" if digest == "value digest" else ""
        yield Finding(digest, f"event {key}{which}", _CHANGED[digest])


def _texts(columns: tuple[tuple[str, str], ...]) -> list[str]:
    """Each column of `e` as the text that `event_rows` digests."""
    return [_text(f"e.{name}", kind) for name, kind in columns]


def _text(column: str, kind: str) -> str:
    match kind:
        case "timestamptz":
            text = f"{column}_json"
            return (
                f"CASE length({text}) WHEN 21 THEN substr({text}, 2, 19) || '.000000+00:00'"
                f" ELSE rpad(substr({text}, 2, length({text}) - 2), 26, '0') || '+00:00' END"
            )
        case "numeric":
            return f"trim_scale({column})::text"
        case _:
            return f"{column}::text"


def _sha256(texts: list[str]) -> str:
    """SHA-256 of the texts, tab-separated, NULL as \\x1e."""
    marked = ", ".join(f"coalesce({text}, E'\\x1e')" for text in texts)
    return f"sha256(convert_to(concat_ws(E'\\t', {marked}), 'UTF8'))"
