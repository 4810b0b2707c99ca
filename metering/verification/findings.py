"""What a check yields: something that does not hold, at most `LIMIT` of a kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from django.db import connection

LIMIT: Final = 20


class Finding(NamedTuple):
    """Something that does not hold: which check, which row, and how it differs."""

    check: str
    where: str
    what: str


def rows(sql: str, parameters: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The first `LIMIT` rows of a query."""
    with connection.cursor() as cursor:
        # Materialized: told of a limit, the planner would look for the first few in the order
        # of an index, and where nothing is wrong it would read all of it that way.
        cursor.execute(
            f"WITH found AS MATERIALIZED ({sql}) SELECT * FROM found LIMIT {LIMIT}", parameters
        )
        yield from cursor.fetchall()
