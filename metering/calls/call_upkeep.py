"""What time does to calls that are told in reports: those that never end, those that wait for a
month to be reopened, and those of which nothing more will be told. By a schedule."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db import connection

from metering.calls import call_identities, late_usage, trace_rows
from metering.calls.call_reports import settle_again, take
from metering.calls.trace_rows import TraceName
from metering.domain.call_reports import CallReport
from metering.domain.traces import NO_USAGE

ENDS_AFTER: Final = timedelta(hours=24)
"""A call of which nothing was told for so long is over: it counts without usage (`missing`)."""
KEPT_FOR: Final = timedelta(days=35)
"""How long what is known of a trace, and by what its calls are known, is kept after the last that
was told of it. Spans that never became an event are kept as long as keys are."""
BATCH: Final = 1_000


class Upkeep(NamedTuple):
    """How many calls were ended, how many traces were settled anew, how many traces and identities
    were forgotten."""

    ended: int
    settled: int
    traces: int
    identities: int


class OpenCall(NamedTuple):
    """A span that is no event, though it may be a call: what it waits for, or why it cannot be
    one. `provider` and `model` are as told, empty where nobody did."""

    source: str
    tenant: str
    trace_id: str
    span_id: str
    place: str
    reason: str
    provider: str
    model: str
    since: datetime


def keep_up(*, now: datetime) -> Upkeep:
    """All of it, in bounded transactions; doing it again does the rest."""
    return Upkeep(
        end_waiting(now=now),
        settle_held(now=now),
        _in_batches(lambda: _forget_traces(now)),
        _in_batches(lambda: call_identities.forget(now=now, after=KEPT_FOR, most=BATCH)),
    )


def _forget_traces(now: datetime) -> int:
    horizon = timedelta(days=settings.LEDGER_HORIZON_DAYS)
    return trace_rows.forget(now=now, after=KEPT_FOR, open_after=horizon, most=BATCH)


def _in_batches(forget: Callable[[], int]) -> int:
    total = 0
    while done := forget():
        total += done
    return total


def open_calls(*, most: int, source: str | None = None) -> list[OpenCall]:
    """Such spans, those that wait longest first."""
    return _open("true", [source, source], most)


def end_waiting(*, now: datetime, after: timedelta = ENDS_AFTER) -> int:
    """Let calls that wait for usage be over if nothing was told of them for so long; how many."""
    ended = 0
    while waiting := _open(
        "s.reason = %s AND s.changed_at < %s", [None, None, NO_USAGE, now - after], BATCH
    ):
        for trace in {_name(each) for each in waiting}:
            reports = [_over(each, now) for each in waiting if _name(each) == trace]
            take(reports, source=trace.source, now=now, key_tenant=trace.tenant or None)
        ended += len(waiting)
    return ended


def settle_held(*, now: datetime) -> int:
    """Make the changes that waited for a month which is open again; the number of traces."""
    keys = late_usage.held_in_open_months()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT t.source, t.tenant, t.trace_id FROM call_span s"
            " JOIN call_trace t USING (trace) WHERE s.event_key = ANY(%s::uuid[]) ORDER BY 1, 2, 3",
            [keys],
        )
        traces = [TraceName(*row) for row in cursor]
    for trace in traces:
        settle_again(trace, now=now)
    return len(traces)


def _open(condition: str, parameters: list[Any], most: int) -> list[OpenCall]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t.source, t.tenant, t.trace_id, s.span_id, s.place, s.reason,"
            " coalesce(s.known -> 0 -> 'provider' ->> 2, ''),"
            " coalesce(s.known -> 0 -> 'model' ->> 2, ''), s.changed_at"
            " FROM call_span s JOIN call_trace t USING (trace)"
            " WHERE s.place IN ('waiting', 'refused', 'held')"
            f" AND NOT ({trace_rows.OF_THE_TRACE})"
            f" AND (%s::text IS NULL OR t.source = %s) AND {condition}"
            " ORDER BY s.changed_at, s.trace, s.span_id LIMIT %s",
            [*parameters, most],
        )
        return [OpenCall(*row) for row in cursor]


def _name(call: OpenCall) -> TraceName:
    return TraceName(call.source, call.tenant, call.trace_id)


def _over(call: OpenCall, now: datetime) -> CallReport:
    return CallReport(
        trace_id=call.trace_id,
        span_id=call.span_id,
        parent_span_id=None,
        is_call=None,
        said_at=now,
        ended=True,
        fields={},
    )
