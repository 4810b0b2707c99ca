"""The events of calls that were told in reports, prepared like all others; or why there is none."""

from __future__ import annotations

from datetime import datetime

from metering.calls.report_admission import identified
from metering.calls.trace_rows import TraceName
from metering.domain.traces import Call
from metering.domain.usage import Rejection, UsageEvent
from metering.event_rows import instant_text
from metering.formats.reported_calls import event_of
from metering.ingestion import Books, known_providers, unknown_provider
from metering.prepared_events import ControlCharacter, PreparedEvent, prepare


class Maker:
    """Makes the events of one batch. `late` are those that were too old for the ledger."""

    def __init__(self, books: Books, now: datetime) -> None:
        self.late: list[UsageEvent] = []
        self._books = books
        self._oldest = now - books.horizon
        self._received_at = instant_text(now)
        self._known = known_providers(books)
        self._hints: dict[str, str] = {}

    def knows(self, provider: object) -> bool:
        """Whether there may be events of that provider (or of whoever else, if it is no name)."""
        return not isinstance(provider, str) or provider in self._known

    def made(
        self, trace: TraceName, span_id: str, call: Call, version: int, said_at: datetime
    ) -> PreparedEvent | Rejection:
        """The event of a span's call in a version; `said_at` is when the span was first told of."""
        event = event_of(
            call,
            source=trace.source,
            trace_id=trace.trace_id,
            scope=trace.scope,
            span_id=span_id,
            version=version,
            first_said_at=said_at,
        )
        if isinstance(event, Rejection):
            return event
        if event.provider not in self._known:
            return unknown_provider(event, self._known, self._hints)
        if event.occurred_at < self._oldest:
            self.late.append(event)
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
                received_at=self._received_at,
                identified=identified(call.fields),
            )
        except ControlCharacter as error:
            return Rejection(
                place=event.external_request_id,
                reason="control_character",
                message=str(error),
                key=span_id,
            )
