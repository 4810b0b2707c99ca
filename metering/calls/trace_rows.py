"""What is known of traces, in rows: one for each span with all that was told of it, joined; or, of
a trace that was told as a whole and never again, one for all of it (`whole_traces`).

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
from threading import local
from typing import Any, Final, NamedTuple

import msgspec
from zstandard import ZstdCompressor, ZstdDecompressor

from metering import bulk
from metering.calls.trace_settlement import SpanState
from metering.domain.call_reports import CallReport, Span, Told

OF_THE_TRACE: Final = "s.reason = 'waiting_for_kind' AND s.span_id = t.trace_id"
"""Of spans `s` of traces `t`: those that only say something of their trace, which is no call."""


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

    @property
    def scope(self) -> str:
        """What tells the trace from others within its source."""
        return f"{self.trace_id}@{self.tenant}" if self.tenant else self.trace_id


@lru_cache(maxsize=10_000)
def _id_of(name: TraceName) -> str:
    h = sha256("\x1f".join(name).encode()).hexdigest()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:32]}"


class SpanRow(NamedTuple):
    """A span as stored: what is known of it, also as the text that it is stored as, and where it
    stands."""

    span: Span
    text: bytes
    state: SpanState


class ToldSpan(msgspec.Struct, frozen=True, array_like=True):
    """A span as the one report of it told it. `silent` says why it does not count; empty: its
    event does."""

    span_id: str
    parent: str | None
    ancestors: tuple[str, ...]
    is_call: bool | None
    ended: bool | None
    ended_at: datetime | None
    said_at: datetime
    rank: int
    silent: str
    fields: dict[str, Any]

    @classmethod
    def of(cls, report: CallReport, fields: dict[str, Any], silent: str) -> ToldSpan:
        """What is kept of a report, `fields` being those that may be."""
        return cls(
            report.span_id,
            report.parent_span_id,
            report.ancestors,
            report.is_call,
            report.ended,
            report.ended_at,
            report.said_at,
            report.rank,
            silent,
            fields,
        )

    def report(self, trace: TraceName) -> CallReport:
        """The report that told this."""
        return CallReport(
            trace_id=trace.trace_id,
            span_id=self.span_id,
            parent_span_id=self.parent,
            ancestors=self.ancestors,
            is_call=self.is_call,
            said_at=self.said_at,
            rank=self.rank,
            ended=self.ended,
            ended_at=self.ended_at,
            fields=self.fields,
        )


class _Known(msgspec.Struct, frozen=True, array_like=True):
    told: dict[str, tuple[int, int, Any]]
    ended: bool
    first_said_at: int


class _Packing(local):
    """A thread's own: what packs is used by one at a time, and costs half as much to make."""

    def __init__(self) -> None:
        self.pack = ZstdCompressor(level=1).compress


_packing: Final = _Packing()
_PACKED: Final = b"\x28\xb5\x2f\xfd"
"""How zstd's frames begin; JSON does not."""
_encode: Final = msgspec.json.Encoder(order="deterministic", decimal_format="number").encode
_decode: Final = msgspec.json.Decoder(_Known, float_hook=Decimal).decode
_decode_told: Final = msgspec.json.Decoder(list[ToldSpan], float_hook=Decimal).decode


def text_of(span: Span) -> bytes:
    """What is known of a span as it is stored: JSON, the same bytes for the same knowledge."""
    return _encode(_Known(dict(span.told), span.ended, span.first_said_at))


def span_of(text: bytes | str) -> Span:
    """The inverse of `text_of`."""
    known = _decode(text)
    told = {name: Told(*value) for name, value in known.told.items()}
    return Span(told, known.ended, known.first_said_at)


def text_of_told(spans: Sequence[ToldSpan]) -> bytes:
    """The spans of a whole trace as they are stored: JSON, packed, which takes less of us than of
    the database, and less of its room."""
    return _packing.pack(_encode(spans))


def spans_told(text: bytes) -> list[ToldSpan]:
    """The inverse of `text_of_told`; also of what was stored before it was packed."""
    return _decode_told(ZstdDecompressor().decompress(text) if text.startswith(_PACKED) else text)


class Locked(NamedTuple):
    """Whether a trace was known before it was locked; and, if it is kept as it was told, its spans
    (`spans_told`)."""

    known: bool
    told: bytes | None


def lock(
    traces: Iterable[TraceName], told: Mapping[TraceName, bytes], *, now: datetime
) -> dict[TraceName, Locked]:
    """Hold these traces until the transaction ends. Those that were not known are kept as told,
    if they are in `told`."""
    named = sorted({trace.id: trace for trace in traces}.items())
    if not named:
        return {}
    with bulk.cursor() as cursor:
        cursor.execute(
            "INSERT INTO call_trace AS known (trace, source, tenant, trace_id, told, changed_at)"
            " SELECT trace, source, tenant, trace_id, told, %s"
            " FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %b::bytea[])"
            "  AS t(trace, source, tenant, trace_id, told)"
            " ON CONFLICT (trace) DO UPDATE"
            "  SET changed_at = greatest(known.changed_at, excluded.changed_at)"
            " RETURNING trace::text, xmax <> 0, CASE WHEN xmax <> 0 THEN known.told END",
            [
                now,
                bulk.array([trace for trace, _ in named]),
                bulk.texts(name.source for _, name in named),
                bulk.texts(name.tenant for _, name in named),
                bulk.texts(name.trace_id for _, name in named),
                [told.get(name) for _, name in named],
            ],
        )
        found = {trace: Locked(known, before) for trace, known, before in cursor}
    return {name: found[trace] for trace, name in named}


def load(traces: Sequence[TraceName]) -> dict[TraceName, dict[str, SpanRow]]:
    """The spans of these traces by their ids, of those that have rows of their own."""
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


def part(traces: Iterable[TraceName]) -> None:
    """Keep these traces as they were told no longer: their spans have rows of their own."""
    named = [trace.id for trace in traces]
    if not named:
        return
    with bulk.cursor() as cursor:
        cursor.execute(
            "UPDATE call_trace SET told = NULL WHERE trace = ANY(%s::uuid[])",
            [bulk.array(named)],
        )


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
            "   WHERE s.trace = t.trace AND place IN ('waiting', 'refused', 'held')"
            f"   AND NOT ({OF_THE_TRACE})))"
            "  ORDER BY changed_at LIMIT %s FOR UPDATE SKIP LOCKED),"
            " spans AS (DELETE FROM call_span WHERE trace IN (SELECT trace FROM old)),"
            " gone AS (DELETE FROM call_trace WHERE trace IN (SELECT trace FROM old) RETURNING 1)"
            " SELECT count(*) FROM gone",
            [now - after, now - open_after, most],
        )
        row = cursor.fetchone()
    assert row is not None
    return int(row[0])
