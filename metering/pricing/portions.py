"""A month's events in portions, which several processes at once may each do one of."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from typing import Final, NamedTuple, TypeVar

import django
from django.db import connection, connections

from metering.domain.periods import Month, Period
from metering.events import KeyRange, first_part, key_ranges
from metering.rollups import USAGE

WORKERS: Final = 2
"""Two workers keep two cores and the database busy."""
WORTH_IT: Final = 20_000
"""Events below which one process is done before two have begun."""
SIZE: Final = 40_000
"""About as many events at most are in a portion: its rows are in memory while they are rated."""
WORTH_SAMPLING: Final = 2_000
"""Events of a portion below which all of them are looked at as fast as some."""

_Done = TypeVar("_Done")


class Portion(NamedTuple):
    """Events that are looked at in one go: a UTC day's, of a range of keys. `events`: about how
    many they are."""

    day: date
    keys: KeyRange
    events: int

    @property
    def period(self) -> Period:
        return Period.of_day(self.day)

    @property
    def sample(self) -> KeyRange:
        """Keys of about a sixteenth of its events, whichever they are: keys are digests. Of all of
        them where they are few."""
        return self.keys if self.events < WORTH_SAMPLING else first_part(self.keys, 16)


def portions(month: Month) -> list[Portion]:
    """All portions of the month that have events, the days in their order."""
    first, last = month.first_day(), month.last_day()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT day, sum(events) FROM ("
            " SELECT day, events FROM day_rollup WHERE day BETWEEN %(first)s AND %(last)s"
            " UNION ALL SELECT (bucket_at AT TIME ZONE 'UTC')::date, events"
            f" FROM {USAGE.tail} WHERE bucket_at >= %(start)s AND bucket_at < %(end)s"
            ") days GROUP BY day HAVING sum(events) > 0 ORDER BY day",
            {
                "first": first,
                "last": last,
                "start": month.period.start,
                "end": month.period.end,
            },
        )
        days = [(day, int(events)) for day, events in cursor]
    found = []
    for day, events in days:
        number = -(-events // SIZE)
        found += [Portion(day, keys, events // number) for keys in key_ranges(number)]
    return found


def done_with(act: Callable[[Portion], _Done], whole: Sequence[Portion]) -> Iterator[_Done]:
    """What the act gives for each portion, in their order; by several processes where that pays.
    `act` and its answer must be picklable. In a transaction it is done here: no other process could
    see what the transaction did."""
    alone = connection.in_atomic_block or (os.cpu_count() or 1) == 1
    if alone or sum(portion.events for portion in whole) < WORTH_IT:
        yield from map(act, whole)
        return
    # A fork has Django, its settings and the price book at once; elsewhere a fork is not safe
    # beside system libraries that run threads.
    method = "fork" if sys.platform == "linux" else "spawn"
    name = str(connection.settings_dict["NAME"])
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(WORKERS, context, _start, (name,)) as pool:
        futures = [pool.submit(act, portion) for portion in whole]
        try:
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _start(database: str) -> None:
    if not django.apps.apps.ready:
        django.setup()
    # The parent's connection came along with a fork; closing it here would end it there.
    connections["default"].connection = None
    connections["default"].settings_dict["NAME"] = database
