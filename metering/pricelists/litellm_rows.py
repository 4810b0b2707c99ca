"""What a model's entry in LiteLLM's price map is read into: amounts by unit and threshold, rows of
a price, and what of the entry is not known."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from metering.domain.prices import ALWAYS, Conditions, InvalidPrice, Tier, UnitPrice
from metering.domain.units import UNITS
from metering.pricelists.json_lists import number
from metering.pricelists.litellm_keys import TIERS, UNKNOWN_TIERS, read_key


class Row(NamedTuple):
    """A price of a model, standing for as long as the list does."""

    unit_prices: dict[str, UnitPrice]
    conditions: Conditions = ALWAYS
    rank: int = 0


class Unknown(NamedTuple):
    """What of a model cannot be taken; `whole`: so that none of it is."""

    what: str
    reason: str
    whole: bool = False


class Amount(NamedTuple):
    """The price that one key states: what `Unit.per` of the unit cost, `above` so many input
    tokens (`None`: below all thresholds), in a tier."""

    unit: str
    above: int | None
    price: Decimal
    tier: str


Amounts = dict[str, dict[int | None, Decimal]]
"""Unit → price below all thresholds (`None`), and above each."""


def amount_of(key: str, value: object, mode: str) -> Amount | Unknown | None:
    """What one key of a model of this mode states; `None`: nothing."""
    amount = number(value)
    known = read_key(key, mode)
    if known is None or known.unit not in UNITS:
        if amount == 0:
            return None  # what is used of it has no price, and says so
        partial = key.endswith((*UNKNOWN_TIERS, *(f"_{tier}" for tier in TIERS)))
        return Unknown(key, f"with mode {mode or 'none'} its unit is not known", whole=not partial)
    if isinstance(amount, str):
        return Unknown(key, amount, whole=not known.tier)
    quoted = amount * UNITS[known.unit].per / known.per
    return Amount(known.unit, known.above, quoted, known.tier)


def put(amounts: Amounts, unit: str, above: int | None, price: Decimal, key: str) -> None:
    """Two keys may say the same; where only one of them says more than 0, it is the price."""
    held = amounts.setdefault(unit, {}).get(above)
    if held and price and held != price:
        raise InvalidPrice(f"{key}: two keys price {unit}, and not alike")
    amounts[unit][above] = held or price


def unit_price(unit: str, found: Mapping[int | None, Decimal], *, inclusive: bool) -> UnitPrice:
    """The unit's price with its thresholds, which `inclusive` says a request meets or exceeds."""
    if None not in found:
        raise InvalidPrice(f"{unit} has a price above a threshold and none below it")
    above = sorted((start, price) for start, price in found.items() if start is not None)
    tiers = tuple(Tier(start, price, inclusive) for start, price in above)
    return UnitPrice(UNITS[unit].per, found[None], tiers)
