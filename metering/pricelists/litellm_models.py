"""One model of LiteLLM's price map: its entry as the rows of a price."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

from metering.domain.prices import Conditions, InvalidPrice, UnitPrice
from metering.pricelists.json_lists import number
from metering.pricelists.litellm_hours import off_peak
from metering.pricelists.litellm_keys import OTHERWISE_READ, TIERS, is_price
from metering.pricelists.litellm_multipliers import multiplied, multipliers
from metering.pricelists.litellm_pictures import Pictures, pictures
from metering.pricelists.litellm_rows import (
    Amount,
    Amounts,
    Row,
    Unknown,
    amount_of,
    put,
    unit_price,
)
from metering.pricelists.litellm_searches import searches

_INCLUSIVE_AT: Final = frozenset({"x-ai"})
"""Providers whose thresholds LiteLLM itself reads as *from so many tokens on*."""


def rows_of(
    model: str, entry: Mapping[str, Any], provider: str
) -> tuple[tuple[Row, ...], list[Unknown]]:
    """The model's rows, and what of it is not known. Raises `InvalidPrice`."""
    of_pictures = pictures(model, entry)
    amounts, unknown = _amounts(entry, of_pictures)
    _by_range(entry, amounts[""])
    inclusive = provider in _INCLUSIVE_AT
    standard = {
        unit: unit_price(unit, found, inclusive=inclusive) for unit, found in amounts[""].items()
    }
    standard |= searches(entry)
    if of_pictures.goes_in is not None:
        standard["input_images"] = of_pictures.goes_in
    unknown += _capacity(entry)
    if not standard:
        return (), [*unknown, Unknown("model", "it has no price that is known here", whole=True)]
    rows = [Row(standard)]
    for tier, on in TIERS.items():
        try:
            rows += _tier_row(amounts[tier], standard, Conditions(on), inclusive=inclusive)
        except InvalidPrice as error:
            unknown.append(Unknown(f"prices for {tier}", str(error)))
    rows += multiplied(rows, multipliers(entry))
    rows += off_peak(entry, rows)
    return tuple(rows), unknown


def _amounts(
    entry: Mapping[str, Any], of_pictures: Pictures
) -> tuple[dict[str, Amounts], list[Unknown]]:
    """What the entry's keys say, by tier (`""`: the standard one)."""
    unknown = list(of_pictures.unknown)
    amounts: dict[str, Amounts] = {tier: {} for tier in ("", *TIERS)}
    for key, value in entry.items():
        if not is_price(key) or key in OTHERWISE_READ or key in of_pictures.read:
            continue
        found = amount_of(key, value, str(entry.get("mode") or ""))
        if isinstance(found, Unknown):
            unknown.append(found)
        elif found is not None:
            put(amounts[found.tier], found.unit, found.above, found.price, key)
    if of_pictures.price is not None:
        put(amounts[""], "output_images", None, of_pictures.price, "input_cost_per_image")
    return amounts, unknown


def _by_range(entry: Mapping[str, Any], amounts: Amounts) -> None:
    """`tiered_pricing`: prices by ranges of the total input, each from above its start. Plain
    prices beside it say those of the first range once more."""
    ranges = entry.get("tiered_pricing")
    if ranges is None:
        return
    edges = [_range(each) for each in ranges]
    if not edges or edges[0][0] != 0 or any(a[1] != b[0] for a, b in pairwise(edges)):
        raise InvalidPrice(f"tiered_pricing: ranges {edges} leave a gap or overlap")
    if len({frozenset(each) for each in ranges}) > 1:
        raise InvalidPrice("tiered_pricing: not every range prices the same units")
    by_range: Amounts = {}
    for each, (start, _) in zip(ranges, edges, strict=True):
        for key, value in each.items():
            if key == "range":
                continue
            found = amount_of(key, value, str(entry.get("mode") or ""))
            if not isinstance(found, Amount) or found.above is not None or found.tier:
                raise InvalidPrice(f"tiered_pricing: {key} is not known there")
            put(by_range, found.unit, start or None, found.price, key)
    if amounts and amounts != {unit: {None: found[None]} for unit, found in by_range.items()}:
        raise InvalidPrice("tiered_pricing beside other plain prices: nobody says which holds")
    amounts.update(by_range)


def _range(each: Mapping[str, Any]) -> tuple[int, int]:
    edges = each.get("range")
    if not isinstance(edges, list) or len(edges) != 2:  # noqa: PLR2004
        raise InvalidPrice("tiered_pricing: a range of tokens is missing")
    start, end = (number(edge) for edge in edges)
    if isinstance(start, str) or isinstance(end, str) or start != int(start) or end != int(end):
        raise InvalidPrice(f"tiered_pricing: {edges} is no range of whole tokens")
    return int(start), int(end)


def _tier_row(
    amounts: Amounts, standard: Mapping[str, UnitPrice], on: Conditions, *, inclusive: bool
) -> Iterator[Row]:
    """The tier's own prices. A tier without any threshold has one price whatever the length; one
    that has some must have them wherever the standard price does."""
    if not amounts:
        return
    is_flat = all(found.keys() == {None} for found in amounts.values())
    prices = {}
    for unit, found in amounts.items():
        price = unit_price(unit, found, inclusive=inclusive)
        expected = {tier.start for tier in standard[unit].tiers} if unit in standard else set()
        if not is_flat and not expected <= {tier.start for tier in price.tiers}:
            raise InvalidPrice(
                f"{unit} costs more above {min(expected)} tokens by the standard price, and "
                "nobody says what here"
            )
        prices[unit] = price
    yield Row(prices, on, rank=10)


def _capacity(entry: Mapping[str, Any]) -> list[Unknown]:
    """Seconds of a model that is reserved are nothing that a call could cost."""
    if "cost_per_second" not in entry:
        return []
    return [Unknown("cost_per_second", "capacity is paid by time: state it as a contract price")]
