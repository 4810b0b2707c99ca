"""What a strategy answers: who bears how much of an amount, and by which measure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from metering.domain.cells import Owner

Strategy = Literal["direct", "activity-based", "weighted", "assigned", "rounding"]

DIRECT: Final = "direct"
ACTIVITY_BASED: Final = "activity-based"
WEIGHTED: Final = "weighted"
ASSIGNED: Final = "assigned"
"""Given whole to one owner: a named fallback, or *unallocated*."""
ROUNDING: Final = "rounding"
"""A bill's own rounding to minor units, which nobody bears."""


class SharesDoNotAdd(ValueError):
    """A strategy lost or invented units. Nothing that it answered may be stored."""


class CostShare(NamedTuple):
    """One owner's part of an amount.

    The exact part is amount x `basis_value` x (`weight` or 1) / `basis_total`; `units` is that in
    whole units of the run, of which `rounding_units` (-1, 0 or 1) came by largest remainder.
    `basis` names the measure (`metered_cost`, `quantity`, `requests`, `driver:seats`, …), and
    `basis_total` is its weighted total over all owners of this division. `driver_key` is the model
    or endpoint tag that the weight belongs to (`""`: the strategy knows none). What is assigned
    whole has no measure: its basis says why, and value and total are `None`.
    """

    owner: Owner
    driver_key: str
    units: int
    rounding_units: int
    basis: str
    basis_value: Decimal | None
    basis_total: Decimal | None
    weight: Decimal | None


def conserved(total_units: int, shares: Iterable[CostShare]) -> tuple[CostShare, ...]:
    """The shares, sorted by owner and key, after asserting that they add up to the total."""
    answer = tuple(sorted(shares, key=lambda share: (share.owner, share.driver_key)))
    given = sum(share.units for share in answer)
    if given != total_units:
        raise SharesDoNotAdd(f"{given} units were given out of {total_units}")
    return answer


def assign(total_units: int, owner: Owner, reason: str) -> tuple[CostShare, ...]:
    """The whole amount for one owner, and the reason in place of a measure."""
    return (CostShare(owner, "", total_units, 0, reason, None, None, None),)
