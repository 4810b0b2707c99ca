"""Acts that begin at one moment, in threads with connections of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg
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


def until_somebody_waits(owner: psycopg.Connection[Any], locktype: str) -> None:
    """Return once a connection waits for a lock of that type (as `pg_locks` names it)."""
    for _ in range(3_000):
        waiting = owner.execute(
            "SELECT count(*), pg_sleep(0.01)::text FROM pg_locks WHERE NOT granted"
            " AND locktype = %s",
            [locktype],
        ).fetchone()
        if waiting is not None and waiting[0]:
            return
    raise AssertionError(f"nobody waits for a lock of the type {locktype}")
