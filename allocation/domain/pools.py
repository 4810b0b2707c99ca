"""Which amounts of the month's bills are divided together, and by which measures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NamedTuple

from allocation.domain.bill_lines import BillLine
from allocation.domain.direct import DirectBasis, direct_basis
from allocation.domain.matching import Group, is_capacity
from allocation.domain.rules import (
    NO_POOL,
    AmountKind,
    Direct,
    Measure,
    Pool,
    RuleContent,
    Weighted,
)
from metering.domain.cells import Cell
from metering.domain.drivers import By, DriverQuery
from metering.domain.money import RUN_SCALE, to_units

MAX_SCALE: Final = 30
"""No provider writes finer amounts; more decimals are a mistake of the file."""


class AmountTooFine(ValueError):
    """A bill line has more decimals than a run can divide."""


class BillKey(NamedTuple):
    """What is conserved on its own: a bill, in one currency."""

    bill_id: int
    currency: str


class Source(NamedTuple):
    """Where a bill line went: the pool that took its amount."""

    bill: BillKey
    line_no: int
    pool: str
    units: int


class DirectAmount(NamedTuple):
    """What one bill asks for a group of cells, to be divided by the group's own usage."""

    bill: BillKey
    cell: Cell
    pool: str
    basis: DirectBasis
    units: int


class PooledAmount(NamedTuple):
    """What a pool holds of one provider on one bill; `pool` is `None` where none took it."""

    bill: BillKey
    provider: str
    pool: Pool | None
    units: int


class Gathered(NamedTuple):
    """Every amount of every bill, once, in units of 10^-scale of the currency."""

    scales: dict[BillKey, int]
    sources: tuple[Source, ...]
    direct: tuple[DirectAmount, ...]
    pooled: tuple[PooledAmount, ...]


def gather(groups: Iterable[Group], rule: RuleContent) -> Gathered:
    """Send every bill line to the first pool that takes it.

    What one bill asks for one group is divided together, and so is what a pool holds of one
    provider on one bill. Raises `AmountTooFine` naming the line.
    """
    groups = [group for group in groups if group.bill]
    scales = bill_scales(line for group in groups for line in group.bill)
    sources: list[Source] = []
    direct: list[DirectAmount] = []
    pooled: defaultdict[tuple[BillKey, str, str], int] = defaultdict(int)
    for group in groups:
        basis = direct_basis(group.metered)
        together: defaultdict[tuple[BillKey, str], int] = defaultdict(int)
        for line in group.bill:
            bill = BillKey(line.bill_id, line.currency)
            units = to_units(line.amount, scales[bill])
            pool = rule.pool_for(line, amount_kind(line, basis))
            name = NO_POOL if pool is None else pool.name
            sources.append(Source(bill, line.line_no, name, units))
            if pool is not None and isinstance(pool.divide, Direct):
                together[bill, name] += units
            else:
                pooled[bill, line.provider, name] += units
        direct += [
            DirectAmount(bill, group.cell, name, basis, units)
            for (bill, name), units in together.items()
        ]
    pools = {pool.name: pool for pool in rule.pools}
    return Gathered(
        scales,
        tuple(sorted(sources)),
        tuple(sorted(direct, key=lambda amount: amount[:3])),
        tuple(
            PooledAmount(bill, provider, pools.get(name), units)
            for (bill, provider, name), units in sorted(pooled.items())
        ),
    )


def amount_kind(line: BillLine, basis: DirectBasis) -> AmountKind:
    """What a rule calls the line: a line that usage was found for is `metered`, whatever the bill
    calls it; one for reserved capacity is `capacity`, a usage line without usage `unmetered`;
    everything else is what the bill says."""
    if basis.basis:
        return "metered"
    if is_capacity(line):
        return "capacity"
    return "unmetered" if line.kind == "usage" else line.kind


def bill_scales(lines: Iterable[BillLine]) -> dict[BillKey, int]:
    """The decimals that each bill is divided at: 12, or as many as its finest line has."""
    scales: defaultdict[BillKey, int] = defaultdict(lambda: RUN_SCALE)
    for line in lines:
        decimals = _decimals(line.amount)
        if decimals > MAX_SCALE:
            raise AmountTooFine(
                f"bill {line.bill_id}, line {line.line_no}: {line.amount} has more than "
                f"{MAX_SCALE} decimals; correct the file and import the bill again"
            )
        key = BillKey(line.bill_id, line.currency)
        scales[key] = max(scales[key], decimals)
    return dict(scales)


def driver_queries(gathered: Gathered) -> tuple[DriverQuery, ...]:
    """The readings that dividing these pools can need, fallbacks included, sorted."""
    return queries_of((amount.provider, amount.pool) for amount in gathered.pooled if amount.pool)


def queries_of(pools: Iterable[tuple[str, Pool]]) -> tuple[DriverQuery, ...]:
    """The readings that dividing these pools, each holding amounts of a provider, can need."""
    queries: set[DriverQuery] = set()
    for provider, pool in pools:
        for measure in (pool.divide, pool.fallback):
            if isinstance(measure, Measure):
                queries.add(query_of(measure, provider))
    return tuple(sorted(queries))


def query_of(measure: Measure, provider: str) -> DriverQuery:
    """The reading behind a measure, for a bill of this provider."""
    if measure.of_the_whole_owner or measure.providers == "all":
        providers: tuple[str, ...] = ()
    elif measure.providers == "same":
        providers = (provider,)
    else:
        providers = tuple(sorted(measure.providers))
    by: By = "owner"
    if isinstance(measure, Weighted):
        by = "owner_model" if measure.by == "model" else "owner_endpoint"
    return DriverQuery(
        measure.driver,
        providers,
        tuple(sorted(measure.models)),
        tuple(sorted(measure.endpoint_tags)),
        by,
        tuple(sorted(tier.lower() for tier in measure.tiers)),
    )


def _decimals(amount: Decimal) -> int:
    exponent = amount.normalize().as_tuple().exponent
    if not isinstance(exponent, int):
        raise AmountTooFine(f"{amount} is no finite amount")
    return max(0, -exponent)
