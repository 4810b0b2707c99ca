"""The calls that rating is measured on: many models of several providers, tiers, caches, units."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

from metering.domain.usage import UsageEvent

START: Final = datetime(2026, 10, 1, tzinfo=UTC)
MODELS: Final = (
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-5.4"),
    ("openai", "gpt-5-mini"),
    ("openai", "o3"),
    ("openai", "text-embedding-3-small"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-haiku-4-5"),
    ("anthropic", "claude-opus-4-6"),
    ("google", "gemini-2.5-flash"),
    ("google", "gemini-2.5-pro"),
    ("groq", "llama-3.3-70b-versatile"),
    ("mistral", "mistral-large-latest"),
    ("deepseek", "deepseek-v4-pro"),
)
TIERED: Final = ("gpt-5.4", "gpt-5-mini", "o3")


def mixed_calls(number: int) -> list[UsageEvent]:
    """The same calls at every run: two thirds read a cache, one in eight is a batch or of another
    tier, a few are longer than a threshold, some heard sound or searched."""
    random = Random(20261120)
    return [_call(random, n) for n in range(number)]


def _call(random: Random, number: int) -> UsageEvent:
    provider, model = random.choice(MODELS)
    embeds = "embedding" in model
    total = random.choice((random.randint(50, 4_000), random.randint(1_000, 60_000), 280_000))
    fields: dict[str, Any] = {
        "input_tokens": total,
        "output_tokens": 0 if embeds else random.randint(1, 2_000),
    }
    if not embeds and random.random() < 2 / 3:
        fields["cached_input_tokens"] = random.randint(0, total // 2)
        if provider == "anthropic":
            written = random.randint(0, total // 2)
            fields["cache_write_tokens"] = written
            fields["cache_write_1h_tokens"] = random.choice((0, written // 3))
    if model in TIERED and random.random() < 1 / 3:
        fields["reasoning_tokens"] = random.randint(0, fields["output_tokens"])
    if model == "gemini-2.5-flash" and random.random() < 1 / 4:
        fields.pop("cached_input_tokens", None)
        fields["audio_input_tokens"] = random.randint(0, total)
    if provider == "anthropic" and random.random() < 1 / 20:
        fields["units"] = {"web_search": Decimal(random.randint(1, 5))}
    if model == "gpt-5.4" and random.random() < 1 / 4:
        fields["service_tier"] = random.choice(("flex", "priority"))
    elif not embeds and random.random() < 1 / 16:
        fields["batch"] = True
    return UsageEvent(
        source="bench",
        external_request_id=f"r{number}",
        provider=provider,
        model=model,
        occurred_at=START + timedelta(seconds=random.randrange(50 * 86_400)),
        **fields,
    )
