"""A small price book, and what calls come to by it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from metering.domain.price_book import PriceBook
from metering.domain.price_matching import Clause, ListedModel, ListedProvider, PriceList
from metering.domain.prices import Conditions, Price, Tier, UnitPrice
from metering.domain.rating import Rating, rate
from metering.domain.usage import UsageEvent

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
M = 1_000_000


def per_million(price: str, *tiers: tuple[int, str]) -> UnitPrice:
    return UnitPrice(M, Decimal(price), tuple(Tier(s, Decimal(p)) for s, p in tiers))


TEXT = {
    "input_tokens": per_million("3", (200_000, "6")),
    "cache_read_tokens": per_million("0.3", (200_000, "0.6")),
    "cache_write_tokens": per_million("3.75"),
    "cache_write_1h_tokens": per_million("6"),
    "output_tokens": per_million("15", (200_000, "22.5")),
    "web_searches": UnitPrice(1000, Decimal(10)),
}
MODELS: dict[str, dict[str, UnitPrice]] = {
    "text": TEXT,
    "no-1h": {k: v for k, v in TEXT.items() if k != "cache_write_1h_tokens"},
    "no-write": {k: TEXT[k] for k in ("input_tokens", "output_tokens")},
    "sound": {
        **TEXT,
        "input_audio_tokens": per_million("7"),
        "cache_audio_read_tokens": per_million("0.7"),
        "output_audio_tokens": per_million("40"),
    },
    "thinks": {**TEXT, "output_reasoning_tokens": per_million("20")},
    "asks": {**TEXT, "requests": UnitPrice(1000, Decimal(5))},
    "text-by-general-rules": {**TEXT, "requests": UnitPrice(1000, Decimal(0))},
    "hears": {"audio_seconds": UnitPrice(3600, Decimal("0.111"))},
    "embeds": {"input_tokens": per_million("0.02")},
    "gratis": {"input_tokens": per_million("0"), "output_tokens": per_million("0")},
    "unlisted": {},
}
VARIANTS = {
    ("processing", "batch"): {"output_tokens": per_million("7.5")},
    ("service_tier", "flex"): {"input_tokens": per_million("1"), "output_tokens": per_million("5")},
}


def _book() -> PriceBook:
    prices = [
        Price(number, "acme", model, unit_prices)
        for number, (model, unit_prices) in enumerate(MODELS.items(), start=1)
    ]
    prices += [
        Price(100 + n, "acme", "text", unit_prices, conditions=Conditions({key: value}), rank=-n)
        for n, ((key, value), unit_prices) in enumerate(VARIANTS.items())
    ]
    models = tuple(ListedModel(model, Clause("equals", model)) for model in MODELS)
    seller = ListedProvider("azure", (), fallbacks=("acme",))
    rules = PriceList(NOON, "list", (ListedProvider("acme", models), seller))
    return PriceBook(prices, [rules])


BOOK = _book()
ROW = {model: number for number, model in enumerate(MODELS, start=1)}


def event(model: str = "text", **fields: Any) -> UsageEvent:
    said = {"provider": "acme", "occurred_at": NOON, **fields}
    return UsageEvent(source="s", external_request_id="r", model=model, **said)


def rated(model: str = "text", **fields: Any) -> Rating:
    return rate(event(model, **fields), BOOK)


def quantities(rating: Rating) -> dict[str, int | Decimal]:
    return {line.token_class: line.quantity for line in rating.lines}
