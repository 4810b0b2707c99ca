"""Traces that one batch tells as a whole, and of which nothing was known: most of them.

What counts follows from the batch alone, so it is decided in memory, before any row is locked.
Each span is told once; each is a call that counts, or will never count; nothing waits (but for
what is said of the trace itself, by a span of its own id) and nothing is refused. Such a trace is
kept in its own row as it was told (`trace_rows.ToldSpan`); only when more is told of it are its
spans looked at one by one (`known_traces`). Everything else takes that way from the start, and to
the same end.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from metering.calls import trace_rows
from metering.calls.made_events import Maker
from metering.calls.report_admission import Admission
from metering.calls.trace_rows import SpanRow, ToldSpan, TraceName
from metering.calls.trace_settlement import SpanState, content_of, place_of
from metering.domain.call_reports import (
    SUPPOSED,
    CallReport,
    ToldOnce,
    first_said,
    told_by,
    told_once,
)
from metering.domain.keys import event_key
from metering.domain.traces import (
    NAMES_OF_USER,
    NO_KIND,
    NOT_A_CALL,
    Call,
    Silent,
    calls_of,
    counting,
)
from metering.domain.usage import MAX_TOKENS, Rejection, UsageEvent
from metering.formats.native import FUTURE, MAX_TEXT
from metering.formats.reported_calls import MAX_ID, event_id, occurred_at, problem_of
from metering.prepared_events import PreparedEvent


class WholeTrace(NamedTuple):
    """What is decided of such a trace: the event of each span that counts, why each other one does
    not, and the trace as it is kept."""

    events: dict[str, PreparedEvent]
    silent: dict[str, str]
    told: bytes


def decide(
    trace: TraceName,
    reports: Sequence[CallReport],
    *,
    admission: Admission,
    maker: Maker,
    now: datetime,
) -> WholeTrace | None:
    """What these reports come to if they are all of a trace; `None` where they are no such trace,
    or where something has to be said of one of them."""
    spans: dict[str, ToldOnce] = {}
    told: dict[str, dict[str, Any]] = {}
    for report in reports:
        if report.span_id in spans or not _is_plain(report, now):
            return None
        fields = admission.fields(report)
        if isinstance(fields, Rejection):
            return None
        told[report.span_id] = fields
        spans[report.span_id] = told_once(report, fields)
    decided = _decided(trace, spans, maker, now)
    if decided is None:
        return None
    events, silent = decided
    for report in reports:
        # What makes an event is checked with the event, and what is above it is not.
        if silent.get(report.span_id) in _UNCHECKED and problem_of(
            report, source=trace.source, received_at=now
        ):
            return None
    kept = [
        ToldSpan.of(report, told[report.span_id], silent.get(report.span_id, ""))
        for report in reports
    ]
    return WholeTrace(events, silent, trace_rows.text_of_told(kept))


def _decided(
    trace: TraceName, spans: dict[str, ToldOnce], maker: Maker, now: datetime
) -> tuple[dict[str, PreparedEvent], dict[str, str]] | None:
    calls: dict[str, Call] = {}
    events: dict[str, PreparedEvent] = {}
    silent: dict[str, str] = {}
    for span_id, call in calls_of(spans).items():
        if isinstance(call, Silent):
            if call.reason != NOT_A_CALL and not (
                call.reason == NO_KIND and span_id == trace.trace_id
            ):
                return None
            silent[span_id] = call.reason
            continue
        made = maker.made(trace, span_id, call, 1, spans[span_id].said_at)
        if isinstance(made, Rejection) or made.event.occurred_at > now + FUTURE:
            return None
        calls[span_id], events[span_id] = call, made
    for span_id, beside in counting(spans, calls).items():
        del events[span_id]
        silent[span_id] = beside.reason
    return events, silent


def _is_plain(report: CallReport, now: datetime) -> bool:
    """Whether the report is of the usual kind, as far as nobody asks that later: how its span is
    named, whom it names, and what it only supposes. Shares are seldom, and looked at closely."""
    named = f"{report.trace_id}{report.span_id}{report.parent_span_id or ''}"
    if report.ancestors:
        named += "".join(report.ancestors)
        if not all(report.ancestors):
            return False
    if not (
        (report.trace_id and report.span_id and report.parent_span_id != "")
        and (len(named) <= MAX_ID and named.isascii() and named.isprintable() and " " not in named)
        and report.said_at <= now + FUTURE
    ):
        return False
    fields = report.fields
    looked_at = [name for name in fields if name in _LOOKED_AT or name[:1] == "~"]
    return all(
        _is_name(fields[name]) if name in _NAMING else _is_supposed(name, fields[name])
        for name in looked_at
    )


_UNCHECKED: Final = (NOT_A_CALL, NO_KIND)
_NAMING: Final = frozenset({"tenant_id", *NAMES_OF_USER})
_LOOKED_AT: Final = _NAMING | {"shares"}


def _is_supposed(name: str, value: object) -> bool:
    if not name.startswith(SUPPOSED):
        return False  # shares, too
    return _is_name(value) or (type(value) is int and 0 <= value <= MAX_TOKENS)


def _is_name(value: object) -> bool:
    return value is None or (
        isinstance(value, str)
        and 0 < len(value) <= MAX_TEXT
        and value.isascii()
        and value.isprintable()
        and not value.isspace()
    )


def spans_of(trace: TraceName, told: bytes) -> dict[str, SpanRow]:
    """The spans of a trace that is kept as it was told, each as it stands."""
    kept = trace_rows.spans_told(told)
    spans = {each.span_id: told_by(each.report(trace)) for each in kept}
    calls = calls_of(spans)
    rows: dict[str, SpanRow] = {}
    for each in kept:
        span = spans[each.span_id]
        state = SpanState(place_of(each.silent), each.silent)
        if not each.silent:
            said_at = first_said(span)
            call = calls[each.span_id]
            state = SpanState(
                "counted",
                "",
                _key(trace, each.span_id),
                occurred_at(span.fields(), said_at),
                1,
                content_of(call, said_at) if isinstance(call, Call) else b"",
            )
        rows[each.span_id] = SpanRow(span, trace_rows.text_of(span), state)
    return rows


def _key(trace: TraceName, span_id: str) -> str:
    """The key of the first event of a span."""
    return event_key(
        UsageEvent(
            source=trace.source,
            event_id=event_id(trace.scope, span_id, 1),
            external_request_id="",
            provider="",
            model="",
            occurred_at=datetime.min.replace(tzinfo=UTC),
            time_reported=False,
        )
    )
