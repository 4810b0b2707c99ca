"""The scan of a month by several processes, a day at a time each."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from typing import Final, NamedTuple

import django
from django.db import connection, connections

from metering.domain.periods import Month
from metering.domain.price_book import PriceBook
from metering.pricing import catalogue
from metering.pricing.rating_scan import differing_keys
from metering.rollups import USAGE

WORKERS: Final = 2
WORTH_IT: Final = 50_000
"""Events of a month below which one process is done before two have begun."""


class Day(NamedTuple):
    """How many events of a UTC day were looked at, and whose rating differs."""

    day: date
    looked_at: int
    keys: list[str]


def differing_days(month: Month, book: PriceBook, *, model: str | None) -> Iterator[Day]:
    """Every day of the month in its order. A transaction is worked on alone: no other process
    could see what it did."""
    days = month.period.days()
    alone = connection.in_atomic_block or (os.cpu_count() or 1) == 1
    if alone or _events(month) < WORTH_IT:
        for day in days:
            yield Day(day, *differing_keys(day, book, model=model))
        return
    # A fork has Django, its settings and the book at once; elsewhere a fork is not safe beside
    # system libraries that run threads.
    method = "fork" if sys.platform == "linux" else "spawn"
    name = str(connection.settings_dict["NAME"])
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(WORKERS, context, _start, (name,)) as pool:
        futures = [(day, pool.submit(_scan, day, model)) for day in days]
        try:
            for day, future in futures:
                yield Day(day, *future.result())
        finally:
            pool.shutdown(cancel_futures=True)


def _events(month: Month) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT coalesce(sum(events), 0) FROM {USAGE.relation()} cells"
            " WHERE bucket_at >= %s AND bucket_at < %s",
            [month.period.start, month.period.end],
        )
        return int(cursor.fetchone()[0])


def _start(database: str) -> None:
    if not django.apps.apps.ready:
        django.setup()
    # The parent's connection came along with a fork; closing it here would end it there.
    connections["default"].connection = None
    connections["default"].settings_dict["NAME"] = database


def _scan(day: date, model: str | None) -> tuple[int, list[str]]:
    return differing_keys(day, catalogue.load_book(), model=model)
