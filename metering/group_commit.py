"""Requests that come at the same time, done together by one thread, which commits once for all.

A commit costs the same for one event as for a thousand, and two transactions that claim keys wait
for each other where they meet. So small requests queue for one committer in each process. It never
waits for company: it takes whatever is there, and while it works the next group gathers. A request
waits for at most the group at work and its own.

Nothing here knows what is done: `perform` is given the group's requests in the order in which they
came, and gives an answer for each. A request's thread has its answer only after `perform` has
returned, so after the commit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Lock, Thread
from typing import Final, Generic, TypeVar, cast

PATIENCE_SECONDS: Final = 20.0
"""After so long without an answer a request is told that it may or may not have been done."""

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Perform = Callable[[Sequence[Request]], Sequence[Answer | Exception]]
"""Does a group of requests as one: an answer for each, or why that one alone was refused. What it
raises has happened to the group as a whole, of which then nothing was done."""


class Overloaded(RuntimeError):
    """More is waiting than can be done in good time. Nothing of the request was done."""


class Unanswered(RuntimeError):
    """The request was not answered in time; whether it is still done is not known."""


class _Waiting(Generic[Request, Answer]):
    """One request and what becomes of it. Its lock is held until something has."""

    __slots__ = ("answered", "outcome", "request", "size")

    def __init__(self, request: Request, size: int) -> None:
        self.request = request
        self.size = size
        self.outcome: Answer | Exception | None = None
        self.answered = Lock()
        self.answered.acquire()

    def answer(self, outcome: Answer | Exception) -> None:
        self.outcome = outcome
        self.answered.release()


class GroupCommit(Generic[Request, Answer]):
    """A queue of requests and the thread that does them, group by group.

    `largest` is the size of a group (in whatever `do` is told of a request's size; one request
    that is larger is a group of its own), `most` what may wait before requests are refused.
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
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._perform = perform
        self._largest = largest
        self._most = most
        self._shared = shared
        self._patience = patience
        self._queue: deque[_Waiting[Request, Answer]] = deque()
        self._size = 0
        self._changed = Condition(Lock())
        self._thread: Thread | None = None

    def do(self, request: Request, *, size: int = 1) -> Answer:
        """Have the request done with whatever else is there; from any thread.

        Raises `Overloaded`, `Unanswered`, or what became of the request or its group.
        """
        waiting: _Waiting[Request, Answer] = _Waiting(request, size)
        with self._changed:
            if self._size + size > self._most and self._queue:
                raise Overloaded(f"{self._size} events are waiting to be stored")
            self._queue.append(waiting)
            self._size += size
            if self._thread is None:
                # Only now: a server's process is forked or spawned after this module is loaded.
                self._thread = Thread(target=self._work, name="group commit", daemon=True)
                self._thread.start()
            self._changed.notify()
        if not waiting.answered.acquire(timeout=self._patience):
            raise Unanswered(f"not answered within {self._patience} seconds")
        outcome = waiting.outcome
        if isinstance(outcome, Exception):
            raise outcome
        return cast("Answer", outcome)  # the lock is released with an outcome only

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    self._changed.wait()
                group = self._next_group()
            self._settle(group)

    def _next_group(self) -> list[_Waiting[Request, Answer]]:
        group = [self._queue.popleft()]
        size = group[0].size
        while self._queue and size + self._queue[0].size <= self._largest:
            group.append(self._queue.popleft())
            size += group[-1].size
        self._size -= size
        return group

    def _settle(self, group: Sequence[_Waiting[Request, Answer]]) -> None:
        try:
            outcomes = self._perform([waiting.request for waiting in group])
            assert len(outcomes) == len(group), "a request was left without an answer"
        except Exception as error:
            if len(group) == 1 or isinstance(error, self._shared):
                for waiting in group:
                    waiting.answer(error)
            else:
                for waiting in group:
                    self._settle([waiting])
        else:
            for waiting, outcome in zip(group, outcomes, strict=True):
                waiting.answer(outcome)
