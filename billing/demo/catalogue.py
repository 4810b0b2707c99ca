"""What the providers charge in the made-up month, asked of the `genai-prices` package directly.

This is a second route beside the product's own rating: it shares neither code nor rows with it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final

from genai_prices import Usage, calc_price

from billing.demo import planted
from billing.demo.month import LONG_CONTEXT_TOKENS
from billing.demo.traffic import MONTH, YEAR

_THOUSAND: Final = 1000
_READINGS: Final = {
    "input": {"input_tokens": _THOUSAND},
    "cache_read": {"input_tokens": _THOUSAND, "cache_read_tokens": _THOUSAND},
    "cache_write": {"input_tokens": _THOUSAND, "cache_write_tokens": _THOUSAND},
    "cache_write_1h": {
        "input_tokens": _THOUSAND,
        "cache_write_tokens": _THOUSAND,
        "cache_write_1h_tokens": _THOUSAND,
    },
    "output": {"output_tokens": _THOUSAND},
    "web_search": {"web_searches": _THOUSAND},
}
_CONTEXTS: Final = {
    "standard": None,
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
}


@cache
def unit_price(
    provider: str, model: str, day: int, tier: str, token_class: str, *, long: bool = False
) -> Decimal:
    """Dollars for one token (or search) of the class on that day of the month, exactly.

    `long`: in a call whose input is above the upper tier's threshold. The private preview, which
    no list prices, costs what its provider bills.
    """
    if model == planted.PREVIEW_MODEL:
        return planted.PREVIEW_PRICES[token_class]
    usage = dict(_READINGS[token_class])
    filler = 0
    if long:
        filler = LONG_CONTEXT_TOKENS + _THOUSAND
        usage["input_tokens"] = usage.get("input_tokens", 0) + filler
    price = _total(provider, model, day, tier, usage)
    if filler:
        price -= _total(provider, model, day, tier, {"input_tokens": filler})
    return price / _THOUSAND


def _total(provider: str, model: str, day: int, tier: str, usage: dict[str, Any]) -> Decimal:
    priced = calc_price(
        Usage(**usage),
        model,
        provider_id=provider,
        genai_request_timestamp=datetime(YEAR, MONTH, day, 12, tzinfo=UTC),
        price_context=_CONTEXTS[tier],
    )
    return priced.total_price
