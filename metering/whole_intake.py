"""Batches that are stored as a whole or not at all, for dialects whose answer has no room to tell
one event from another.

`ingest` gives every event its own outcome. Here one outcome that the dialect cannot tell undoes
the transaction, so that the sender can mend what is named and send everything again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from django.db import connection, transaction
from psycopg import errors

from metering.api_keys import KeyFacts
from metering.domain.usage import Rejection, UsageEvent
from metering.ingestion import ATTEMPTS, Books, ingest
from metering.outcomes import Outcome
from metering.small_intake import Sent, admitted, take

_LATE: Final = "late"


def is_kept(outcome: Outcome) -> bool:
    """Whether people see it though it is not counted: nothing that its sender could mend."""
    return outcome.reason == _LATE


class Whole(NamedTuple):
    """Whether the batch was stored, and the outcome of each of its events: as they are if it was,
    else as they would have been."""

    stored: bool
    outcomes: list[Outcome]


def take_whole(
    key: KeyFacts,
    items: Sequence[UsageEvent | Rejection],
    *,
    refuses: Callable[[Outcome], bool],
    now: datetime,
) -> Whole:
    """Store all of the events unless `refuses` says so of one of their outcomes.

    Raises what `small_intake` does.
    """
    if any(isinstance(item, Rejection) for item in items):
        return Whole(stored=False, outcomes=_unread(items))
    if len(items) <= 1:
        outcomes = take(Sent(key, items)) if items else []
        return Whole(not any(refuses(outcome) for outcome in outcomes), outcomes)
    with admitted(key, now):
        return _together(items, refuses, now)


def _together(
    items: Sequence[UsageEvent | Rejection], refuses: Callable[[Outcome], bool], now: datetime
) -> Whole:
    books = Books.current()
    attempt = 1
    while True:
        try:
            with transaction.atomic():
                outcomes = ingest(items, now=now, books=books)
                stored = not any(refuses(outcome) for outcome in outcomes)
                if not stored:
                    transaction.set_rollback(True)
        except (errors.DeadlockDetected, errors.SerializationFailure):
            if attempt == ATTEMPTS or connection.in_atomic_block:
                raise
            attempt += 1
        else:
            return Whole(stored, outcomes)


def _unread(items: Sequence[UsageEvent | Rejection]) -> list[Outcome]:
    """What those that could not be read are; nobody asked what the others would have been."""
    return [
        Outcome(
            index=index,
            outcome="rejected",
            key=item.key,
            reason=item.reason,
            message=item.message,
            place=item.place,
        )
        for index, item in enumerate(items)
        if isinstance(item, Rejection)
    ]
