"""One model of LiteLLM's price map: its entry as the rows of a price."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import time
from decimal import Decimal
from itertools import combinations, pairwise
from typing import Any, Final, NamedTuple

from metering.domain.prices import (
    ALWAYS,
    Conditions,
    DailyWindow,
    InvalidPrice,
    Tier,
    UnitPrice,
)
from metering.domain.unit_prices import Allowance
from metering.domain.units import SEARCH_SIZES, UNITS
from metering.pricelists.json_lists import number
from metering.pricelists.litellm_keys import (
    OF_WHAT_COMES_OUT,
    OTHERWISE_READ,
    TIERS,
    is_price,
    read_key,
)

_INCLUSIVE_AT: Final = frozenset({"x-ai"})
"""Providers whose thresholds LiteLLM itself reads as *from so many tokens on*."""

_NO_PRICES: Final = frozenset(
    {"bedrock_invocation_schema", "dashscope_video_reference_input", "volcengine_video_frames"}
)
"""What else stands among a provider's own entries."""

_UNKNOWN_TIERS: Final = ("_decisions",)
"""Ends of keys for calls that no event can be told to be: the price for all others is as it is."""

_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


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


_Amounts = dict[str, dict[int | None, Decimal]]
"""Unit → price below all thresholds (`None`), and above each."""


def rows_of(entry: Mapping[str, Any], provider: str) -> tuple[tuple[Row, ...], list[Unknown]]:
    """The model's rows, and what of it is not known. Raises `InvalidPrice`."""
    unknown: list[Unknown] = []
    amounts: dict[str, _Amounts] = {tier: {} for tier in ("", *TIERS)}
    for key, value in entry.items():
        if is_price(key) and key not in OTHERWISE_READ:
            found = _amount(key, value, str(entry.get("mode") or ""))
            if isinstance(found, Unknown):
                unknown.append(found)
            elif found is not None:
                unit, above, amount, tier = found
                _put(amounts[tier], unit, above, amount, key)
    unknown = _pictures_made(entry, amounts[""], unknown)
    _by_range(entry, amounts[""])
    inclusive = provider in _INCLUSIVE_AT
    standard = {
        unit: _unit_price(unit, found, inclusive=inclusive) for unit, found in amounts[""].items()
    }
    standard |= _searches(entry)
    unknown += _capacity(entry)
    if not standard:
        return (), [*unknown, Unknown("model", "it has no price that is known here", whole=True)]
    rows = [Row(standard)]
    for tier, on in TIERS.items():
        try:
            rows += _tier_row(amounts[tier], standard, Conditions(on), inclusive=inclusive)
        except InvalidPrice as error:
            unknown.append(Unknown(f"prices for {tier}", str(error)))
    rows += _multiplied(rows, _multipliers(entry))
    rows += _off_peak(entry, rows)
    return tuple(rows), unknown


def _pictures_made(
    entry: Mapping[str, Any], amounts: _Amounts, unknown: list[Unknown]
) -> list[Unknown]:
    """A model that makes pictures and has one price, *per input image*: that is of a picture."""
    mode, key = OF_WHAT_COMES_OUT
    amount = number(entry.get(key))
    priced = any(price for found in amounts.values() for price in found.values())
    if entry.get("mode") != mode or isinstance(amount, str) or not amount or priced:
        return unknown
    _put(amounts, "output_images", None, amount, key)
    return [each for each in unknown if each.what != key]


def _amount(
    key: str, value: object, mode: str
) -> tuple[str, int | None, Decimal, str] | Unknown | None:
    """The price that one key states: unit, threshold, what `Unit.per` of it cost, and tier."""
    amount = number(value)
    known = read_key(key, mode)
    if known is None or known.unit not in UNITS:
        if amount == 0:
            return None  # what is used of it has no price, and says so
        partial = key.endswith((*_UNKNOWN_TIERS, *(f"_{tier}" for tier in TIERS)))
        return Unknown(key, f"with mode {mode or 'none'} its unit is not known", whole=not partial)
    if isinstance(amount, str):
        return Unknown(key, amount, whole=not known.tier)
    quoted = amount * UNITS[known.unit].per / known.per
    return known.unit, known.above, quoted, known.tier


def _put(amounts: _Amounts, unit: str, above: int | None, amount: Decimal, key: str) -> None:
    """Two keys may say the same; where only one of them says more than 0, it is the price."""
    held = amounts.setdefault(unit, {}).get(above)
    if held and amount and held != amount:
        raise InvalidPrice(f"{key}: two keys price {unit}, and not alike")
    amounts[unit][above] = held or amount


def _by_range(entry: Mapping[str, Any], amounts: _Amounts) -> None:
    """`tiered_pricing`: prices by ranges of the total input, each from above its start."""
    ranges = entry.get("tiered_pricing")
    if ranges is None:
        return
    if amounts:
        raise InvalidPrice("tiered_pricing beside plain prices: nobody says which holds")
    edges = [_range(each) for each in ranges]
    if not edges or edges[0][0] != 0 or any(a[1] != b[0] for a, b in pairwise(edges)):
        raise InvalidPrice(f"tiered_pricing: ranges {edges} leave a gap or overlap")
    if len({frozenset(each) for each in ranges}) > 1:
        raise InvalidPrice("tiered_pricing: not every range prices the same units")
    for each, (start, _) in zip(ranges, edges, strict=True):
        for key, value in each.items():
            if key == "range":
                continue
            found = _amount(key, value, str(entry.get("mode") or ""))
            if not isinstance(found, tuple) or found[1] is not None or found[3]:
                raise InvalidPrice(f"tiered_pricing: {key} is not known there")
            _put(amounts, found[0], start or None, found[2], key)


def _range(each: Mapping[str, Any]) -> tuple[int, int]:
    edges = each.get("range")
    if not isinstance(edges, list) or len(edges) != 2:  # noqa: PLR2004
        raise InvalidPrice("tiered_pricing: a range of tokens is missing")
    start, end = (number(edge) for edge in edges)
    if isinstance(start, str) or isinstance(end, str) or start != int(start) or end != int(end):
        raise InvalidPrice(f"tiered_pricing: {edges} is no range of whole tokens")
    return int(start), int(end)


def _unit_price(unit: str, found: Mapping[int | None, Decimal], *, inclusive: bool) -> UnitPrice:
    if None not in found:
        raise InvalidPrice(f"{unit} has a price above a threshold and none below it")
    above = sorted((start, price) for start, price in found.items() if start is not None)
    tiers = tuple(Tier(start, price, inclusive) for start, price in above)
    return UnitPrice(UNITS[unit].per, found[None], tiers)


def _tier_row(
    amounts: _Amounts, standard: Mapping[str, UnitPrice], on: Conditions, *, inclusive: bool
) -> Iterator[Row]:
    """The tier's own prices. A tier without any threshold has one price whatever the length; one
    that has some must have them wherever the standard price does."""
    if not amounts:
        return
    is_flat = all(found.keys() == {None} for found in amounts.values())
    prices = {}
    for unit, found in amounts.items():
        price = _unit_price(unit, found, inclusive=inclusive)
        expected = {tier.start for tier in standard[unit].tiers} if unit in standard else set()
        if not is_flat and not expected <= {tier.start for tier in price.tiers}:
            raise InvalidPrice(
                f"{unit} costs more above {min(expected)} tokens by the standard price, and "
                "nobody says what here"
            )
        prices[unit] = price
    yield Row(prices, on, rank=10)


def _searches(entry: Mapping[str, Any]) -> dict[str, UnitPrice]:
    """Searches of the web by the call; the free ones of a day or month are the period's."""
    said = entry.get("search_context_cost_per_query")
    if said is None:
        return {}
    if entry.get("web_search_billing_unit", "per_query") != "per_query":
        raise InvalidPrice(f"searches are billed {entry['web_search_billing_unit']!r}")
    amounts = {number(value) for value in said.values()}
    if len(amounts) != 1:
        return _searches_by_size(said, entry)
    amount = amounts.pop()
    if isinstance(amount, str):
        raise InvalidPrice(f"search_context_cost_per_query: {amount}")
    return {"web_searches": UnitPrice(1000, amount * 1000, allowance=_allowance(entry))}


def _searches_by_size(said: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, UnitPrice]:
    if set(said) != {f"search_context_size_{size}" for size in SEARCH_SIZES}:
        raise InvalidPrice(f"search_context_cost_per_query: sizes {sorted(said)} are not known")
    if _allowance(entry) is not None:
        raise InvalidPrice("free searches of several prices: nobody says which are free first")
    prices = {}
    for size in SEARCH_SIZES:
        amount = number(said[f"search_context_size_{size}"])
        if isinstance(amount, str):
            raise InvalidPrice(f"search_context_cost_per_query: {amount}")
        prices[f"web_searches_{size}"] = UnitPrice(1000, amount * 1000)
    return prices


def _allowance(entry: Mapping[str, Any]) -> Allowance | None:
    said = entry.get("search_free_requests")
    if said is None:
        return None
    quantity = number(said.get("count"))
    if isinstance(quantity, str) or set(said) - {"count", "period", "shared_group"}:
        raise InvalidPrice(f"search_free_requests: {said!r:.80} is not understood")
    return Allowance(quantity, said.get("period"), said.get("shared_group", ""))


def _capacity(entry: Mapping[str, Any]) -> list[Unknown]:
    """Seconds of a model that is reserved are nothing that a call could cost."""
    if "cost_per_second" not in entry:
        return []
    return [Unknown("cost_per_second", "capacity is paid by time: state it as a contract price")]


def _multipliers(entry: Mapping[str, Any]) -> list[tuple[str, str, Decimal]]:
    """By which factor tokens are dearer in a region or at a speed."""
    own = {
        name: value
        for name, value in (entry.get("provider_specific_entry") or {}).items()
        if name not in _NO_PRICES
    }
    said: list[tuple[str, str, object]] = []
    if "fast" in own:
        said.append(("speed", "fast", own.pop("fast")))
    for region in ("us", "eu"):
        regional = entry.get(f"regional_processing_uplift_multiplier_{region}")
        if region in own and regional is not None:
            raise InvalidPrice(f"two multipliers for region {region}")
        factor = own.pop(region, regional)
        if factor is not None:
            said.append(("region", region, factor))
    regional = entry.get("regional_endpoint_uplift_multiplier")
    if regional is not None:
        if any(key == "region" for key, _, _ in said):
            raise InvalidPrice("multipliers for a region and for any: nobody says which holds")
        said.append(("endpoint", "regional", regional))
    if own:
        raise InvalidPrice(f"provider_specific_entry: {', '.join(sorted(own))} is not known")
    factors = []
    for key, value, factor in said:
        amount = number(factor)
        if isinstance(amount, str) or not amount:
            raise InvalidPrice(f"the multiplier for {key} {value} is {factor!r}")
        factors.append((key, value, amount))
    return factors


def _multiplied(rows: Iterable[Row], factors: Iterable[tuple[str, str, Decimal]]) -> Iterator[Row]:
    """Every row once more for each region and speed, and for both at once: the row that says the
    most of a call ranks highest."""
    factors, rows = tuple(factors), tuple(rows)
    for size in range(1, len(factors) + 1):
        for chosen in combinations(factors, size):
            on = {key: value for key, value, _ in chosen}
            if len(on) < size:
                continue  # no call is in two regions
            for row in rows:
                when = {**row.conditions.when, **on}
                prices = {
                    unit: _times(price, [factor for _, _, factor in chosen])
                    for unit, price in row.unit_prices.items()
                    if unit.endswith("_tokens")
                }
                yield Row(prices, Conditions(when), rank=10 * len(when))


def _times(price: UnitPrice, factors: Iterable[Decimal]) -> UnitPrice:
    for factor in factors:
        tiers = tuple(Tier(t.start, t.price * factor, t.inclusive) for t in price.tiers)
        price = UnitPrice(price.per, price.base * factor, tiers)
    return price


def _off_peak(entry: Mapping[str, Any], rows: list[Row]) -> Iterator[Row]:
    """The standard price with the off-peak ones over it, in every window of the week."""
    said = entry.get("off_peak_pricing")
    if said is None:
        return
    if len(rows) > 1:
        raise InvalidPrice("off-peak hours beside tiers or multipliers: nobody says which is first")
    cheaper = {}
    for key, value in said.items():
        if key == "windows":
            continue
        found = _amount(key, value, str(entry.get("mode") or ""))
        if not isinstance(found, tuple) or found[1] is not None or found[3]:
            raise InvalidPrice(f"off_peak_pricing: {key} is not known there")
        cheaper[found[0]] = UnitPrice(UNITS[found[0]].per, found[2])
    if any(price.tiers for unit, price in rows[0].unit_prices.items() if unit in cheaper):
        raise InvalidPrice("off-peak hours beside thresholds: nobody says what holds above them")
    windows = said.get("windows")
    if not windows or not cheaper:
        raise InvalidPrice("off_peak_pricing without windows or prices")
    for each in windows:
        for window in _windows(each):
            yield Row({**rows[0].unit_prices, **cheaper}, Conditions(window=window), rank=1)


def _windows(said: Mapping[str, Any]) -> Iterator[DailyWindow]:
    hours = said.get("hours_utc")
    days = tuple(sorted(set(said.get("weekdays") or ())))
    if set(said) - {"hours_utc", "weekdays"} or not hours:
        raise InvalidPrice(f"off-peak window {said!r:.80} is not understood")
    for text in [hours] if isinstance(hours, str) else hours:
        found = _HOURS.fullmatch(str(text))
        if found is None:
            raise InvalidPrice(f"off-peak hours {text!r}: they are written 22:00-06:00")
        start_hour, start_minute, end_hour, end_minute = (int(group) for group in found.groups())
        yield DailyWindow(time(start_hour, start_minute), time(end_hour, end_minute), "UTC", days)
