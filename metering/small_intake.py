"""Small requests that bring usage: those that come at the same time are taken in as one batch.

A request of up to `SMALL` events hands them to the process's committer (`group_commit.py`), which
checks the keys of all senders by one query, claims, stores and commits once, and tells each its
own outcomes. Larger requests are batches already: native ones are `batch_intake`'s, those that
tell of calls in spans or runs are `report_intake`'s, and others commit for themselves, one at a
time in each process (`admitted`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from threading import BoundedSemaphore, Lock
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, cast

import pghistory
from django.db import close_old_connections, connection, connections
from msgspec import structs

from metering.api_keys import KeyFacts, KeyRefused, authenticate, refusals
from metering.domain.usage import Rejection, UsageEvent
from metering.group_commit import GroupCommit, Overloaded, OverShare, Unanswered
from metering.group_store import GroupStore
from metering.ingestion import DATABASE_DOWN, Books, ingest
from metering.outcomes import Outcome

SMALL: Final = 50
"""Events of a request that still waits for company."""
GROUP: Final = 2_000
"""Events of a group, at most: some 0.2 s of work, which is what a request waits for another's."""
WAITING: Final = 4_000
"""Events that may wait in a process: a second's work or two. Beyond it requests are refused, so
that those that were taken are answered in time."""
REMEMBERED: Final = 1_000
LARGE_AT_ONCE: Final = 1
"""Several at work at once take the interpreter from each other, and all are slower for it."""
LARGE_OF_ONE: Final = 24
"""Large requests of one sender, waiting or at work: each takes a thread, of which the server has
some more."""
TURN_SECONDS: Final = 10.0

NOT_TAKEN: Final = (Overloaded, Unanswered)
"""Why a request must be sent again later. Sending again what was stored is harmless."""


class ReadOtherwise(RuntimeError):
    """The events were read as their source is read no longer. Nothing of them was done: they are
    to be read again."""


class Sent(NamedTuple):
    """A request's events and whose key they came with. `read_by`: the version of the owners' book
    that they were read by from memory; that it holds is asked with the group."""

    key: KeyFacts
    items: Sequence[UsageEvent | Rejection]
    read_by: str | None = None


class Keyed(Protocol):
    """A request whose key is known."""

    @property
    def key(self) -> KeyFacts: ...


_turns: Final = BoundedSemaphore(LARGE_AT_ONCE)
_keys: dict[tuple[str, bytes], KeyFacts] = {}


def recall(secret: str, scope: str) -> KeyFacts:
    """Whose key this is, without asking the database if this process has met it before; whether
    it is still good is asked for the whole group. Raises `KeyRefused`."""
    known = remembered(secret, scope)
    if known is None:
        known = authenticate(secret, scope, datetime.now(UTC))
        if len(_keys) >= REMEMBERED:
            _keys.clear()
        _keys[_place_of(secret)] = known
    return known


def remembered(secret: str, scope: str) -> KeyFacts | None:
    """Whose key this is, if this process has met it before."""
    known = _keys.get(_place_of(secret))
    return known if known is not None and known.scope == scope else None


def _place_of(secret: str) -> tuple[str, bytes]:
    digest = sha256(secret.encode("utf-8", "surrogatepass")).digest()
    # (Not the connection's own settings: in an event loop each task would make a connection.)
    return str(connections.databases["default"]["NAME"]), digest


def take(sent: Sent) -> list[Outcome]:
    """One outcome for each of the request's events, in their order, once they are committed.

    Raises `KeyRefused`, one of `NOT_TAKEN`, or what the database's failing raises.
    """
    if connection.in_atomic_block:
        # Whoever has opened a transaction must find the events in it, and may yet undo them.
        (answer,) = _perform([sent])
        if isinstance(answer, Exception):
            raise answer
        return answer
    return _committer.do(sent, size=len(sent.items))


def hand_in(sent: Sent, tell: Callable[[list[Outcome] | Exception], None]) -> None:
    """As `take`, without waiting: `tell` is called by the committer's thread, after the commit.
    It may also be told of `ReadOtherwise`. Raises `Overloaded`."""
    _committer.hand_in(sent, tell, size=len(sent.items))


@contextmanager
def admitted(key: KeyFacts, now: datetime) -> Iterator[None]:
    """Let a large request commit for itself when it is its turn. Its key is asked about here.

    Raises `KeyRefused`, `Overloaded` if it is not its turn within `TURN_SECONDS`, or `OverShare`
    if `LARGE_OF_ONE` of its sender are here already.
    """
    with _large.of(key.id), _turn():
        refused = refusals([key.id], now).get(key.id)
        if refused is not None:
            raise refused
        with pghistory.context(api_key=key.name):
            yield


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=TURN_SECONDS):
        raise Overloaded("other large requests are being stored")
    try:
        yield
    finally:
        _turns.release()


class _Present:
    """How many large requests of each sender are here, at work or waiting for their turn."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    @contextmanager
    def of(self, sender: str) -> Iterator[None]:
        """Count one more. Raises `OverShare`."""
        with self._lock:
            if self._counts[sender] >= self._most:
                raise OverShare(f"{self._most} large requests of one sender are being stored")
            self._counts[sender] += 1
        try:
            yield
        finally:
            with self._lock:
                self._counts[sender] -= 1
                if not self._counts[sender]:
                    del self._counts[sender]


def _commit(group: Sequence[Sent]) -> list[list[Outcome] | Exception]:
    with senders(group):
        now = datetime.now(UTC)
        if all(map(_is_as_read, group)):
            items = [item for sent in group for item in sent.items]
            outcomes = _store.store(items, {sent.key.id for sent in group}, now)
            if outcomes is not None:
                return _parted(group, outcomes)
        close_old_connections()
        books = _store.learn()
        answers = iter(_perform([sent for sent in group if _is_as_read(sent)], lambda: books))
        again = ReadOtherwise("the owners' book has changed since the events were read")
        return [next(answers) if _is_as_read(sent) else again for sent in group]


def _is_as_read(sent: Sent) -> bool:
    """Whether the events were read as they would be by the book that the store knows."""
    return sent.read_by is None or sent.read_by == _store.version


def senders(group: Sequence[Keyed]) -> AbstractContextManager[object]:
    """Who stands in the history of what is changed meanwhile."""
    names = ", ".join(sorted({sent.key.name for sent in group}))
    return cast("AbstractContextManager[object]", pghistory.context(api_key=names[:500]))


def _perform(
    group: Sequence[Sent], books: Callable[[], Books] = Books.current
) -> list[list[Outcome] | Exception]:
    """The usual way, for whatever there is in a group."""
    with senders(group):
        now = datetime.now(UTC)
        refused = refusals({sent.key.id for sent in group}, now)
        good = [sent for sent in group if sent.key.id not in refused]
        items = [item for sent in good for item in sent.items]
        outcomes = ingest(items, now=now, books=books()) if items else []
    return _parted(group, outcomes, refused)


def _parted(
    group: Sequence[Sent],
    outcomes: Sequence[Outcome],
    refused: Mapping[str, KeyRefused] = MappingProxyType({}),
) -> list[list[Outcome] | Exception]:
    """To each request its own outcomes, or why its key was refused."""
    answers: list[list[Outcome] | Exception] = []
    begin = 0
    for sent in group:
        if (refusal := refused.get(sent.key.id)) is not None:
            answers.append(refusal)
            continue
        end = begin + len(sent.items)
        answers.append([_of_request(outcome, begin) for outcome in outcomes[begin:end]])
        begin = end
    return answers


def _of_request(outcome: Outcome, begin: int) -> Outcome:
    """The outcome with the index that its event has in the request that sent it."""
    return structs.replace(outcome, index=outcome.index - begin) if begin else outcome


_large: Final = _Present(LARGE_OF_ONE)
_store: Final = GroupStore()
_committer: Final[GroupCommit[Sent, list[Outcome]]] = GroupCommit(
    _commit, largest=GROUP, most=WAITING, shared=DATABASE_DOWN, whose=lambda sent: sent.key.id
)
