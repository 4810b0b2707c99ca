"""A day of made-up calls, by which a newcomer sees what the product shows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from metering.domain.usage import UsageEvent

CALLS: Final = 48
_EVERY: Final = timedelta(minutes=30)
_MODELS: Final = (
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-4o"),
    ("anthropic", "claude-3-5-haiku-latest"),
)
_ENDPOINTS: Final = (
    ("checkout.ai_summary", "summary_v3"),
    ("support.reply", "reply_v7"),
    ("search.rewrite", "rewrite_v2"),
)
_USERS: Final = 7
_FAILS: Final = 16
"""Every so many calls one fails."""


def demo_calls(source: str, *, now: datetime, tenant: str | None = None) -> list[UsageEvent]:
    """`CALLS` calls over the last day before `now` (aware UTC), the same for the same instant;
    `data_mode` is *demo*, the environment *dev*."""
    return [
        _call(
            source,
            number,
            now - _EVERY * (CALLS - number - 1),
            f"demo_{now:%Y%m%dT%H%M%S%f}",
            tenant,
        )
        for number in range(CALLS)
    ]


def _call(source: str, number: int, at: datetime, series: str, tenant: str | None) -> UsageEvent:
    provider, model = _MODELS[number % 5 % len(_MODELS)]
    endpoint, prompt = _ENDPOINTS[number % len(_ENDPOINTS)]
    failed = number % _FAILS == _FAILS - 1
    return UsageEvent(
        source=source,
        external_request_id=f"{series}_{number:02d}",
        provider=provider,
        model=model,
        occurred_at=at,
        input_tokens=400 + number * 37 % 900,
        output_tokens=0 if failed else 60 + number * 53 % 400,
        endpoint_tag=endpoint,
        prompt_version=prompt,
        tenant_id=tenant,
        user_id=f"demo_user_{number % _USERS}",
        status="error" if failed else "success",
        error_code="timeout" if failed else None,
        latency_ms=350 + number * 97 % 1500,
        data_mode="demo",
        environment="dev",
    )
