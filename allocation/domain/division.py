"""Dividing the month's bills over their owners: every amount once, every rounding kept.

Amounts are divided in whole units of 10^-12 of the currency (finer where a bill is). Money is made
of them once, per bill and owner, against what the bill is payable for; what that total itself was
rounded by is a line of its own, which nobody bears.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Final, TypeAlias

from allocation.domain.activity import divide_by_activity
from allocation.domain.allocations import (
    AllocatedLine,
    Allocation,
    BillTotal,
    OwnerSettlement,
    SourceLine,
    line_order,
)
from allocation.domain.cost_shares import (
    ACTIVITY_BASED,
    ASSIGNED,
    DIRECT,
    ROUNDING,
    WEIGHTED,
    CostShare,
    Strategy,
    assign,
)
from allocation.domain.direct import divide_directly
from allocation.domain.pools import (
    BillKey,
    DirectAmount,
    Gathered,
    PooledAmount,
    Source,
    query_of,
)
from allocation.domain.portions import Portion, portions, providers
from allocation.domain.rules import BILL_ROUNDING, NO_POOL, NOBODY, Measure, ToOwner, Weighted
from allocation.domain.weighted import divide_by_weight
from metering.domain.apportionment import NothingToApportionOver, round_to_total
from metering.domain.cells import UNALLOCATED, Cell, Owner
from metering.domain.drivers import DriverQuery
from metering.domain.money import EXACT, from_units, minor_digits, settle, to_units

Readings: TypeAlias = Mapping[DriverQuery, Mapping[tuple[Owner, str], Decimal]]


NOBODY_BEARS: Final = Owner("")
"""The owner of a bill's own rounding: there is none."""


class NotConserved(ValueError):
    """A bill's shares do not add up to the bill. Nothing of such a run may be stored."""


def divide(gathered: Gathered, readings: Readings) -> Allocation:
    """Divide everything that was gathered; `readings` answers `driver_queries(gathered)`.

    Raises `NotConserved` should any bill not add up, exactly, in any of its parts.
    """
    divided = [divide_portion(portion, readings) for portion in portions(gathered)]
    return assemble(gathered.scales, gathered.sources, providers(gathered), divided)


def divide_portion(portion: Portion, readings: Readings) -> list[AllocatedLine]:
    """Who bears what of a portion; `readings` answers what its own pools ask."""
    lines: list[AllocatedLine] = []
    for amount in portion.direct:
        shares = divide_directly(amount.units, amount.basis)
        lines += _direct_lines(amount, shares, portion.scale)
    for pooled in portion.pooled:
        if not pooled.units:
            continue  # a charge of nothing, or one that was credited in full: nothing to bear
        strategy, shares = divide_pool(pooled, readings)
        lines += _pool_lines(pooled, strategy, shares, portion.scale)
    return lines


def assemble(
    scales: Mapping[BillKey, int],
    sources: Iterable[Source],
    providers: Mapping[BillKey, str],
    divided: Iterable[Sequence[AllocatedLine]],
) -> Allocation:
    """The lines of all portions, in the portions' order, made whole: money, once per bill and
    owner, and each bill's own rounding.

    Raises `NotConserved` should any bill's lines not add up to what its sources come to.
    """
    lines = [line for part in divided for line in part]
    owned: dict[BillKey, defaultdict[Owner, Decimal]] = {
        bill: defaultdict(Decimal) for bill in scales
    }
    for line in lines:
        of_bill = owned[BillKey(line.bill_id, line.currency)]
        owner = Owner(line.cost_centre, line.tenant)
        of_bill[owner] = EXACT.add(of_bill[owner], line.amount)
    billed: defaultdict[BillKey, int] = defaultdict(int)
    sources = tuple(sources)
    for source in sources:
        billed[source.bill] += source.units
    bills: list[BillTotal] = []
    settlements: list[OwnerSettlement] = []
    for bill, scale in scales.items():
        total = _bill_total(bill, providers[bill], billed[bill], scale)
        bills.append(total)
        lines += _rounding_line(total)
        units = {owner: to_units(amount, scale) for owner, amount in owned[bill].items()}
        settlements += settle_owners(total, units)
    return Allocation(
        tuple(sorted(bills)),
        tuple(
            sorted(
                SourceLine(*s.bill, s.line_no, s.pool, from_units(s.units, scales[s.bill]))
                for s in sources
            )
        ),
        tuple(sorted(lines, key=line_order)),
        tuple(sorted(settlements)),
    )


def divide_pool(amount: PooledAmount, readings: Readings) -> tuple[Strategy, tuple[CostShare, ...]]:
    """A pool's amount by its driver, else by its fallback; if all are zero, unallocated."""
    pool = amount.pool
    if pool is None:
        return ASSIGNED, assign(amount.units, Owner(UNALLOCATED), "no pool of the rule takes it")
    for measure in (pool.divide, pool.fallback):
        if isinstance(measure, Measure):
            try:
                return _divide_by(measure, amount, readings)
            except NothingToApportionOver:
                continue
    bearer = pool.fallback if isinstance(pool.fallback, ToOwner) else NOBODY
    tried = [m.driver for m in (pool.divide, pool.fallback) if isinstance(m, Measure)]
    reason = f"{' and '.join(tried)} zero for everybody"
    return ASSIGNED, assign(amount.units, Owner(bearer.cost_centre, bearer.tenant), reason)


def settle_owners(total: BillTotal, owned: Mapping[Owner, int]) -> list[OwnerSettlement]:
    """Minor units, once: each owner's exact amount, rounded so that the bill's total is met."""
    if from_units(sum(owned.values()), total.scale) != total.exact:
        raise NotConserved(
            f"bill {total.bill_id}: {sum(owned.values())} units of 10^-{total.scale} "
            f"{total.currency} were allocated of {total.exact}"
        )
    fine = 10 ** (total.scale - minor_digits(total.currency))
    return [
        OwnerSettlement(
            total.bill_id,
            total.currency,
            owner.cost_centre,
            owner.tenant,
            from_units(owned[owner], total.scale),
            minor.units,
            minor.rounding_units,
        )
        for owner, minor in round_to_total(owned, fine, total.payable_minor).items()
    ]


def _divide_by(
    measure: Measure, amount: PooledAmount, readings: Readings
) -> tuple[Strategy, tuple[CostShare, ...]]:
    reading = readings[query_of(measure, amount.provider)]
    counted = {key: value for key, value in reading.items() if measure.counts(key[0])}
    if not any(counted.values()):
        raise NothingToApportionOver(f"{measure.driver} is zero for everybody")
    if isinstance(measure, Weighted):
        return WEIGHTED, divide_by_weight(amount.units, measure.driver, counted, measure.weights)
    by_owner = {owner: value for (owner, _), value in counted.items()}
    return ACTIVITY_BASED, divide_by_activity(amount.units, measure.driver, by_owner)


def _direct_lines(
    amount: DirectAmount, shares: Iterable[CostShare], scale: int
) -> list[AllocatedLine]:
    return _lines(amount.bill, amount.cell, amount.pool, DIRECT, shares, scale)


def _pool_lines(
    amount: PooledAmount, strategy: Strategy, shares: Iterable[CostShare], scale: int
) -> list[AllocatedLine]:
    pool = NO_POOL if amount.pool is None else amount.pool.name
    return _lines(amount.bill, amount.provider, pool, strategy, shares, scale)


def _lines(
    bill: BillKey,
    where: Cell | str,
    pool: str,
    strategy: Strategy,
    shares: Iterable[CostShare],
    scale: int,
) -> list[AllocatedLine]:
    """The shares as lines, in their order; `where` is their cell, or no more than the provider."""
    if isinstance(where, Cell):
        provider, project, day, model, token_class, tier = where
    else:
        provider, project, day, model, token_class, tier = where, "", None, "", "", ""
    return [
        AllocatedLine(  # by position: there is one for each owner of each cell
            bill.bill_id,
            bill.currency,
            provider,
            project,
            day,
            model,
            token_class,
            tier,
            pool,
            strategy,
            owner.cost_centre,
            owner.tenant,
            driver_key,
            basis,
            value,
            total,
            weight,
            from_units(units, scale),
            rounding,
        )
        for owner, driver_key, units, rounding, basis, value, total, weight in shares
    ]


def _bill_total(bill: BillKey, provider: str, units: int, scale: int) -> BillTotal:
    exact = from_units(units, scale)
    minor = settle(exact, bill.currency)
    payable = from_units(minor, minor_digits(bill.currency))
    return BillTotal(*bill, provider, exact, payable, minor, scale)


def _rounding_line(total: BillTotal) -> list[AllocatedLine]:
    with localcontext(EXACT):
        difference = total.payable - total.exact
    if not difference:
        return []
    share = CostShare(NOBODY_BEARS, "", 0, 0, "payable total - exact total", None, None, None)
    bill = BillKey(total.bill_id, total.currency)
    lines = _lines(bill, total.provider, BILL_ROUNDING, ROUNDING, (share,), 0)
    return [line._replace(amount=difference) for line in lines]
