"""What a sender is told of its reports of calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from metering.calls import late_usage
from metering.calls.known_traces import KnownTrace
from metering.calls.trace_settlement import SpanState
from metering.calls.whole_traces import WholeTrace
from metering.domain.call_reports import CallReport
from metering.outcomes import Outcome

_SAID: Final = {
    "not_a_call": "kept as part of its trace; the usage of what is no call of a model never counts",
    "counted_in_its_leaves": "kept; calls beneath it tell the usage, and count",
    "counted_in_its_parent": "kept; a call above it tells the usage, and counts",
    "waiting_for_kind": "kept; it counts when a report says that it is a call of a model",
    "waiting_for_model": "kept; it counts when a report names its provider and model",
    "waiting_for_usage": "kept; it counts when a report tells its usage, or that it is over",
}


def of_whole(
    index: int, report: CallReport, trace: WholeTrace, stored: Mapping[str, Outcome]
) -> Outcome:
    """Of a report of a trace that was told as a whole; `stored` says what became of its events."""
    made = trace.events.get(report.span_id)
    if made is None:
        return _silent(index, report, trace.silent[report.span_id], is_new=True)
    found = stored[made.key]
    if found.reason is None:
        return Outcome(index=index, outcome=found.outcome, key=made.key, message=found.message)
    return msgspec.structs.replace(found, index=index, place=_place(report))


def of_known(
    index: int,
    report: CallReport,
    trace: KnownTrace,
    stored: Mapping[str, Outcome],
    *,
    is_new: bool,
) -> Outcome:
    """Of a report that was joined with what is known of its trace; `is_new`: it added to it."""
    span_id = report.span_id
    refused = trace.settled.refused.get(span_id)
    if refused is not None:
        return Outcome(
            index=index,
            outcome="rejected",
            key=refused.key,
            reason=refused.reason,
            message=refused.message,
            place=_place(report),
        )
    if trace.held is not None and is_new:
        return Outcome(
            index=index,
            outcome="accepted",
            key=trace.state(span_id).event_key,
            reason=late_usage.REASON,
            message=f"kept, but not counted: it would change what is closed ({trace.held});"
            " it waits for the month to be reopened (manage.py late_usage)",
            place=_place(report),
        )
    state = trace.settled.states.get(span_id, trace.state(span_id))
    if state.place in ("silent", "waiting"):
        return _silent(index, report, state.reason, is_new=is_new)
    return _counted(index, report, trace, state, stored)


def _silent(index: int, report: CallReport, reason: str, *, is_new: bool) -> Outcome:
    return Outcome(
        index=index,
        outcome="accepted" if is_new else "duplicate",
        reason=reason,
        message=_SAID[reason],
        place=_place(report),
    )


def _counted(
    index: int,
    report: CallReport,
    trace: KnownTrace,
    state: SpanState,
    stored: Mapping[str, Outcome],
) -> Outcome:
    item = trace.settled.events.get(report.span_id)
    if item is None:
        again = not trace.state(report.span_id).counts
        return Outcome(
            index=index, outcome="amended" if again else "duplicate", key=state.event_key
        )
    found = msgspec.structs.replace(stored[item.key], index=index)
    if found.outcome == "accepted" and state.version > 1:
        return msgspec.structs.replace(found, outcome="amended")
    return found if found.reason is None else msgspec.structs.replace(found, place=_place(report))


def _place(report: CallReport) -> str:
    return f"trace {report.trace_id}, span {report.span_id}"
