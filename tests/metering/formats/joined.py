"""What reports of tracing formats come to, without a database: the events that count."""

from __future__ import annotations

from collections.abc import Iterable

from metering.domain.call_reports import CallReport, Span, first_said, join, told_by
from metering.domain.traces import Call, calls_of, counting
from metering.domain.usage import Rejection, UsageEvent
from metering.formats.reported_calls import event_of


def spans_of(reports: Iterable[CallReport | Rejection]) -> dict[str, dict[str, Span]]:
    """Trace → span → all that was told of it."""
    found: dict[str, dict[str, Span]] = {}
    for report in reports:
        assert isinstance(report, CallReport), report
        spans = found.setdefault(report.trace_id, {})
        told = told_by(report)
        known = spans.get(report.span_id)
        spans[report.span_id] = told if known is None else join(known, told)
    return found


def counted(reports: Iterable[CallReport | Rejection]) -> dict[str, UsageEvent]:
    """The events that count, by their span."""
    events: dict[str, UsageEvent] = {}
    for trace_id, spans in spans_of(reports).items():
        calls = {span: call for span, call in calls_of(spans).items() if isinstance(call, Call)}
        silent = counting(spans, calls)
        for span_id in calls.keys() - silent.keys():
            event = event_of(
                calls[span_id],
                source="test",
                trace_id=trace_id,
                scope="",
                span_id=span_id,
                version=1,
                first_said_at=first_said(spans[span_id]),
            )
            assert isinstance(event, UsageEvent), event
            events[span_id] = event
    return events
