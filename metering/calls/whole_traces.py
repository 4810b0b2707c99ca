"""Traces that one batch tells as a whole, and of which nothing was known: most of them.

What counts follows from the batch alone, so it is decided in memory, before any row is locked.
Each span is told once, or by several reports that each add to it (created, then updated); each is a
call that counts, or will never count; nothing waits (but for what is said of the trace itself, by a
span of its own id) and nothing is refused. Such a trace is
kept in its own row as it was told (`trace_rows.ToldSpan`); only when more is told of it are its
spans looked at one by one (`known_traces`). Everything else takes that way from the start, and to
the same end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from metering.calls import trace_rows
from metering.calls.made_events import Maker
from metering.calls.report_admission import Admission
from metering.calls.trace_rows import SpanRow, ToldSpan, TraceName
from metering.calls.trace_settlement import SpanState, content_of, place_of
from metering.domain.call_reports import (
    SUPPOSED,
    CallReport,
    Span,
    ToldOnce,
    first_said,
    join,
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
    told: list[dict[str, Any]] = []
    for report in reports:
        good = maker.knows(report.fields.get("provider")) and _is_plain(report, now)
        fields = admission.fields(report) if good else None
        if fields is None or isinstance(fields, Rejection):
            return None
        told.append(fields)
    several: set[str] = set()
    if len({report.span_id for report in reports}) < len(reports):
        several = {name for name, count in Counter(r.span_id for r in reports).items() if count > 1}
    spans = _spans(reports, told, several)
    decided = None if spans is None else _decided(trace, spans, maker, now)
    if decided is None:
        return None
    events, silent = decided
    for report in reports:
        # What makes an event is checked with the event, and what is above it is not; nor is what
        # another report of the same span has replaced.
        unchecked = silent.get(report.span_id) in _UNCHECKED or report.span_id in several
        if unchecked and problem_of(report, source=trace.source, received_at=now):
            return None
    kept = [
        ToldSpan.of(report, fields, silent.get(report.span_id, ""))
        for report, fields in zip(reports, told, strict=True)
    ]
    return WholeTrace(events, silent, trace_rows.text_of_told(kept))


_Known = ToldOnce | Span


def _spans(
    reports: Sequence[CallReport], told: Sequence[dict[str, Any]], several: Collection[str]
) -> dict[str, _Known] | None:
    """What the reports come to, with the fields that may be kept; `None` where one adds nothing to
    what another has told, which its sender is told."""
    spans: dict[str, _Known] = {}
    for report, fields in zip(reports, told, strict=True):
        if report.span_id not in several:
            spans[report.span_id] = told_once(report, fields)
            continue
        span = told_by(msgspec.structs.replace(report, fields=fields))
        known = spans.get(report.span_id)
        if isinstance(known, Span):
            joined = join(known, span)
            if joined == known:
                return None
            span = joined
        spans[report.span_id] = span
    return spans


def _decided(
    trace: TraceName, spans: dict[str, _Known], maker: Maker, now: datetime
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
        span = spans[span_id]
        said_at = first_said(span) if isinstance(span, Span) else span.said_at
        made = maker.made(trace, span_id, call, 1, said_at)
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
    looked_at = [name for name in fields if name in _LOOKED_AT or name >= "~"]
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
    spans: dict[str, Span] = {}
    for each in kept:
        span, known = told_by(each.report(trace)), spans.get(each.span_id)
        spans[each.span_id] = span if known is None else join(known, span)
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
