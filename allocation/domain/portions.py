"""A month's amounts in portions that can be divided apart from each other, by anybody.

A portion is of one pool of one bill; a pool of very many amounts makes several. Dividing the
portions one by one gives, in their order, the lines that dividing all at once gives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple

from allocation.domain.pools import BillKey, DirectAmount, Gathered, PooledAmount
from allocation.domain.rules import NO_POOL

MOST_AMOUNTS: Final = 10_000
"""Amounts in a portion: some seconds' work."""


class Portion(NamedTuple):
    """Amounts of one pool on one bill, in units of 10^-`scale` of the bill's currency."""

    bill: BillKey
    pool: str
    scale: int
    direct: tuple[DirectAmount, ...]
    pooled: tuple[PooledAmount, ...]


def portions(gathered: Gathered, *, most: int = MOST_AMOUNTS) -> tuple[Portion, ...]:
    """Everything that was gathered, each amount once; directly divided pools come first."""
    direct: defaultdict[tuple[BillKey, str], list[DirectAmount]] = defaultdict(list)
    pooled: defaultdict[tuple[BillKey, str], list[PooledAmount]] = defaultdict(list)
    for amount in gathered.direct:
        direct[amount.bill, amount.pool].append(amount)
    for held in gathered.pooled:
        pooled[held.bill, NO_POOL if held.pool is None else held.pool.name].append(held)
    scales = gathered.scales
    return (
        *(
            Portion(bill, pool, scales[bill], chunk, ())
            for (bill, pool), amounts in direct.items()
            for chunk in _chunks(amounts, most)
        ),
        *(
            Portion(bill, pool, scales[bill], (), tuple(amounts))
            for (bill, pool), amounts in pooled.items()
        ),
    )


def providers(gathered: Gathered) -> dict[BillKey, str]:
    """Whose bill each is."""
    found: dict[BillKey, str] = {}
    for amount in gathered.direct:
        found.setdefault(amount.bill, amount.cell.provider)
    for pooled in gathered.pooled:
        found.setdefault(pooled.bill, pooled.provider)
    return found


def _chunks(amounts: list[DirectAmount], most: int) -> Iterator[tuple[DirectAmount, ...]]:
    for start in range(0, len(amounts), most):
        yield tuple(amounts[start : start + most])
