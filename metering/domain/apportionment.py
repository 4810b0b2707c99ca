"""Dividing a whole number of units so that nothing is lost and nobody is wronged by a unit.

The method is the largest remainder (Hamilton's): everyone gets the whole units of the exact share,
and the units left over go, one each, to the largest remainders; equal remainders are settled by
the key, never by the order of arrival. Totals are integers (cents, or units of 10^-12 of a
currency), so the sum is exact by construction and asserted nevertheless.

The method promises conservation and shares within one unit of exact. It does not promise that a
larger total never shrinks a share (the Alabama paradox), which is why a run stores its roundings
and a closed run is never rounded again.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

Weight: TypeAlias = int | Decimal | Fraction


class Key(Hashable, Protocol):
    """What shares are named by: hashable, and ordered, because the order settles ties."""

    def __lt__(self, other: Any, /) -> bool: ...


K = TypeVar("K", bound=Key)


class NothingToApportionOver(ValueError):
    """No weight is above zero. Who asks must name a fallback; an amount is never dropped."""


class InvalidWeight(ValueError):
    """A weight is below zero or not finite."""


class Portion(NamedTuple):
    """A share in whole units, and the unit (-1, 0 or +1) of it that rounding gave."""

    units: int
    rounding_units: int


def apportion(total_units: int, weights: Mapping[K, Weight]) -> dict[K, int]:
    """Divide the total in proportion to the weights; see `portions` for what is promised."""
    return {key: portion.units for key, portion in portions(total_units, weights).items()}


def portions(total_units: int, weights: Mapping[K, Weight]) -> dict[K, Portion]:
    """Divide the total in proportion to the weights, and say who got a rounding unit.

    The shares add up to the total; each is less than one unit from exact and never of the other
    sign; a negative total (a credit) divides as the mirror image of its positive; a weight of zero
    gets zero; neither the order nor the scale of the weights matters. Raises `InvalidWeight` for a
    negative weight, and `NothingToApportionOver` if there is a total but no weight.
    """
    scaled = _integer_weights(weights)
    whole = sum(scaled.values())
    if whole == 0:
        if total_units:
            raise NothingToApportionOver(
                f"{total_units} units cannot be divided over weights that are all zero; "
                "name a fallback"
            )
        return dict.fromkeys(scaled, Portion(0, 0))
    sign = -1 if total_units < 0 else 1
    size = abs(total_units)
    shares: dict[K, Portion] = {}
    remainders: list[tuple[int, K]] = []
    given = 0
    for key, weight in scaled.items():
        units, remainder = divmod(size * weight, whole)
        shares[key] = Portion(sign * units, 0)
        given += units
        if remainder:
            remainders.append((-remainder, key))
    left = size - given
    if left:
        remainders.sort()
        for _, key in remainders[:left]:
            shares[key] = Portion(shares[key].units + sign, sign)
    assert left <= len(remainders), "more units left over than there are remainders"
    assert sum(p.units for p in shares.values()) == total_units, "shares do not add up to the total"
    return shares


def round_to_total(
    exact_units: Mapping[K, int], units_per_minor: int, total_minor: int
) -> dict[K, Portion]:
    """Turn exact amounts (in fine units, of either sign) into minor units that add up to a total.

    `total_minor` must be what the amounts' own sum rounds to, to within half a minor unit. Each
    amount is cut towards zero; the missing minor units go to the largest remainders of that sign.
    So each result is less than one minor unit from exact and never of the other sign, although a
    bill may hold owners with a charge beside owners with a credit.
    """
    off = 2 * abs(total_minor * units_per_minor - sum(exact_units.values()))
    if off > units_per_minor:
        raise ValueError(f"{total_minor} is not what these amounts' sum rounds to")
    rounded: dict[K, Portion] = {}
    remainders: list[tuple[int, K]] = []
    for key, exact in exact_units.items():
        sign = -1 if exact < 0 else 1
        units, remainder = divmod(abs(exact), units_per_minor)
        rounded[key] = Portion(sign * units, 0)
        if remainder:
            remainders.append((sign * remainder, key))
    missing = total_minor - sum(p.units for p in rounded.values())
    step = -1 if missing < 0 else 1
    candidates = sorted((-step * r, key) for r, key in remainders if r * step > 0)
    assert abs(missing) <= len(candidates), "more units missing than there are remainders"
    for _, key in candidates[: abs(missing)]:
        rounded[key] = Portion(rounded[key].units + step, step)
    assert sum(p.units for p in rounded.values()) == total_minor, "the total is not met"
    return rounded


def _integer_weights(weights: Mapping[K, Weight]) -> dict[K, int]:
    """The same proportions in integers, so that the division needs no rationals."""
    denominators: set[int] = set()
    ratios: list[tuple[K, int, int]] = []
    for key, weight in weights.items():
        try:
            numerator, denominator = weight.as_integer_ratio()
        except (ValueError, OverflowError) as error:
            raise InvalidWeight(
                f"the weight of {key!r} is {weight}, not a finite number"
            ) from error
        if numerator < 0:
            raise InvalidWeight(f"the weight of {key!r} is {weight}, below zero")
        denominators.add(denominator)
        ratios.append((key, numerator, denominator))
    common = lcm(*denominators)
    return {key: numerator * (common // denominator) for key, numerator, denominator in ratios}


def apportion_in_order(total_units: int, weights: Sequence[int]) -> list[int]:
    """`apportion` for whole weights whose keys are their positions: the same division, without
    what names and fractions cost. For what is divided once for every event.
    """
    whole = sum(weights)
    if whole == 0 and total_units:
        raise NothingToApportionOver(f"{total_units} units over weights that are all zero")
    if not total_units:
        return [0] * len(weights)
    if total_units == whole:
        return list(weights)
    sign = -1 if total_units < 0 else 1
    size = abs(total_units)
    shares = [size * weight // whole for weight in weights]
    left = size - sum(shares)
    if left:
        order = sorted(range(len(weights)), key=lambda i: (-(size * weights[i] % whole), i))
        for i in order[:left]:
            shares[i] += 1
    assert sum(shares) == size, "shares do not add up to the total"
    return shares if sign > 0 else [-share for share in shares]
