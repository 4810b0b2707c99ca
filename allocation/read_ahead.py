"""What is read beside other work, by a thread of its own on a connection of its own.

What a close has to read of the month's events: the evidence under the cost centres' statements and
the buckets that are sealed are each a pass over every event of the month, and neither needs
anything of the other, nor of what is asked before a close. So they are read while that is asked.
All three see what is committed, statement by statement, as one after the other would. Inside
somebody else's transaction, which no other connection could see into, they are read one after the
other when they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple, TypeVar

from django.db import connections

from allocation.models import AllocationSettlement
from allocation.models import Statement as IssuedStatement
from metering import seals
from metering.domain.periods import Month
from metering.evidence import Evidence, Selection, evidence_for
from metering.seals import BookBuckets

_Read = TypeVar("_Read")


class ReadAhead(NamedTuple):
    """What is being read: to be asked for in the order in which it is needed.

    `proofs` is the evidence of each of these cost centres, `buckets` of both books.
    """

    proofs: Callable[[Month, Sequence[str]], list[Evidence]]
    buckets: Callable[[], dict[str, BookBuckets]]


@contextmanager
def beside(read: Callable[[], _Read], *, alone: bool) -> Iterator[Callable[[], _Read]]:
    """Begin to read; the block is given what waits for it. `alone` reads when it is asked."""
    if alone:
        yield read
        return
    with ThreadPoolExecutor(1, "beside") as pool:
        yield _begun(pool, read).result


def proofs(month: Month, centres: Sequence[str]) -> list[Evidence]:
    """The evidence under the month's statement of each cost centre, in one pass over the events."""
    return evidence_for([Selection(period=month.period, cost_centre=code) for code in centres])


@contextmanager
def read_ahead(
    month: Month, run_id: int | None, *, now: datetime, alone: bool
) -> Iterator[ReadAhead]:
    """Begin to read for a close on the run; `alone` reads nothing ahead, and all of it here."""
    if alone:
        yield ReadAhead(proofs, lambda: seals.buckets(month, now))
        return
    expected = _centres_to_prove(run_id)
    with ThreadPoolExecutor(2, "close") as pool:
        proving = _begun(pool, lambda: proofs(month, expected))
        sealing = _begun(pool, lambda: seals.buckets(month, now))

        def proved(of: Month, centres: Sequence[str]) -> list[Evidence]:
            same = of == month and list(centres) == expected
            return proving.result() if same else proofs(of, centres)

        yield ReadAhead(proved, sealing.result)


def _centres_to_prove(run_id: int | None) -> list[str]:
    """Those that bear something of the run, if their statements are still to be issued."""
    if IssuedStatement.objects.filter(run=run_id).exists():
        return []
    bearing = AllocationSettlement.objects.filter(run=run_id).order_by("cost_centre")
    return list(bearing.values_list("cost_centre", flat=True).distinct())


def _begun(pool: ThreadPoolExecutor, read: Callable[[], _Read]) -> Future[_Read]:
    def on_its_own_connection() -> _Read:
        try:
            return read()
        finally:
            connections.close_all()

    return pool.submit(on_its_own_connection)
