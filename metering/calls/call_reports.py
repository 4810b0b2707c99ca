"""Calls that are told in reports: the one way in for formats that speak of the spans of a trace.

A batch is one transaction, in which several senders' messages may be taken in (`take_together`).
What it says is joined with what was known of its traces; the difference
between the calls that now count and the events that are there is stored: new events, and
dispositions of those that they replace. So it makes no difference in which order, in how many
batches and how often the same is told (`trace_settlement`, `domain.traces`). A trace that a batch
tells as a whole, and of which nothing was known, comes to the same by a shorter way
(`whole_traces`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

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

Item = CallReport | Rejection | UsageEvent


class Delivery(NamedTuple):
    """What one sender tells at once. `tenant` is the only one that it may send for (`None`: any);
    whole events go the way of all events."""

    source: str
    tenant: str | None
    items: Sequence[Item]


_Place = tuple[int, int]
"""Which delivery, and which item of it."""
_T = TypeVar("_T")
_RETRIED: Final = (errors.DeadlockDetected, errors.SerializationFailure)


def take(
    reports: Sequence[Item],
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
    (outcomes,) = take_together([Delivery(source, key_tenant, reports)], now=now, books=books)
    return outcomes


def take_together(
    deliveries: Sequence[Delivery], *, now: datetime, books: Books
) -> list[list[Outcome]]:
    """As `take`, of several deliveries, in one transaction: the outcomes of each.

    What two of them tell of one trace is joined as if one had told it.
    """
    return _in_one_transaction(lambda batch: batch.take(deliveries), books, now)


def settle_again(trace: TraceName, *, now: datetime) -> None:
    """Do what follows from what is known of a trace, if something else let it wait."""
    _in_one_transaction(lambda batch: batch.settle_again(trace), Books.current(), now)


def _in_one_transaction(do: Callable[[_Batch], _T], books: Books, now: datetime) -> _T:
    """Do it with a batch of its own, again where others came between; what comes to a month that
    is closed first is received later."""
    attempt = 1
    while True:
        try:
            with transaction.atomic():
                return do(_Batch(books, now))
        except (*_RETRIED, OperationalError) as error:
            retried = isinstance(error, _RETRIED) or isinstance(error.__cause__, _RETRIED)
            if not retried or attempt == ATTEMPTS or connection.in_atomic_block:
                raise
            attempt += 1
        except late_usage.ClosedMeanwhile as closed:
            if attempt == ATTEMPTS:
                raise
            attempt += 1
            now = closed.since


class _Batch:
    """One batch within its transaction."""

    def __init__(self, books: Books, now: datetime) -> None:
        self._books = books
        self._now = now
        self._admissions: dict[tuple[str, str], Admission] = {}
        self._maker, self._trial = Maker(books, now), Maker(books, now)
        self._means = Means(books.owners, books.prices, now, lambda made: write_made(made, now))
        self._reports: dict[_Place, tuple[TraceName, CallReport]] = {}
        self._refused: dict[_Place, UsageEvent | Rejection] = {}
        self._news: dict[_Place, bool] = {}

    def take(self, deliveries: Sequence[Delivery]) -> list[list[Outcome]]:
        """The outcomes of each delivery's items, in their order."""
        told: dict[TraceName, dict[_Place, CallReport]] = {}
        for number, delivery in enumerate(deliveries):
            self._sort_out(number, delivery, told)
        wholes, known = self._join(told)
        for trace in known.values():
            self._settle(trace)
        events = [item for whole in wholes.values() for item in whole.events.values()]
        outcomes, stored = self._store(events, known.values())
        for name, whole in wholes.items():
            for place, report in told[name].items():
                outcomes[place] = of_whole(place[1], report, whole, stored)
        for place, (name, report) in self._reports.items():
            outcomes[place] = of_known(
                place[1], report, known[name], stored, is_new=self._news[place]
            )
        return [
            [outcomes[number, index] for index in range(len(delivery.items))]
            for number, delivery in enumerate(deliveries)
        ]

    def _sort_out(
        self, number: int, delivery: Delivery, told: dict[TraceName, dict[_Place, CallReport]]
    ) -> None:
        """Add to `told` what the delivery tells of each trace; what is no report is set aside."""
        source, tenant, items = delivery
        of_trace: dict[str, dict[_Place, CallReport]] = {}
        for index, item in enumerate(items):
            if isinstance(item, CallReport):
                reports = of_trace.get(item.trace_id)
                if reports is None:
                    name = TraceName(source, tenant or "", item.trace_id)
                    reports = of_trace[item.trace_id] = told.setdefault(name, {})
                reports[number, index] = item
            else:
                self._refused[number, index] = (
                    item if tenant is None else within_tenant(item, tenant)
                )

    def _admission(self, name: TraceName) -> Admission:
        """What whoever tells of the trace may say."""
        sender = name.source, name.tenant
        known = self._admissions.get(sender)
        if known is None:
            known = self._admissions[sender] = Admission(
                name.source, name.tenant or None, self._books.hash_key, self._now
            )
        return known

    def settle_again(self, name: TraceName) -> None:
        """Store what follows from what is known of a trace."""
        before = trace_rows.lock([name], {}, now=self._now)[name]
        rows = trace_rows.load([name])[name] if before.told is None else spans_of(name, before.told)
        trace = KnownTrace.of(name, rows, as_told=before.told is not None)
        self._settle(trace)
        self._store([], [trace])

    def _join(
        self, told: Mapping[TraceName, Mapping[_Place, CallReport]]
    ) -> tuple[dict[TraceName, WholeTrace], dict[TraceName, KnownTrace]]:
        """The traces that are told as a whole and were not known, and all others with what is
        told of them."""
        wholes = {name: self._whole(name, [*reports.values()]) for name, reports in told.items()}
        checked = {
            name: self._checked(name, reports)
            for name, reports in told.items()
            if wholes[name] is None
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
            self._add(trace, checked[name] if name in checked else self._checked(name, told[name]))
        return alone, known

    def _whole(self, name: TraceName, reports: Sequence[CallReport]) -> WholeTrace | None:
        if len(reports) > MOST_SPANS:
            return None
        admission = self._admission(name)
        return decide(name, reports, admission=admission, maker=self._trial, now=self._now)

    def _checked(
        self, name: TraceName, reports: Mapping[_Place, CallReport]
    ) -> dict[_Place, CallReport]:
        """The reports as they may be kept, without those that are refused."""
        admission = self._admission(name)
        good: dict[_Place, CallReport] = {}
        for place, report in reports.items():
            checked = admission.checked(report)
            if isinstance(checked, Rejection):
                self._refused[place] = checked
            else:
                good[place] = checked
        return good

    def _add(self, trace: KnownTrace, reports: Mapping[_Place, CallReport]) -> None:
        """Join the reports with what is known of their trace."""
        for place, report in reports.items():
            if report.span_id not in trace.spans and len(trace.spans) >= MOST_SPANS:
                self._refused[place] = Rejection(
                    place=f"trace {report.trace_id}, span {report.span_id}",
                    reason="trace_too_large",
                    message=f"a trace has at most {MOST_SPANS} spans; begin another one, or send"
                    " calls of models only",
                    key=report.span_id,
                )
                continue
            is_new = trace.add(report.span_id, told_by(report))
            self._news[place] = is_new or trace.is_open(report.span_id)
            self._reports[place] = trace.name, report
        if not any(self._news.get(place) for place in reports):
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
    ) -> tuple[dict[_Place, Outcome], dict[str, Outcome]]:
        """Store these events, and what follows of these traces; the outcomes of what is no report
        that was kept, by its place, and of all events, by key.

        Events first, then what they replace: claims come before the lock of dispositions, as they
        do for every batch."""
        places = sorted(self._refused)
        batch: list[Prepared] = [
            *prepare_batch([self._refused[place] for place in places], self._books, self._now),
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
            place: msgspec.structs.replace(outcome, index=place[1])
            for place, outcome in zip(places, outcomes[: len(places)], strict=True)
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
