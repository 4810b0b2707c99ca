"""Acts that begin at one moment, in threads with connections of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

_T = TypeVar("_T")


def at_once(*tasks: Callable[[], _T]) -> list[_T]:
    """Start the tasks together, each on a connection of its own."""
    gate = threading.Barrier(len(tasks))

    def begin(task: Callable[[], _T]) -> _T:
        try:
            gate.wait(timeout=30)
            return task()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(begin, tasks))
