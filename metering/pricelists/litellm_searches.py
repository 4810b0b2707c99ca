"""What LiteLLM's price map asks for searches of the web: by the call, or by the size of what they
bring into the context; and how many of a day or month are free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metering.domain.prices import InvalidPrice, UnitPrice
from metering.domain.unit_prices import Allowance
from metering.domain.units import SEARCH_SIZES
from metering.pricelists.json_lists import number


def searches(entry: Mapping[str, Any]) -> dict[str, UnitPrice]:
    """The prices of the entry's searches. Free ones are the period's, so no call is cheaper."""
    said = entry.get("search_context_cost_per_query")
    if said is None:
        return {}
    if entry.get("web_search_billing_unit", "per_query") != "per_query":
        raise InvalidPrice(f"searches are billed {entry['web_search_billing_unit']!r}")
    amounts = {number(value) for value in said.values()}
    if len(amounts) != 1:
        return _by_size(said, entry)
    amount = amounts.pop()
    if isinstance(amount, str):
        raise InvalidPrice(f"search_context_cost_per_query: {amount}")
    return {"web_searches": UnitPrice(1000, amount * 1000, allowance=_allowance(entry))}


def _by_size(said: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, UnitPrice]:
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
