"""Messages that tell of calls (spans, runs): those that come at the same time are committed
together.

A message is handed to the process's committer for them as it came. Its thread interprets what
several have told, and stores it as one transaction: fewer commits, fewer exchanges with the
database, fewer rows for the rollups' tails, and one thread that works while the others only wait,
instead of taking the interpreter from each other.

Messages that tell of one trace are not joined, but taken one after the other in the order in which
they came: each is answered as if it had come alone. Each of these rounds is a transaction: if a
later one fails, what an earlier one stored is found as told before when it is done or sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from django.db import close_old_connections, connection

from metering.api_keys import KeyFacts, refusals
from metering.calls.call_reports import Delivery, Item, take_together
from metering.domain.call_reports import CallReport
from metering.group_commit import GroupCommit
from metering.ingestion import DATABASE_DOWN, Books
from metering.outcomes import Outcome
from metering.small_intake import senders

GROUP: Final = 4_000
"""Spans of a group, at most, unless one message has more: a second's work or two."""
WAITING: Final = 40_000
"""Spans that may wait in a process, of which one sender may have half: some ten seconds' work."""

Read = Callable[[Books, datetime], Sequence[Item]]
"""Reads what a message tells with these books, received at that instant."""


class Message(NamedTuple):
    """A message of so many spans, and whose key it came with."""

    key: KeyFacts
    read: Read
    size: int


class Taken(NamedTuple):
    """What a message told, and one outcome for each item, in their order."""

    items: Sequence[Item]
    outcomes: list[Outcome]


def take_message(message: Message) -> Taken:
    """Store what a message tells, and answer after the commit.

    Raises `KeyRefused`, one of `small_intake.NOT_TAKEN`, what `read` raises, or what the database's
    failing raises.
    """
    if connection.in_atomic_block:
        # Whoever has opened a transaction must find it there, and may yet undo it.
        (answer,) = _perform([message])
        if isinstance(answer, Exception):
            raise answer
        return answer
    return _committer.do(message, size=message.size)


def _commit(group: Sequence[Message]) -> list[Taken | Exception]:
    close_old_connections()
    return _perform(group)


class _Read(NamedTuple):
    delivery: Delivery
    place: int


def _perform(group: Sequence[Message]) -> list[Taken | Exception]:
    now = datetime.now(UTC)
    answers: dict[int, Taken | Exception] = {}
    read: list[_Read] = []
    refused = refusals({message.key.id for message in group}, now)
    books = Books.current()
    for place, (key, reader, _) in enumerate(group):
        if key.id in refused:
            answers[place] = refused[key.id]
            continue
        assert key.source is not None, "a key that sends has a source"
        read.append(_Read(Delivery(key.source, key.tenant, reader(books, now)), place))
    with senders(group):
        for joined in _rounds(read):
            deliveries = [each.delivery for each in joined]
            told = take_together(deliveries, now=now, books=books)
            for each, outcomes in zip(joined, told, strict=True):
                answers[each.place] = Taken(each.delivery.items, outcomes)
    return [answers[place] for place in range(len(group))]


def _rounds(read: Sequence[_Read]) -> Iterator[list[_Read]]:
    """The messages in rounds, each of which tells of a trace by one message only; of what several
    tell, the one that came first is in the earlier round."""
    rounds: list[list[_Read]] = []
    after: dict[tuple[str, str | None, str], int] = {}
    for each in read:
        source, tenant, items = each.delivery
        traces = {item.trace_id for item in items if isinstance(item, CallReport)}
        names = [(source, tenant, trace) for trace in traces]
        number = max((after.get(name, 0) for name in names), default=0)
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(each)
        after.update(dict.fromkeys(names, number + 1))
    yield from rounds


_committer: Final[GroupCommit[Message, Taken]] = GroupCommit(
    _commit, largest=GROUP, most=WAITING, shared=DATABASE_DOWN, whose=lambda sent: sent.key.id
)
