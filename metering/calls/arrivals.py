"""What becomes of events that were just stored, beside being counted: reports of a call that
another route reported too are merged with it, and usage of a closed month is queued.

Runs in the batch's transaction. A batch of this month without request ids and traces asks the
database nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from metering.calls import late_usage
from metering.calls.call_routes import Joined, join_routes
from metering.calls.merged_events import Means
from metering.outcomes import Outcome
from metering.prepared_events import PreparedEvent


def settle_arrivals(accepted: Sequence[PreparedEvent], means: Means) -> dict[str, Outcome]:
    """What there is to say of these events, by key, other than that they were accepted; each
    outcome still lacks its index."""
    found: dict[str, Outcome] = {}
    start = means.now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    early = [(item.key, item.event) for item in accepted if item.event.occurred_at < start]
    if early:
        for key, (month, why) in late_usage.queue_arrivals(early, now=means.now).items():
            found[key] = Outcome(
                index=-1,
                outcome="accepted",
                key=key,
                reason=late_usage.REASON,
                message=f"counted, but not in what {month} was closed on: {why}; it waits for a"
                " correction (manage.py late_usage)",
            )
    known = [
        (item.key, item.event)
        for item in accepted
        if item.event.provider_request_id is not None or item.event.trace_id is not None
    ]
    if known:
        for key, joined in join_routes(known, means).items():
            found[key] = _joined(key, joined)
    return found


def _joined(key: str, joined: Joined) -> Outcome:
    sources = " and ".join(joined.sources)
    if joined.in_closed_month:
        return Outcome(
            index=-1,
            outcome="accepted",
            key=key,
            reason=late_usage.REASON,
            message=f"the same call was reported by {sources}; its month is closed, so event"
            f" {joined.counts} goes on counting for both, as it was",
        )
    return Outcome(
        index=-1,
        outcome="amended",
        key=key,
        reason="merged",
        message=f"the same call was reported by {sources}; event {joined.counts} counts for both",
    )
