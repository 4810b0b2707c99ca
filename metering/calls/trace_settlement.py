"""What has to be done so that the events of a trace are what is known of its spans. No rows here.

What is known of a trace says which of its calls count, and as what event (`domain.traces`). What
stands in the database says which events there are. `settle` is the difference between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Final, Literal, NamedTuple

import msgspec

from metering.dispositions import Standing
from metering.domain.call_reports import Span, first_said
from metering.domain.traces import Call, Silent, calls_of, counting
from metering.domain.usage import Rejection
from metering.prepared_events import PreparedEvent

Place = Literal["counted", "silent", "waiting", "refused", "held"]
"""Where a span stands: its event counts; it does not count, for a `reason`; it waits for what
makes it a call; it cannot become an event; or what it has become would change a closed month."""

WAITS: Final = "waiting_for_"
REPLACED: Final = "a later report of the call"
COUNTED_AGAIN: Final = "it is told by no other call any more"
_encode: Final = msgspec.json.Encoder(order="deterministic", decimal_format="string").encode


class SpanState(NamedTuple):
    """Where a span stands, as stored: its last event (`None`: it never had one) with the time and
    version of that and a digest of what it was made of."""

    place: Place = "waiting"
    reason: str = ""
    event_key: str | None = None
    occurred_at: datetime | None = None
    version: int = 0
    content: bytes = b""

    @property
    def counts(self) -> bool:
        return self.place == "counted"


NEW: Final = SpanState()


@dataclass
class Settlement:
    """What is to be stored of a trace: events to insert, events to let count or not, and where each
    span stands then. `refused` says why a call can be no event."""

    events: dict[str, PreparedEvent] = field(default_factory=dict)
    standings: list[Standing] = field(default_factory=list)
    states: dict[str, SpanState] = field(default_factory=dict)
    refused: dict[str, Rejection] = field(default_factory=dict)


Builder = Callable[[str, Call, int, datetime], PreparedEvent | Rejection]
"""The event of a span's call in a version, given when the span was first told of."""


class _Version(NamedTuple):
    """A call that can count: its event (`None`: the one that is stored) and what it is made of."""

    key: str
    event: PreparedEvent | None
    occurred_at: datetime
    number: int
    content: bytes


def settle(
    spans: Mapping[str, Span], states: Mapping[str, SpanState], build: Builder
) -> Settlement:
    """Compare what is known of a trace with what is stored of it."""
    done = Settlement()
    found = calls_of(spans)
    versions: dict[str, _Version] = {}
    for span_id, call in found.items():
        if isinstance(call, Silent):
            continue
        version = _version(span_id, call, spans[span_id], states.get(span_id, NEW), build)
        if isinstance(version, Rejection):
            done.refused[span_id] = version
        else:
            versions[span_id] = version
    calls = {span_id: call for span_id, call in found.items() if isinstance(call, Call)}
    silent = {span_id: call for span_id, call in found.items() if isinstance(call, Silent)}
    silent |= counting(spans, {span_id: calls[span_id] for span_id in versions})
    for span_id in spans:
        before = states.get(span_id, NEW)
        if span_id in done.refused:
            rejection = done.refused[span_id]
            done.states[span_id] = (
                before
                if before.counts
                else before._replace(place="refused", reason=rejection.reason)
            )
        elif span_id in silent:
            _keep_silent(done, span_id, before, silent[span_id], versions)
        else:
            _let_count(done, span_id, before, versions[span_id])
    return done


def place_of(reason: str) -> Place:
    """Where a span stands that does not count for this reason."""
    return "waiting" if reason.startswith(WAITS) else "silent"


def content_of(call: Call, said_at: datetime) -> bytes:
    """A digest of what the call's event is made of; the span was first told of at `said_at`."""
    made_of: list[object] = [call.fields, call.has_usage]
    if call.fields.get("occurred_at") is None:
        made_of.append(said_at)
    return sha256(_encode(made_of)).digest()


def _version(
    span_id: str, call: Call, span: Span, before: SpanState, build: Builder
) -> _Version | Rejection:
    said_at = first_said(span)
    content = content_of(call, said_at)
    if before.event_key is not None and before.content == content:
        assert before.occurred_at is not None, "an event without a time"
        return _Version(before.event_key, None, before.occurred_at, before.version, content)
    number = before.version + 1
    event = build(span_id, call, number, said_at)
    if isinstance(event, Rejection):
        return event
    return _Version(event.key, event, event.event.occurred_at, number, content)


def _keep_silent(
    done: Settlement,
    span_id: str,
    before: SpanState,
    silent: Silent,
    versions: Mapping[str, _Version],
) -> None:
    by = versions[silent.by].key if silent.by is not None else None
    if before.counts:
        assert before.event_key is not None
        assert before.occurred_at is not None
        state: Literal["superseded", "uncounted"] = "uncounted" if by is None else "superseded"
        done.standings.append(
            Standing(before.event_key, before.occurred_at, state, _WHY[silent.reason], by)
        )
    done.states[span_id] = before._replace(place=place_of(silent.reason), reason=silent.reason)


_WHY: Final = {
    "not_a_call": "a later report says that it is no call of a model",
    "counted_in_its_leaves": "calls beneath it tell the usage",
    "counted_in_its_parent": "a call above it tells the usage",
    "waiting_for_kind": "a later report says that it is no call of a model",
    "waiting_for_usage": "a later report takes its usage back",
    "waiting_for_model": "a later report takes its model back",
}
"""Why an event that counted does so no longer, by why its span is silent."""


def _let_count(done: Settlement, span_id: str, before: SpanState, version: _Version) -> None:
    if version.event is not None:
        if before.event_key is not None:
            assert before.occurred_at is not None
            done.standings.append(
                Standing(before.event_key, before.occurred_at, "superseded", REPLACED, version.key)
            )
        done.events[span_id] = version.event
    elif not before.counts:
        done.standings.append(Standing(version.key, version.occurred_at, "counted", COUNTED_AGAIN))
    done.states[span_id] = SpanState(
        "counted", "", version.key, version.occurred_at, version.number, version.content
    )
