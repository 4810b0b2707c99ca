"""How fast events are priced, against the two libraries that are used for it everywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from importlib.metadata import version
from pathlib import Path
from typing import Final

from genai_prices import Usage, calc_price

from metering.domain.price_book import PriceBook
from metering.domain.usage import UsageEvent
from metering.pricelists.genai_prices import parse_genai_prices
from metering.pricing.rated_events import rated
from tests.benchmarks.measured import Asked, Benchmark, Measured, processor_stopwatch
from tests.benchmarks.mixed_calls import mixed_calls
from tests.foreign_python import LITELLM, litellm_python

EVENTS: Final = 100_000
UNIT: Final = "events/processor second"
TURN: Final = 5_000
"""Calls that are priced in turns, by us and by the yardstick: whatever makes the machine slower
for a while meets both."""
_COUNTS: Final = (
    ("input_tokens", "input_tokens"),
    ("cached_input_tokens", "cache_read_tokens"),
    ("cache_write_tokens", "cache_write_tokens"),
    ("cache_write_1h_tokens", "cache_write_1h_tokens"),
    ("output_tokens", "output_tokens"),
    ("reasoning_tokens", "output_reasoning_tokens"),
    ("audio_input_tokens", "input_audio_tokens"),
)


class DifferentAmounts(AssertionError):
    """The yardstick prices a call otherwise than we do, and no stated policy says why."""


def genai_prices() -> Iterator[Measured]:
    """Events per processor second through `rated`, against `genai_prices.calc_price` on the same
    calls, which must come to the same amounts."""
    book = _book()
    ours = theirs = 0.0
    for calls in _turns():
        seconds, costs = _ours(calls, book)
        ours += seconds
        usages = [(_usage(call), _context(call), call) for call in calls]
        with processor_stopwatch() as taken:
            said = [
                calc_price(
                    usage,
                    model_ref=call.model,
                    provider_id=call.provider,
                    genai_request_timestamp=call.occurred_at,
                    price_context=context,
                ).total_price
                for usage, context, call in usages
            ]
            theirs += taken()
        _compare(calls, costs, said)
    name = f"genai_prices.calc_price {version('genai-prices')}"
    asked = Asked("ratio", "least", 10)
    yield Measured("rating.genai_prices", EVENTS / ours, UNIT, EVENTS, name, EVENTS / theirs, asked)


def litellm() -> Iterator[Measured]:
    """Events per processor second through `rated`, against `litellm.cost_per_token` on the same
    calls, in an environment of its own. Skipped with a message where that cannot be installed."""
    python = litellm_python()
    if python is None:
        print(f"rating.litellm: skipped, {LITELLM} cannot be installed", file=sys.stderr)
        return
    book = _book()
    ours = theirs = 0.0
    unknown = 0
    with subprocess.Popen(
        [python, Path(__file__).with_name("litellm_child.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PATH": ""},
    ) as child:
        assert child.stdin
        assert child.stdout
        for calls in _turns():
            seconds, _ = _ours(calls, book)
            ours += seconds
            child.stdin.write(json.dumps([_litellm_call(call) for call in calls]) + "\n")
            child.stdin.flush()
            answer = json.loads(child.stdout.readline())
            theirs += answer["seconds"]
            unknown += answer["unknown"]
        child.stdin.close()
    name = f"litellm.cost_per_token {LITELLM.partition('==')[2]} ({unknown:,} unknown)"
    asked = Asked("ratio", "least", 5)
    yield Measured("rating.litellm", EVENTS / ours, UNIT, EVENTS, name, EVENTS / theirs, asked)


def _turns() -> Iterator[list[UsageEvent]]:
    calls = mixed_calls(EVENTS)
    return (calls[first : first + TURN] for first in range(0, EVENTS, TURN))


def _ours(calls: Sequence[UsageEvent], book: PriceBook) -> tuple[float, list[Decimal | None]]:
    """The seconds that it took, and the costs. The price list was read before: it is read once for
    millions."""
    with processor_stopwatch() as seconds:
        costs = [rated(call, book).cost for call in calls]
        return seconds(), costs


def _book() -> PriceBook:
    from genai_prices.data import providers

    listed = parse_genai_prices(
        providers, source="genai-prices", effective_at=datetime(2026, 10, 1, tzinfo=UTC)
    )
    return PriceBook(listed.prices, [listed.rules])


def _usage(call: UsageEvent) -> Usage:
    counts: dict[str, int | Decimal] = {
        theirs: count for ours, theirs in _COUNTS if (count := getattr(call, ours)) is not None
    }
    if call.units:
        counts["web_searches"] = call.units["web_search"]
    return Usage(**counts)


def _context(call: UsageEvent) -> Mapping[str, str]:
    batch = {"processing": "batch"} if call.batch else {}
    tier = {} if call.service_tier == "standard" else {"service_tier": call.service_tier}
    return {**batch, **tier}


def _compare(
    calls: Sequence[UsageEvent], ours: Sequence[Decimal | None], theirs: Sequence[Decimal]
) -> None:
    """No policy of `pricing_differences.toml` is met by these calls, so that every amount must be
    the same to the last digit."""
    with localcontext(prec=60):
        for call, cost, said in zip(calls, ours, theirs, strict=True):
            if cost != said:
                raise DifferentAmounts(f"{cost} here, {said} there: {call}")


def _litellm_call(call: UsageEvent) -> dict[str, object]:
    provider = {"google": "gemini"}.get(call.provider, call.provider)
    return {
        "model": call.model,
        "custom_llm_provider": provider,
        "prompt_tokens": call.input_tokens,
        "completion_tokens": call.output_tokens,
        "cache_read_input_tokens": call.cached_input_tokens or 0,
        "cache_creation_input_tokens": call.cache_write_tokens or 0,
        "service_tier": None if call.service_tier == "standard" else call.service_tier,
    }


BENCHMARKS: Final[dict[str, Benchmark]] = {
    "rating.genai_prices": genai_prices,
    "rating.litellm": litellm,
}
