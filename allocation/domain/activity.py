"""Activity-based allocation: a pool is divided by how much of a measured driver each owner used."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext

from allocation.domain.cost_shares import CostShare, conserved
from metering.domain.apportionment import portions
from metering.domain.cells import Owner
from metering.domain.money import EXACT


def divide_by_activity(
    total_units: int, driver: str, readings: Mapping[Owner, Decimal]
) -> tuple[CostShare, ...]:
    """A pool's amount in proportion to the driver: tokens, requests, active users, seats, …

    Owners without activity get no share. Raises `NothingToApportionOver` if nobody has any.
    """
    with localcontext(EXACT):
        total = sum(readings.values(), Decimal(0))
    return conserved(
        total_units,
        (
            CostShare(owner, "", units, rounding, driver, readings[owner], total, None)
            for owner, (units, rounding) in portions(total_units, readings).items()
            if readings[owner]
        ),
    )
