"""A trace at work: what is known of its spans before and after a batch, and what follows."""

from __future__ import annotations

from dataclasses import dataclass, field

from metering.calls import late_usage, trace_rows
from metering.calls.trace_rows import SpanRow, TraceName
from metering.calls.trace_settlement import NEW, Settlement, SpanState
from metering.domain.call_reports import Span, join


@dataclass
class KnownTrace:
    """A trace, span by span. `as_told`: it has no row for each span yet. `held` says which closed
    month forbids what would follow."""

    name: TraceName
    before: dict[str, SpanRow]
    as_told: bool
    spans: dict[str, Span]
    texts: dict[str, bytes]
    settled: Settlement = field(default_factory=Settlement)
    held: str | None = None

    @classmethod
    def of(cls, name: TraceName, rows: dict[str, SpanRow], *, as_told: bool = False) -> KnownTrace:
        return cls(
            name,
            rows,
            as_told,
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

    def hold(self, why: str) -> None:
        """Leave the events as they are; what would follow waits for the month to be reopened."""
        self.held = why
        states = {span_id: self.state(span_id) for span_id in self.spans}
        self.settled = Settlement(
            states={
                span_id: state._replace(place="held", reason=late_usage.REASON)
                if state.event_key is None
                else state
                for span_id, state in states.items()
            },
            refused=self.settled.refused,
        )

    def rows(self) -> dict[tuple[TraceName, str], SpanRow]:
        """The spans that are to be stored: those that are not as they were, and if any is, all of
        a trace that was kept as told."""
        after = {span_id: self._row(span_id) for span_id in self.texts}
        changed = [span_id for span_id, row in after.items() if self._differs(span_id, row)]
        if changed and self.as_told:
            changed = list(after)
        return {(self.name, span_id): after[span_id] for span_id in changed}

    def _row(self, span_id: str) -> SpanRow:
        state = self.settled.states.get(span_id, self.state(span_id))
        return SpanRow(self.spans[span_id], self.texts[span_id], state)

    def _differs(self, span_id: str, row: SpanRow) -> bool:
        known = self.before.get(span_id)
        return known is None or row[1:] != known[1:]
