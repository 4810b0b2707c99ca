"""What a check yields: something that does not hold, at most `LIMIT` of a kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from django.db import connection

from metering.domain.money import plain

LIMIT: Final = 20


class Finding(NamedTuple):
    """Something that does not hold: which check, which row, and how it differs."""

    check: str
    where: str
    what: str


def rows(sql: str, parameters: dict[str, Any], *, most: int = LIMIT) -> Iterator[tuple[Any, ...]]:
    """The first rows of a query, `LIMIT` unless it asks for more."""
    with connection.cursor() as cursor:
        # Materialized: told of a limit, the planner would look for the first few in the order
        # of an index, and where nothing is wrong it would read all of it that way.
        cursor.execute(
            f"WITH found AS MATERIALIZED ({sql}) SELECT * FROM found LIMIT {most}", parameters
        )
        yield from cursor.fetchall()


def said(
    sums: Sequence[str],
    values: Sequence[Decimal | int | None],
    *,
    of: tuple[str, str] = ("raw", "rollup"),
) -> str:
    """What differs in a cell of which one side's sums come first, then the other's."""
    differing = [
        (name, raw, rolled)
        for name, raw, rolled in zip(sums, values[: len(sums)], values[len(sums) :], strict=True)
        if (raw or 0) != (rolled or 0)
    ]
    sides = [
        "nothing"
        if all(side is None for side in values)
        else ", ".join(
            f"{name} {plain(Decimal(value or 0))}"
            for (name, *_), value in zip(differing, values, strict=True)
        )
        for values in ([raw for _, raw, _ in differing], [rolled for _, _, rolled in differing])
    ]
    return f"{of[0]}: {sides[0]}; {of[1]}: {sides[1]}"
