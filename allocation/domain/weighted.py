"""Weighted allocation: a driver counts more or less by the model or endpoint it was spent on."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import Final

from allocation.domain.cost_shares import CostShare, conserved
from metering.domain.apportionment import portions
from metering.domain.cells import Owner
from metering.domain.money import EXACT

ANY_OTHER: Final = "*"
"""The key of the weight for models or endpoints that are not listed."""


def divide_by_weight(
    total_units: int,
    driver: str,
    readings: Mapping[tuple[Owner, str], Decimal],
    weights: Mapping[str, Decimal],
) -> tuple[CostShare, ...]:
    """A pool's amount in proportion to driver x weight, one share per owner and model or endpoint.

    `weights` must hold `*`, the weight of everything that is not listed. What has no activity or a
    weight of zero gets no share. Raises `NothingToApportionOver` if nothing has both.
    """
    weight_of = {key: weights.get(key, weights[ANY_OTHER]) for _, key in readings}
    with localcontext(EXACT):
        weighted = {
            (owner, key): value * weight_of[key] for (owner, key), value in readings.items()
        }
        total = sum(weighted.values(), Decimal(0))
    return conserved(
        total_units,
        (
            CostShare(
                owner, key, units, rounding, driver, readings[owner, key], total, weight_of[key]
            )
            for (owner, key), (units, rounding) in portions(total_units, weighted).items()
            if weighted[owner, key]
        ),
    )
