"""How fast events are priced, against the library whose prices they are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from genai_prices import Usage, calc_price

from metering.catalogue import load_book
from metering.domain.rating import rate
from metering.domain.usage import UsageEvent
from tests.benchmarks.databases import own_database
from tests.benchmarks.ingest import usage_file
from tests.benchmarks.measured import Benchmark, Measured, stopwatch

EVENTS: Final = 20_000


def genai_prices() -> Iterator[Measured]:
    """Events per second through `rate`, against `genai_prices.calc_price` on the same calls."""
    from metering.usage_files import open_usage

    now = datetime(2026, 11, 2, tzinfo=UTC)
    with own_database(), usage_file(EVENTS) as path:
        book = load_book()
        items = [i.item for i in open_usage(path, source="bench", received_at=now).items]
    events = [
        event
        for event in items
        if isinstance(event, UsageEvent) and rate(event, book).pricing == "priced"
    ]
    with stopwatch() as seconds:
        for event in events:
            rate(event, book)
        ours = len(events) / seconds()
    usages = [(_usage(event), event) for event in events]
    with stopwatch() as seconds:
        for usage, event in usages:
            calc_price(
                usage,
                model_ref=event.model_executed or event.model,
                provider_id=event.provider,
                genai_request_timestamp=event.occurred_at,
            )
        theirs = len(events) / seconds()
    yield Measured(
        "rating.genai_prices", ours, "events/s", len(events), "genai_prices.calc_price", theirs
    )


def _usage(event: UsageEvent) -> Usage:
    return Usage(
        input_tokens=event.input_tokens,
        cache_read_tokens=event.cached_input_tokens,
        cache_write_tokens=event.cache_write_tokens,
        output_tokens=event.output_tokens,
    )


BENCHMARKS: Final[dict[str, Benchmark]] = {"rating.genai_prices": genai_prices}
