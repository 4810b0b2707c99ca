"""What PostgreSQL's planner is told of a query that it would misjudge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def added_up_by_hash() -> Iterator[None]:
    """Within, sums by key are put together in a hash table, in a transaction.

    Of a rollup's tail that has just been written there are no statistics: the planner takes it to
    be small, and would sort all of it by the whole of a long key first, which takes longer than
    the sums. For readings of rollups alone: it may also turn a join that it takes to be small into
    a nested loop, which events and what was decided of them are too many for.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_sort = off")
        yield
        cursor.execute("SET LOCAL enable_sort TO DEFAULT")
