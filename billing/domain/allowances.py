"""Allowances: how much use the fee includes, and whose use it is taken to be.

An allowance belongs to a charge and to one billing cycle. Everything that the charge meters draws
on it alike: model for model, each gets the same part of its use included (largest remainder in
whole units, ties by name), whatever was used first. No order of consumption favours a model, and
since all of a charge has one price, no other division would change what is owed.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext

from billing.domain.cycles import Cycle
from metering.domain.apportionment import K, apportion
from metering.domain.money import EXACT, from_units, to_units


def allowance_of(included: int, cycle: Cycle, *, prorate: bool) -> int:
    """What a cycle includes: all of it, or the part of it by days, cut down to whole units."""
    return included * cycle.days // cycle.full_days if prorate else included


def included_of(used: Mapping[K, Decimal], allowance: int) -> dict[K, Decimal]:
    """How much of each use (none below zero) the allowance includes.

    The parts add up to the allowance, or to all that was used if that is less; none is larger than
    its use. Uses with decimals (seconds, say) are divided in units of their last decimal.
    """
    scale = max((_decimals(quantity) for quantity in used.values()), default=0)
    units = {key: to_units(quantity, scale) for key, quantity in used.items()}
    total = min(allowance * 10**scale, sum(units.values()))
    shares = apportion(total, units)
    assert all(0 <= shares[key] <= units[key] for key in units), "more included than was used"
    with localcontext(EXACT):
        parts = {key: from_units(share, scale) for key, share in shares.items()}
        assert sum(parts.values()) == from_units(total, scale), "the allowance does not add up"
    return parts


def _decimals(quantity: Decimal) -> int:
    """Of the value, not of how it is written: 1 and 1.00 are divided alike."""
    exponent = quantity.normalize(EXACT).as_tuple().exponent
    assert isinstance(exponent, int), f"{quantity} is no quantity"
    return max(0, -exponent)
