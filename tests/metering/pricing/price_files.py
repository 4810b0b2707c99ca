"""Price files and contracts as texts, imported, and what a call costs then."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from metering.domain.rating import Rating, rate
from metering.pricing.catalogue import load_book
from metering.pricing.price_imports import (
    ImportResult,
    import_contract,
)
from tests.metering.events import NOON, call

OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
HEAD = "provider,model,valid_from,valid_to,discount_percent,price_of,unit,price,per,currency,when\n"


def litellm(**prices: Any) -> str:
    plain = {"litellm_provider": "acme", "mode": "chat", "input_cost_per_token": 1e-06}
    return json.dumps({"acme/one": {**plain, "output_cost_per_token": 2e-06, **prices}})


def contract(*rows: str, name: str = "acme", **how: Any) -> ImportResult:
    now = how.pop("now", NOVEMBER)
    text = HEAD + "\n".join(rows)
    return import_contract(text, "terms.csv", book=f"contract:{name}", now=now, **how)


def cost(at: datetime = NOON, **different: Any) -> Decimal | None:
    return rated(at, **different).cost


def rated(at: datetime = NOON, **different: Any) -> Rating:
    return rate(call(occurred_at=at, **different), load_book())
