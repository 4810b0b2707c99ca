"""Calls that are told in reports: the one way in for formats that speak of the spans of a trace.

A batch is one transaction. What it says is joined with what was known of its traces; the difference
between the calls that now count and the events that are there is stored: new events, and
dispositions of those that they replace. So it makes no difference in which order, in how many
batches and how often the same is told (`trace_settlement`, `domain.traces`). A trace that a batch
tells as a whole, and of which nothing was known, comes to the same by a shorter way
(`whole_traces`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from django.db import OperationalError, connection, transaction
from psycopg import errors

from metering.calls import late_usage, trace_rows
from metering.calls.call_routes import join_again, release
from metering.calls.known_traces import KnownTrace
from metering.calls.made_events import Maker
from metering.calls.merged_events import Means
from metering.calls.report_admission import Admission
from metering.calls.report_outcomes import of_known, of_whole
from metering.calls.trace_rows import TraceName
from metering.calls.trace_settlement import settle
from metering.calls.whole_traces import WholeTrace, decide, spans_of
from metering.dispositions import Standing, lock_changes
from metering.dispositions import decide as decide_standings
from metering.domain.call_reports import CallReport, told_by
from metering.domain.tenancy import within_tenant
from metering.domain.traces import Call
from metering.domain.usage import Rejection, UsageEvent
from metering.ingestion import ATTEMPTS, Books, Prepared, prepare_batch, store, write_made
from metering.outcomes import Outcome
from metering.prepared_events import PreparedEvent

AUTHOR: Final = "reports of calls"
MOST_SPANS: Final = 5_000
"""Of one trace. Each batch of a trace reads all of it."""

_RETRIED: Final = (errors.DeadlockDetected, errors.SerializationFailure)


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


class _Batch:
    """One batch within its transaction."""

    def __init__(self, source: str, key_tenant: str | None, books: Books, now: datetime) -> None:
        self._source = source
        self._tenant = key_tenant
        self._books = books
        self._now = now
        self._admission = Admission(source, key_tenant, books.hash_key, now)
        self._maker, self._trial = Maker(books, now), Maker(books, now)
        self._means = Means(books.owners, books.prices, now, lambda made: write_made(made, now))
        self._reports: dict[int, CallReport] = {}
        self._refused: dict[int, UsageEvent | Rejection] = {}
        self._news: dict[int, bool] = {}

    def take(self, items: Sequence[CallReport | Rejection | UsageEvent]) -> list[Outcome]:
        """The outcomes of the items, in their order."""
        told: dict[TraceName, dict[int, CallReport]] = {}
        for index, item in enumerate(items):
            if isinstance(item, CallReport):
                told.setdefault(self._name(item), {})[index] = item
            else:
                self._refused[index] = (
                    item if self._tenant is None else within_tenant(item, self._tenant)
                )
        wholes, known = self._join(told)
        for trace in known.values():
            self._settle(trace)
        events = [item for whole in wholes.values() for item in whole.events.values()]
        outcomes, stored = self._store(events, known.values())
        for name, reports in told.items():
            if name in wholes:
                for index, report in reports.items():
                    outcomes[index] = of_whole(index, report, wholes[name], stored)
        for index, report in self._reports.items():
            outcomes[index] = of_known(
                index, report, known[self._name(report)], stored, is_new=self._news[index]
            )
        return [outcomes[index] for index in range(len(items))]

    def settle_again(self, name: TraceName) -> None:
        """Store what follows from what is known of a trace."""
        before = trace_rows.lock([name], {}, now=self._now)[name]
        rows = trace_rows.load([name])[name] if before.told is None else spans_of(name, before.told)
        trace = KnownTrace.of(name, rows, as_told=before.told is not None)
        self._settle(trace)
        self._store([], [trace])

    def _name(self, report: CallReport) -> TraceName:
        return TraceName(self._source, self._tenant or "", report.trace_id)

    def _join(
        self, told: Mapping[TraceName, Mapping[int, CallReport]]
    ) -> tuple[dict[TraceName, WholeTrace], dict[TraceName, KnownTrace]]:
        """The traces that are told as a whole and were not known, and all others with what is
        told of them."""
        wholes = {name: self._whole(name, [*reports.values()]) for name, reports in told.items()}
        checked = {
            name: self._checked(reports) for name, reports in told.items() if wholes[name] is None
        }
        texts = {name: whole.told for name, whole in wholes.items() if whole is not None}
        wanted = [name for name in told if name in texts or checked[name]]
        before = trace_rows.lock(wanted, texts, now=self._now)
        alone = {
            name: whole
            for name, whole in wholes.items()
            if whole is not None and not before[name].known
        }
        parted = [name for name in wanted if before[name].known and before[name].told is None]
        rows = trace_rows.load(parted)
        known: dict[TraceName, KnownTrace] = {}
        for name in wanted:
            if name in alone:
                continue
            as_told = before[name].told
            spans = rows.get(name, {}) if as_told is None else spans_of(name, as_told)
            trace = known[name] = KnownTrace.of(name, spans, as_told=as_told is not None)
            self._add(trace, checked[name] if name in checked else self._checked(told[name]))
        return alone, known

    def _whole(self, name: TraceName, reports: Sequence[CallReport]) -> WholeTrace | None:
        if len(reports) > MOST_SPANS:
            return None
        return decide(name, reports, admission=self._admission, maker=self._trial, now=self._now)

    def _checked(self, reports: Mapping[int, CallReport]) -> dict[int, CallReport]:
        """The reports as they may be kept, without those that are refused."""
        good: dict[int, CallReport] = {}
        for index, report in reports.items():
            checked = self._admission.checked(report)
            if isinstance(checked, Rejection):
                self._refused[index] = checked
            else:
                good[index] = checked
        return good

    def _add(self, trace: KnownTrace, reports: Mapping[int, CallReport]) -> None:
        """Join the reports with what is known of their trace."""
        for index, report in reports.items():
            if report.span_id not in trace.spans and len(trace.spans) >= MOST_SPANS:
                self._refused[index] = Rejection(
                    place=f"trace {report.trace_id}, span {report.span_id}",
                    reason="trace_too_large",
                    message=f"a trace has at most {MOST_SPANS} spans; begin another one, or send"
                    " calls of models only",
                    key=report.span_id,
                )
                continue
            is_new = trace.add(report.span_id, told_by(report))
            self._news[index] = is_new or trace.is_open(report.span_id)
            self._reports[index] = report
        if not any(self._news.get(index) for index in reports):
            trace.settled.states = trace.states()

    def _settle(self, trace: KnownTrace) -> None:
        if trace.settled.states:
            return

        def build(
            span_id: str, call: Call, version: int, said_at: datetime
        ) -> PreparedEvent | Rejection:
            return self._maker.made(trace.name, span_id, call, version, said_at)

        trace.settled = settle(trace.spans, trace.states(), build)
        changed = {each.key: (each.occurred_at, each.reason) for each in trace.settled.standings}
        closed = late_usage.closed_months({at.date() for at, _ in changed.values()}, now=self._now)
        if closed:
            late_usage.hold(changed, source=trace.name.source, now=self._now)
            trace.hold(next(iter(closed.values())))

    def _store(
        self, events: Iterable[PreparedEvent], traces: Collection[KnownTrace]
    ) -> tuple[dict[int, Outcome], dict[str, Outcome]]:
        """Store these events, and what follows of these traces; the outcomes of what is no report
        that was kept, by index, and of all events, by key.

        Events first, then what they replace: claims come before the lock of dispositions, as they
        do for every batch."""
        indexes = sorted(self._refused)
        batch: list[Prepared] = [
            *prepare_batch([self._refused[i] for i in indexes], self._books, self._now),
            *self._maker.late,
        ]
        made = [
            *events,
            *(item for trace in traces for item in trace.settled.events.values()),
        ]
        outcomes = store([*batch, *made], books=self._books, now=self._now)
        of_made = zip(made, outcomes[len(batch) :], strict=True)
        stored = {item.key: outcome for item, outcome in of_made}
        self._replace([item for trace in traces for item in trace.settled.standings], made)
        rows = [trace.rows() for trace in traces]
        trace_rows.save({place: row for each in rows for place, row in each.items()}, now=self._now)
        trace_rows.part(
            trace.name for trace, each in zip(traces, rows, strict=True) if each and trace.as_told
        )
        return {
            index: msgspec.structs.replace(outcome, index=index)
            for index, outcome in zip(indexes, outcomes[: len(indexes)], strict=True)
        }, stored

    def _replace(self, standings: Sequence[Standing], made: Sequence[PreparedEvent]) -> None:
        if not standings:
            return
        lock_changes()
        leaving = [each.key for each in standings if each.state != "counted"]
        back = {each.key: each.occurred_at for each in standings if each.state == "counted"}
        if release(leaving, self._means):
            back |= {item.key: item.event.occurred_at for item in made}
        decide_standings(standings, author=AUTHOR, now=self._now)
        join_again(back, self._means)
