"""Who had which part of a shared call, laid down beside each revision of it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, Protocol

from django.db import connection

from metering.domain.rating import Rating
from metering.domain.rollup import Part
from metering.domain.usage import COUNTS, UsageEvent

_INPUT: Final = COUNTS.index("input_tokens")
_OUTPUT: Final = COUNTS.index("output_tokens")


class Shared(Protocol):
    """A shared call with its parts, what the shares left included (last)."""

    @property
    def key(self) -> str: ...
    @property
    def event(self) -> UsageEvent: ...
    @property
    def rating(self) -> Rating: ...
    @property
    def parts(self) -> tuple[Part, ...]: ...


def store_shares(shared: Iterable[tuple[Shared, int]]) -> None:
    """Store the parts of these calls, each with the number of its revision, in the caller's
    transaction."""
    rows = list(shared)
    if not rows:
        return
    columns = "event_key, revision, position, occurred_at, tenant, cost_centre, input_tokens"
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY event_share ({columns}, output_tokens, cost) FROM STDIN") as copy,
    ):
        for item, revision in rows:
            unpriced = item.rating.cost is None
            for position, part in enumerate(item.parts):
                cost = sum((c for _, _, c in part.classes if c is not None), Decimal(0))
                copy.write_row(
                    (
                        item.key,
                        revision,
                        position,
                        item.event.occurred_at,
                        part.owner.tenant,
                        part.owner.cost_centre,
                        part.counts[_INPUT],
                        part.counts[_OUTPUT],
                        None if unpriced else cost,
                    )
                )
