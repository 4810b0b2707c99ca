"""Large requests that bring usage: those that come at the same time are committed together.

A request of more than `small_intake.SMALL` events is handed to the process's second committer as
it came. Its thread reads, works out and stores the events of several requests as one batch: fewer
commits, fewer rows for the rollups' tails, and one thread that works while the others only wait,
instead of many that take the interpreter from each other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from django.db import close_old_connections, connection
from msgspec import structs

from metering.api_keys import KeyFacts, refusals
from metering.domain.usage import Rejection, UsageEvent
from metering.group_commit import GroupCommit
from metering.ingestion import DATABASE_DOWN, Books, Written, write_batch
from metering.outcomes import Outcome
from metering.small_intake import senders

GROUP: Final = 4_000
"""Events of a group, at most, unless one request has more."""
WAITING: Final = 80_000
"""Events that may wait in a process, of which one sender may have half: some ten seconds' work."""

Read = Callable[[datetime], Sequence[UsageEvent | Rejection]]
"""Reads a request's events, received at that instant."""


class Batch(NamedTuple):
    """A request of so many events, and whose key it came with. `every`: whether each outcome is
    to be told, or only those that are more than accepted."""

    key: KeyFacts
    read: Read
    size: int
    every: bool = False


class Taken(NamedTuple):
    """What became of a request: how many events were accepted without further mention, and the
    outcomes to mention, in the events' order."""

    accepted: int
    outcomes: list[Outcome]


def take_batch(batch: Batch) -> Taken:
    """Store a request's events, and answer after the commit.

    Raises `KeyRefused`, one of `small_intake.NOT_TAKEN`, or what the database's failing raises.
    """
    if connection.in_atomic_block:
        # Whoever has opened a transaction must find the events in it, and may yet undo them.
        (answer,) = _perform([batch])
        if isinstance(answer, Exception):
            raise answer
        return answer
    return _committer.do(batch, size=batch.size)


def _commit(group: Sequence[Batch]) -> list[Taken | Exception]:
    close_old_connections()
    return _perform(group)


def _perform(group: Sequence[Batch]) -> list[Taken | Exception]:
    now = datetime.now(UTC)
    refused = refusals({batch.key.id for batch in group}, now)
    good = [batch for batch in group if batch.key.id not in refused]
    begins: list[int] = []
    items: list[UsageEvent | Rejection] = []
    for batch in good:
        begins.append(len(items))
        items += batch.read(now)
    with senders(group):
        written = write_batch(items, now=now, books=Books.current())
    parted = iter(_parted(good, [*begins, len(items)], written))
    return [refused.get(batch.key.id) or next(parted) for batch in group]


def _parted(group: Sequence[Batch], edges: Sequence[int], written: Written) -> list[Taken]:
    """To each request, whose events lie between two edges, its own."""
    others = sorted(written.others, key=lambda outcome: outcome.index)
    places = [outcome.index for outcome in others]
    found = []
    for batch, begin, end in zip(group, edges, edges[1:], strict=False):
        mentioned = others[bisect_left(places, begin) : bisect_left(places, end)]
        accepted = end - begin - len(mentioned)
        if batch.every:
            mentioned += [
                Outcome(index=index, outcome="accepted", key=key)
                for key, index in written.accepted.items()
                if begin <= index < end
            ]
            mentioned.sort(key=lambda outcome: outcome.index)
            accepted = 0
        if begin:
            mentioned = [structs.replace(o, index=o.index - begin) for o in mentioned]
        found.append(Taken(accepted, mentioned))
    return found


_committer: Final[GroupCommit[Batch, Taken]] = GroupCommit(
    _commit, largest=GROUP, most=WAITING, shared=DATABASE_DOWN, whose=lambda batch: batch.key.id
)
