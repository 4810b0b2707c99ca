"""Who had which part of a shared call, laid down beside each revision of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Final, NamedTuple

from metering import bulk
from metering.domain.money import EXACT, plain
from metering.domain.rating import Rating
from metering.domain.rollup import ClassCost, Part
from metering.domain.usage import COUNTS
from metering.event_rows import NULL

_INPUT: Final = COUNTS.index("input_tokens")
_OUTPUT: Final = COUNTS.index("output_tokens")
COLUMNS: Final = (
    *("event_key", "revision", "position", "occurred_at", "tenant", "cost_centre"),
    *("input_tokens", "output_tokens", "cost"),
)


class DividedEvent(NamedTuple):
    """A revision of a shared call with its parts, what the shares left included (last).
    `occurred_at` in the form of `event_rows.instant_text`."""

    key: str
    revision: int
    occurred_at: str
    rating: Rating
    parts: Sequence[Part]


def store_shares(divided: Iterable[DividedEvent]) -> None:
    """Store the parts of these calls, in the caller's transaction."""
    text = share_lines(divided)
    if text:
        bulk.copy_text("event_share", COLUMNS, text.replace("\\", "\\\\"))


def share_lines(divided: Iterable[DividedEvent]) -> str:
    """A line for each part of these calls, in the order of `COLUMNS`, tab-separated (NULL as
    `NULL`)."""
    lines = []
    for key, revision, occurred_at, rating, parts in divided:
        unpriced = rating.cost is None
        for position, ((cost_centre, tenant), _, counts, classes) in enumerate(parts):
            lines.append(
                f"{key}\t{revision}\t{position}\t{occurred_at}\t{tenant}\t{cost_centre}"
                f"\t{counts[_INPUT]}\t{counts[_OUTPUT]}\t{NULL if unpriced else _cost(classes)}\n"
            )
    return "".join(lines)


def _cost(classes: Iterable[ClassCost]) -> str:
    costs = [cost for _, _, cost in classes if cost is not None]
    return plain(reduce(EXACT.add, costs)) if costs else "0"
