"""A model as LiteLLM's price map says it, taken over, and what a call of it costs then."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from metering.domain.price_book import PriceBook
from metering.domain.rating import Rating, rate
from metering.pricelists.litellm import parse_litellm
from metering.pricelists.parsed import ParsedList
from tests.metering.events import call

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
PLAIN: dict[str, Any] = {
    "litellm_provider": "acme",
    "mode": "chat",
    "input_cost_per_token": 1e-06,
    "output_cost_per_token": 2e-06,
}


def parsed(**models: dict[str, Any]) -> ParsedList:
    return parse_litellm(json.dumps(models), source="LiteLLM", effective_at=AT)


def rated(found: ParsedList, **different: Any) -> Rating:
    usage = {"provider": "acme", "model": "m", "occurred_at": AT, "cached_input_tokens": 0}
    return rate(call(**{**usage, **different}), PriceBook(found.prices, [found.rules]))


def cost(entry: dict[str, Any], **different: Any) -> Decimal | None:
    found = parsed(m={**PLAIN, **entry})
    assert found.refused == ()
    return rated(found, **different).cost


def off_peak(**said: Any) -> dict[str, Any]:
    return {"off_peak_pricing": {"input_cost_per_token": 5e-07, **said}}
