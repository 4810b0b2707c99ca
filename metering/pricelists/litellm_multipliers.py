"""By which factor LiteLLM's price map makes tokens dearer in a region or at a speed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import combinations
from typing import Any, Final, NamedTuple

from metering.domain.prices import Conditions, InvalidPrice, Tier, UnitPrice
from metering.pricelists.json_lists import number
from metering.pricelists.litellm_rows import Row

READ_ELSEWHERE: Final = frozenset({"minimax_free_input_images"})
_NO_PRICES: Final = READ_ELSEWHERE | {
    "bedrock_invocation_schema",
    "dashscope_video_reference_input",
    "volcengine_video_frames",
}
"""What else stands among a provider's own entries."""


class Factor(NamedTuple):
    """Tokens cost so many times the price where the condition holds."""

    key: str
    value: str
    times: Decimal


def multipliers(entry: Mapping[str, Any]) -> list[Factor]:
    """The entry's factors. Raises `InvalidPrice` for one that is not known."""
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
    return [_factor(*each) for each in said]


def _factor(key: str, value: str, said: object) -> Factor:
    times = number(said)
    if isinstance(times, str) or not times:
        raise InvalidPrice(f"the multiplier for {key} {value} is {said!r}")
    return Factor(key, value, times)


def multiplied(rows: Iterable[Row], factors: Iterable[Factor]) -> Iterator[Row]:
    """Every row once more for each region and speed, and for both at once: the row that says the
    most of a call ranks highest."""
    factors, rows = tuple(factors), tuple(rows)
    for size in range(1, len(factors) + 1):
        for chosen in combinations(factors, size):
            on = {factor.key: factor.value for factor in chosen}
            if len(on) < size:
                continue  # no call is in two regions
            for row in rows:
                when = {**row.conditions.when, **on}
                prices = {
                    unit: _times(price, [factor.times for factor in chosen])
                    for unit, price in row.unit_prices.items()
                    if unit.endswith("_tokens")
                }
                yield Row(prices, Conditions(when), rank=10 * len(when))


def _times(price: UnitPrice, factors: Iterable[Decimal]) -> UnitPrice:
    for factor in factors:
        tiers = tuple(Tier(t.start, t.price * factor, t.inclusive) for t in price.tiers)
        price = UnitPrice(price.per, price.base * factor, tiers)
    return price
