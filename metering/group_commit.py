"""Requests that come at the same time, done together by one thread, which commits once for all.

A commit costs the same for one event as for a thousand, and two transactions that claim keys wait
for each other where they meet. So small requests queue for one committer in each process. While it
works the next group gathers. Senders that were just answered send again at once, so it gives them
up to `GATHER_SECONDS` to come back before it goes on with those that are there; who sends alone
waits for nobody. A request waits for at most that, the group at work and its own.

Nothing here knows what is done: `perform` is given the group's requests in the order in which they
came, and gives an answer for each. Whoever waits is told only after `perform` has returned, so
after the commit.

Nobody takes all the room: of what may wait, a sender may have an equal share, counted among the
senders that have something waiting and one more, so that there is always room for whoever comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from threading import Condition, Lock, Thread
from typing import Final, Generic, TypeVar, cast

PATIENCE_SECONDS: Final = 20.0
"""After so long without an answer a request is told that it may or may not have been done."""

GATHER_SECONDS: Final = 0.02
_ENOUGH: Final = 0.9
"""Which part of the requests that were there last, at work and waiting, makes a group that is not
waited for."""

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Perform = Callable[[Sequence[Request]], Sequence[Answer | Exception]]
"""Does a group of requests as one: an answer for each, or why that one alone was refused. What it
raises has happened to the group as a whole, of which then nothing was done."""


class Overloaded(RuntimeError):
    """More is waiting than can be done in good time. Nothing of the request was done."""


class OverShare(Overloaded):
    """More of this sender's is waiting than its share. Nothing of the request was done."""


class Unanswered(RuntimeError):
    """The request was not answered in time; whether it is still done is not known."""


class _Waiting(Generic[Request, Answer]):
    """One request, whose it is, and who is told what becomes of it."""

    __slots__ = ("request", "size", "tell", "whose")

    def __init__(
        self,
        request: Request,
        size: int,
        whose: Hashable,
        tell: Callable[[Answer | Exception], None],
    ) -> None:
        self.request = request
        self.size = size
        self.whose = whose
        self.tell = tell


class _Told(Generic[Answer]):
    """Where a thread waits for what becomes of its request: the lock is held until then."""

    __slots__ = ("_answered", "_outcome")

    def __init__(self) -> None:
        self._outcome: Answer | Exception | None = None
        self._answered = Lock()
        self._answered.acquire()

    def tell(self, outcome: Answer | Exception) -> None:
        self._outcome = outcome
        self._answered.release()

    def wait(self, seconds: float) -> Answer:
        if not self._answered.acquire(timeout=seconds):
            raise Unanswered(f"not answered within {seconds} seconds")
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return cast("Answer", self._outcome)  # the lock is released with an outcome only


class GroupCommit(Generic[Request, Answer]):
    """A queue of requests and the thread that does them, group by group.

    `largest` is the size of a group (in whatever `do` is told of a request's size; one request
    that is larger is a group of its own), `most` what may wait before requests are refused, and
    `whose` says who sends a request (by default nobody has a share).
    `shared` are errors that would meet every request of a group alike; after any other, each of
    its requests is done by itself, so that one that cannot be done costs nobody else anything.
    """

    def __init__(
        self,
        perform: Perform[Request, Answer],
        *,
        largest: int,
        most: int,
        shared: tuple[type[Exception], ...] = (),
        whose: Callable[[Request], Hashable] | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._perform = perform
        self._largest = largest
        self._most = most
        self._shared = shared
        self._whose = whose
        self._patience = patience
        self._queue: deque[_Waiting[Request, Answer]] = deque()
        self._size = 0
        self._held: dict[Hashable, int] = {}
        self._enough = 1
        self._changed = Condition(Lock())
        self._thread: Thread | None = None

    def do(self, request: Request, *, size: int = 1) -> Answer:
        """Have the request done with whatever else is there; from any thread.

        Raises `Overloaded`, `Unanswered`, or what became of the request or its group.
        """
        told: _Told[Answer] = _Told()
        self.hand_in(request, told.tell, size=size)
        return told.wait(self._patience)

    def hand_in(
        self, request: Request, tell: Callable[[Answer | Exception], None], *, size: int = 1
    ) -> None:
        """As `do`, without waiting: `tell` is called with what became of it, by the thread that
        does the work, which it must not keep. Raises `Overloaded`."""
        whose = None if self._whose is None else self._whose(request)
        with self._changed:
            self._admit(whose, size)
            self._queue.append(_Waiting(request, size, whose, tell))
            self._size += size
            self._held[whose] = self._held.get(whose, 0) + size
            if self._thread is None:
                # Only now: a server's process is forked or spawned after this module is loaded.
                self._thread = Thread(target=self._work, name="group commit", daemon=True)
                self._thread.start()
            if len(self._queue) >= self._enough or self._size >= self._largest:
                self._changed.notify()

    def _admit(self, whose: Hashable, size: int) -> None:
        held = self._held.get(whose, 0)
        senders = len(self._held) + (not held)
        if self._whose is not None and held and held + size > self._most // (senders + 1):
            raise OverShare(f"{held} events of one sender are waiting to be stored")
        if self._queue and self._size + size > self._most:
            raise Overloaded(f"{self._size} events are waiting to be stored")

    def _work(self) -> None:
        present = 0
        while True:
            with self._changed:
                self._gather(present)
                group = self._next_group()
            self._settle(group)
            present = len(group) + len(self._queue)

    def _gather(self, present: int) -> None:
        """Wait for a request; and, if so many were there last, a moment for those to come back,
        unless what is there fills a group."""
        self._enough = int(present * _ENOUGH)
        if len(self._queue) < self._enough and self._size < self._largest:
            self._changed.wait(GATHER_SECONDS)
        self._enough = 1
        while not self._queue:
            self._changed.wait()

    def _next_group(self) -> list[_Waiting[Request, Answer]]:
        group = [self._queue.popleft()]
        size = group[0].size
        while self._queue and size + self._queue[0].size <= self._largest:
            group.append(self._queue.popleft())
            size += group[-1].size
        self._size -= size
        for waiting in group:
            left = self._held[waiting.whose] - waiting.size
            if left:
                self._held[waiting.whose] = left
            else:
                del self._held[waiting.whose]
        return group

    def _settle(self, group: Sequence[_Waiting[Request, Answer]]) -> None:
        try:
            outcomes = self._perform([waiting.request for waiting in group])
            assert len(outcomes) == len(group), "a request was left without an answer"
        except Exception as error:
            if len(group) == 1 or isinstance(error, self._shared):
                for waiting in group:
                    waiting.tell(error)
            else:
                for waiting in group:
                    self._settle([waiting])
        else:
            for waiting, outcome in zip(group, outcomes, strict=True):
                waiting.tell(outcome)
