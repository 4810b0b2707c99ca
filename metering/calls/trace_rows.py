"""What is known of traces, in rows: one for each span with all that was told of it, joined.

A row holds fields of usage events: no text of a prompt or a completion (no format tells any), and
whoever is named only as the keyed hash. A trace is worked on by one at a time: its row is locked
first, in sorted order, so that two senders wait for each other instead of deadlocking.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from metering import bulk
from metering.calls.trace_settlement import SpanState
from metering.domain.call_reports import Span, Told


class TraceName(NamedTuple):
    """A trace as its sender names it. Traces of different sources, or of keys that send for
    different tenants (`""`: any), are different ones, so that nobody can change another's calls by
    using its ids."""

    source: str
    tenant: str
    trace_id: str

    @property
    def id(self) -> str:
        """The text of the UUID that stands for the trace in rows."""
        return _id_of(self)


@lru_cache(maxsize=10_000)
def _id_of(name: TraceName) -> str:
    return str(UUID(bytes=sha256("\x1f".join(name).encode()).digest()[:16]))


class SpanRow(NamedTuple):
    """A span as stored: what is known of it, also as the text that it is stored as, and where it
    stands."""

    span: Span
    text: bytes
    state: SpanState


class _Known(msgspec.Struct, frozen=True, array_like=True):
    told: dict[str, tuple[int, int, Any]]
    ended: bool
    first_said_at: int


_encode: Final = msgspec.json.Encoder(order="deterministic", decimal_format="number").encode
_decode: Final = msgspec.json.Decoder(_Known, float_hook=Decimal).decode


def text_of(span: Span) -> bytes:
    """What is known of a span as it is stored: JSON, the same bytes for the same knowledge."""
    return _encode(_Known(dict(span.told), span.ended, span.first_said_at))


def span_of(text: bytes | str) -> Span:
    """The inverse of `text_of`."""
    known = _decode(text)
    told = {name: Told(*value) for name, value in known.told.items()}
    return Span(told, known.ended, known.first_said_at)


def lock(traces: Iterable[TraceName], *, now: datetime) -> dict[TraceName, bool]:
    """Hold these traces until the transaction ends; whether each was known before."""
    named = sorted({trace.id: trace for trace in traces}.items())
    if not named:
        return {}
    with bulk.cursor() as cursor:
        cursor.execute(
            "INSERT INTO call_trace AS known (trace, source, tenant, trace_id, changed_at)"
            " SELECT trace, source, tenant, trace_id, %s"
            " FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[])"
            "  AS t(trace, source, tenant, trace_id)"
            " ON CONFLICT (trace) DO UPDATE"
            "  SET changed_at = greatest(known.changed_at, excluded.changed_at)"
            " RETURNING trace::text, xmax <> 0",
            [
                now,
                bulk.array([trace for trace, _ in named]),
                bulk.texts(name.source for _, name in named),
                bulk.texts(name.tenant for _, name in named),
                bulk.texts(name.trace_id for _, name in named),
            ],
        )
        known = dict(cursor.fetchall())
    return {name: known[trace] for trace, name in named}


def load(traces: Sequence[TraceName]) -> dict[TraceName, dict[str, SpanRow]]:
    """The spans of these traces by their ids."""
    found: dict[TraceName, dict[str, SpanRow]] = {trace: {} for trace in traces}
    if not traces:
        return found
    names = {trace.id: trace for trace in traces}
    with bulk.cursor() as cursor:
        cursor.execute(
            "SELECT trace::text, span_id, known::text, place, reason, event_key::text, occurred_at,"
            " version, content FROM call_span WHERE trace = ANY(%s::uuid[])",
            [bulk.array(list(names))],
        )
        for trace, span_id, known, place, reason, key, at, version, content in cursor:
            state = SpanState(place, reason, key, at, version, bytes(content))
            found[names[trace]][span_id] = SpanRow(span_of(known), known.encode(), state)
    return found


def save(rows: Mapping[tuple[TraceName, str], SpanRow], *, now: datetime) -> None:
    """Store these spans as they are now."""
    if not rows:
        return
    ordered = sorted((trace.id, span_id, row) for (trace, span_id), row in rows.items())
    states = [row.state for _, _, row in ordered]
    with bulk.cursor() as cursor:
        cursor.execute(
            "INSERT INTO call_span (trace, span_id, known, place, reason, event_key, occurred_at,"
            "  version, content, changed_at)"
            " SELECT t.*, %s FROM unnest(%s::uuid[], %s::text[], %s::json[], %s::text[],"
            "  %s::text[], %s::uuid[], %s::timestamptz[], %s::int[], %s::bytea[]) AS t"
            " ON CONFLICT (trace, span_id) DO UPDATE SET known = excluded.known,"
            "  place = excluded.place, reason = excluded.reason, event_key = excluded.event_key,"
            "  occurred_at = excluded.occurred_at, version = excluded.version,"
            "  content = excluded.content, changed_at = excluded.changed_at",
            [
                now,
                bulk.array([trace for trace, _, _ in ordered]),
                bulk.texts(span_id for _, span_id, _ in ordered),
                bulk.texts(row.text.decode() for _, _, row in ordered),
                bulk.array([state.place for state in states]),
                bulk.texts(state.reason for state in states),
                bulk.texts(state.event_key for state in states),
                bulk.texts(None if s.occurred_at is None else str(s.occurred_at) for s in states),
                bulk.array([str(state.version) for state in states]),
                bulk.array([f"\\\\x{state.content.hex()}" for state in states]),
            ],
        )


def forget(*, now: datetime, after: timedelta, open_after: timedelta, most: int) -> int:
    """Delete at most so many traces of which nothing was told for so long, with their spans; how
    many. Their events stay, and so do their keys: what is told of them then is a duplicate. Those
    with a span that never became what it may be are kept for `open_after`."""
    with bulk.cursor() as cursor:
        cursor.execute(
            "WITH old AS (SELECT trace FROM call_trace t WHERE changed_at < %s"
            "  AND (changed_at < %s OR NOT EXISTS (SELECT FROM call_span s"
            "   WHERE s.trace = t.trace AND place IN ('waiting', 'refused', 'held')))"
            "  ORDER BY changed_at LIMIT %s FOR UPDATE SKIP LOCKED),"
            " spans AS (DELETE FROM call_span WHERE trace IN (SELECT trace FROM old)),"
            " gone AS (DELETE FROM call_trace WHERE trace IN (SELECT trace FROM old) RETURNING 1)"
            " SELECT count(*) FROM gone",
            [now - after, now - open_after, most],
        )
        row = cursor.fetchone()
    assert row is not None
    return int(row[0])
