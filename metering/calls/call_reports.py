"""Calls that are told in reports: the one way in for formats that speak of the spans of a trace.

A batch is one transaction. What it says is joined with what was known of its traces; the difference
between the calls that now count and the events that are there is stored: new events, and
dispositions of those that they replace. So it makes no difference in which order, in how many
batches and how often the same is told (`trace_settlement`, `domain.traces`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec
from django.db import OperationalError, connection, transaction
from psycopg import errors

from metering.calls import late_usage, trace_rows
from metering.calls.call_routes import Means, join_again, release
from metering.calls.trace_rows import SpanRow, TraceName
from metering.calls.trace_settlement import NEW, Settlement, SpanState, settle
from metering.dispositions import decide, lock_changes
from metering.domain.call_reports import SUPPOSED, CallReport, Span, join, told_by
from metering.domain.identity import UserKind, lookup_hash
from metering.domain.tenancy import within_tenant
from metering.domain.traces import NAMES_OF_USER, Call
from metering.domain.usage import Rejection, UsageEvent
from metering.event_rows import instant_text
from metering.formats.reported_calls import event_of, problem_of
from metering.ingestion import (
    ATTEMPTS,
    Books,
    Prepared,
    known_providers,
    prepare_batch,
    store,
    unknown_provider,
    write_made,
)
from metering.outcomes import Outcome
from metering.prepared_events import ControlCharacter, PreparedEvent, prepare

AUTHOR: Final = "reports of calls"
MOST_SPANS: Final = 5_000
"""Of one trace. Each batch of a trace reads all of it."""

_NAMESPACES: Final[Mapping[str, tuple[bytes, UserKind]]] = {
    "user_id": (b"user", "user"),
    "anon_id": (b"anon", "anonymous"),
    "ip_hash": (b"ip", "anonymous"),
    "agent_hash": (b"agent", "anonymous"),
}
_RETRIED: Final = (errors.DeadlockDetected, errors.SerializationFailure)
_SAID: Final = {
    "not_a_call": "kept as part of its trace; the usage of what is no call of a model never counts",
    "counted_in_its_leaves": "kept; calls beneath it tell the usage, and count",
    "counted_in_its_parent": "kept; a call above it tells the usage, and counts",
    "waiting_for_kind": "kept; it counts when a report says that it is a call of a model",
    "waiting_for_model": "kept; it counts when a report names its provider and model",
    "waiting_for_usage": "kept; it counts when a report tells its usage, or that it is over",
}


def take(
    reports: Sequence[CallReport | Rejection | UsageEvent],
    *,
    source: str,
    now: datetime,
    key_tenant: str | None,
    books: Books | None = None,
) -> list[Outcome]:
    """Take in one batch, in one transaction; one outcome per item, in the order of the items.

    `key_tenant` is the only tenant that the sender may send for (`None`: any). A report that adds
    to what is known but makes no event (yet) is accepted, with the reason. Whole events go the way
    of all events.
    """
    books = books or Books.current()
    attempt = 1
    while True:
        try:
            with transaction.atomic():
                return _Batch(source, key_tenant, books, now).take(reports)
        except (*_RETRIED, OperationalError) as error:
            retried = isinstance(error, _RETRIED) or isinstance(error.__cause__, _RETRIED)
            if not retried or attempt == ATTEMPTS or connection.in_atomic_block:
                raise
            attempt += 1


def settle_again(trace: TraceName, *, now: datetime) -> None:
    """Do what follows from what is known of a trace, if something else let it wait."""
    with transaction.atomic():
        _Batch(trace.source, trace.tenant or None, Books.current(), now).settle_again(trace)


@dataclass
class _Trace:
    """A trace at work: what is known of its spans before and after the batch, and what follows."""

    name: TraceName
    before: dict[str, SpanRow]
    spans: dict[str, Span]
    texts: dict[str, bytes]
    settled: Settlement = field(default_factory=Settlement)
    held: str | None = None

    @classmethod
    def of(cls, name: TraceName, rows: dict[str, SpanRow]) -> _Trace:
        return cls(
            name,
            rows,
            {span_id: row.span for span_id, row in rows.items()},
            {span_id: row.text for span_id, row in rows.items()},
        )

    def add(self, span_id: str, told: Span) -> bool:
        """Join what a report tells; whether it is new."""
        known = self.spans.get(span_id)
        joined = told if known is None else join(known, told)
        text = trace_rows.text_of(joined)
        if self.texts.get(span_id) == text:
            return False
        self.spans[span_id], self.texts[span_id] = joined, text
        return True

    def state(self, span_id: str) -> SpanState:
        row = self.before.get(span_id)
        return NEW if row is None else row.state

    def states(self) -> dict[str, SpanState]:
        return {span_id: row.state for span_id, row in self.before.items()}

    def is_open(self, span_id: str) -> bool:
        """Whether what is known already may lead to more than it did."""
        return self.state(span_id).place in ("refused", "held")

    def rows(self) -> Iterable[tuple[tuple[TraceName, str], SpanRow]]:
        """The spans that are to be stored."""
        for span_id, text in self.texts.items():
            state = self.settled.states.get(span_id, self.state(span_id))
            row = SpanRow(self.spans[span_id], text, state)
            if span_id not in self.before or row[1:] != self.before[span_id][1:]:
                yield (self.name, span_id), row


class _Batch:
    """One batch within its transaction."""

    def __init__(self, source: str, key_tenant: str | None, books: Books, now: datetime) -> None:
        self._source = source
        self._tenant = key_tenant
        self._books = books
        self._now = now
        self._outcomes: dict[int, Outcome] = {}
        self._known = known_providers(books)
        self._hints: dict[str, str] = {}
        self._late: list[UsageEvent] = []
        self._stored: dict[str, Outcome] = {}
        self._means = Means(books.owners, books.prices, now, lambda made: write_made(made, now))

    def take(self, items: Sequence[CallReport | Rejection | UsageEvent]) -> list[Outcome]:
        whole: dict[int, UsageEvent | Rejection] = {}
        reports: dict[int, CallReport] = {}
        for index, item in enumerate(items):
            if isinstance(item, CallReport):
                checked = self._checked(item)
                if isinstance(checked, Rejection):
                    whole[index] = checked
                else:
                    reports[index] = checked
            else:
                whole[index] = item if self._tenant is None else within_tenant(item, self._tenant)
        traces, news = self._join(reports, whole)
        for trace in traces.values():
            self._settle(trace)
        self._store(traces, whole)
        for index, report in reports.items():
            if index not in self._outcomes:
                trace = traces[self._name(report)]
                self._outcomes[index] = self._outcome(index, report, trace, is_new=news[index])
        return [self._outcomes[index] for index in range(len(items))]

    def settle_again(self, name: TraceName) -> None:
        trace_rows.lock([name], now=self._now)
        trace = _Trace.of(name, trace_rows.load([name])[name])
        self._settle(trace)
        self._store({name: trace}, {})

    def _name(self, report: CallReport) -> TraceName:
        return TraceName(self._source, self._tenant or "", report.trace_id)

    def _checked(self, report: CallReport) -> CallReport | Rejection:
        """The report as it may be kept: of the key's tenant, and naming nobody."""
        problem = problem_of(report, source=self._source, received_at=self._now)
        if problem is not None:
            return problem
        fields = dict(report.fields)
        if self._tenant is not None:
            shares = fields.get("shares") or ()
            named = {fields.get("tenant_id"), fields.get(SUPPOSED + "tenant_id")}
            named |= {_share_tenant(share) for share in shares}
            foreign = sorted(str(each) for each in named - {None, self._tenant})
            if foreign:
                return Rejection(
                    place=f"trace {report.trace_id}, span {report.span_id}",
                    reason="foreign_tenant",
                    message=f"tenant {foreign[0]!r:.80}: this API key sends for the tenant"
                    f" {self._tenant!r} only; leave the tenant out, or use that tenant's key",
                    key=report.span_id,
                )
            fields["tenant_id"] = self._tenant
        for name in NAMES_OF_USER:
            for spelt in (name, SUPPOSED + name):
                sent = fields.pop(spelt, None)
                if sent is not None and str(sent).strip():
                    namespace, _ = _NAMESPACES[name]
                    hashed = lookup_hash(self._books.hash_key, namespace, str(sent))
                    fields[spelt] = hashed.hex()
        return msgspec.structs.replace(report, fields=fields)

    def _join(
        self, reports: Mapping[int, CallReport], whole: dict[int, UsageEvent | Rejection]
    ) -> tuple[dict[TraceName, _Trace], dict[int, bool]]:
        known = trace_rows.lock(map(self._name, reports.values()), now=self._now)
        rows = trace_rows.load([name for name, is_known in known.items() if is_known])
        traces = {name: _Trace.of(name, rows.get(name, {})) for name in known}
        news: dict[int, bool] = {}
        for index, report in reports.items():
            trace = traces[self._name(report)]
            if report.span_id not in trace.spans and len(trace.spans) >= MOST_SPANS:
                whole[index] = Rejection(
                    place=f"trace {report.trace_id}, span {report.span_id}",
                    reason="trace_too_large",
                    message=f"a trace has at most {MOST_SPANS} spans; begin another one, or send"
                    " calls of models only",
                    key=report.span_id,
                )
                continue
            is_new = trace.add(report.span_id, told_by(report))
            news[index] = is_new or trace.is_open(report.span_id)
        changed = {self._name(report) for index, report in reports.items() if news.get(index)}
        for name in traces.keys() - changed:
            traces[name].settled.states = traces[name].states()
        return traces, news

    def _settle(self, trace: _Trace) -> None:
        if trace.settled.states:
            return

        def build(
            span_id: str, call: Call, version: int, said_at: datetime
        ) -> PreparedEvent | Rejection:
            return self._built(trace.name, span_id, call, version, said_at)

        settled = settle(trace.spans, trace.states(), build)
        changed = {each.key: (each.occurred_at, each.reason) for each in settled.standings}
        closed = late_usage.closed_months({at.date() for at, _ in changed.values()}, now=self._now)
        if closed:
            trace.held = next(iter(closed.values()))
            late_usage.hold(changed, source=trace.name.source, now=self._now)
            trace.settled = Settlement(
                states={
                    span_id: trace.state(span_id)._replace(place="held", reason=late_usage.REASON)
                    if trace.state(span_id).event_key is None
                    else trace.state(span_id)
                    for span_id in trace.spans
                },
                refused=settled.refused,
            )
        else:
            trace.settled = settled

    def _built(
        self, trace: TraceName, span_id: str, call: Call, version: int, said_at: datetime
    ) -> PreparedEvent | Rejection:
        scoped = f"{trace.trace_id}@{trace.tenant}" if trace.tenant else trace.trace_id
        event = event_of(
            call,
            source=trace.source,
            trace_id=trace.trace_id,
            scope=scoped,
            span_id=span_id,
            version=version,
            first_said_at=said_at,
        )
        if isinstance(event, Rejection):
            return event
        if event.provider not in self._known:
            return unknown_provider(event, self._known, self._hints)
        if event.occurred_at < self._now - self._books.horizon:
            self._late.append(event)
            return Rejection(
                place=event.external_request_id,
                reason="late",
                message=f"occurred at {event.occurred_at.isoformat()}, more than"
                f" {self._books.horizon.days} days ago; kept in the late queue, not counted",
                key=span_id,
            )
        try:
            return prepare(
                event,
                kinds=self._books.kinds,
                hash_key=self._books.hash_key,
                received_at=instant_text(self._now),
                identified=_identified(call.fields),
            )
        except ControlCharacter as error:
            return Rejection(
                place=event.external_request_id,
                reason="control_character",
                message=str(error),
                key=span_id,
            )

    def _store(
        self,
        traces: Mapping[TraceName, _Trace],
        whole: Mapping[int, UsageEvent | Rejection],
    ) -> None:
        """Events first, then what they replace: claims come before the lock of dispositions, as
        they do for every batch."""
        indexes = sorted(whole)
        batch: list[Prepared] = [
            *prepare_batch([whole[index] for index in indexes], self._books, self._now),
            *self._late,
        ]
        made = [item for trace in traces.values() for item in trace.settled.events.values()]
        outcomes = store([*batch, *made], books=self._books, now=self._now)
        for index, outcome in zip(indexes, outcomes[: len(indexes)], strict=True):
            self._outcomes[index] = msgspec.structs.replace(outcome, index=index)
        stored = zip(made, outcomes[len(batch) :], strict=True)
        self._stored = {item.key: outcome for item, outcome in stored}
        standings = [each for trace in traces.values() for each in trace.settled.standings]
        if standings:
            lock_changes()
            leaving = [each.key for each in standings if each.state != "counted"]
            back = {each.key: each.occurred_at for each in standings if each.state == "counted"}
            if release(leaving, self._means):
                back |= {item.key: item.event.occurred_at for item in made}
            decide(standings, author=AUTHOR, now=self._now)
            join_again(back, self._means)
        trace_rows.save(
            dict(row for trace in traces.values() for row in trace.rows()), now=self._now
        )

    def _outcome(self, index: int, report: CallReport, trace: _Trace, *, is_new: bool) -> Outcome:
        span_id = report.span_id
        place = f"trace {report.trace_id}, span {span_id}"
        refused = trace.settled.refused.get(span_id)
        if refused is not None:
            return Outcome(
                index=index,
                outcome="rejected",
                key=refused.key,
                reason=refused.reason,
                message=refused.message,
                place=place,
            )
        if trace.held is not None and is_new:
            return Outcome(
                index=index,
                outcome="accepted",
                key=trace.state(span_id).event_key,
                reason=late_usage.REASON,
                message=f"kept, but not counted: it would change what is closed ({trace.held});"
                " it waits for the month to be reopened (manage.py late_usage)",
                place=place,
            )
        state = trace.settled.states.get(span_id, trace.state(span_id))
        if state.place in ("silent", "waiting"):
            return Outcome(
                index=index,
                outcome="accepted" if is_new else "duplicate",
                reason=state.reason,
                message=_SAID[state.reason],
                place=place,
            )
        return self._counted(index, trace, span_id, state, place)

    def _counted(
        self, index: int, trace: _Trace, span_id: str, state: SpanState, place: str
    ) -> Outcome:
        item = trace.settled.events.get(span_id)
        if item is None:
            again = not trace.state(span_id).counts
            return Outcome(
                index=index, outcome="amended" if again else "duplicate", key=state.event_key
            )
        stored = msgspec.structs.replace(self._stored[item.key], index=index)
        if stored.outcome == "accepted" and state.version > 1:
            return msgspec.structs.replace(stored, outcome="amended")
        return stored if stored.reason is None else msgspec.structs.replace(stored, place=place)


def _identified(fields: Mapping[str, object]) -> tuple[bytes | None, UserKind]:
    for name, (_, kind) in _NAMESPACES.items():
        hashed = fields.get(name)
        if hashed is not None:
            return bytes.fromhex(str(hashed)), kind
    return None, "unknown"


def _share_tenant(share: object) -> str | None:
    if isinstance(share, Mapping):
        found = share.get("tenantId", share.get("tenant_id"))
        return None if found is None else str(found)
    return str(getattr(share, "tenant_id", "")) or None
