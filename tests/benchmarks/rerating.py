"""How fast a stored month is rated anew: where nothing differs, and where every event does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from metering.files.file_ingestion import ingest_file
from metering.files.usage_files import open_usage
from metering.pricing.price_imports import import_contract
from metering.pricing.rating_scan import handed_over
from metering.pricing.revaluation import rerate
from tests.benchmarks.databases import own_database
from tests.benchmarks.ingest import MONTH, NOW, usage_file
from tests.benchmarks.measured import Benchmark, Measured, stopwatch

EVENTS: Final = 60_000
HEAD: Final = "provider,model,valid_from,discount_percent\n"
PROVIDERS: Final = ("openai", "anthropic", "google", "groq")


def rerating() -> Iterator[Measured]:
    """Stored events per second through `rerate` with unchanged prices, against the database's own
    speed in handing over the same rows; then with every price changed."""
    with usage_file(EVENTS) as path, own_database():
        usage = open_usage(path, source="bench", received_at=NOW)
        ingest_file(usage, now=NOW)
        with stopwatch() as seconds:
            handed = _hand_over()
            baseline = handed / seconds()
        with stopwatch() as seconds:
            found = rerate(MONTH, author="bench", reason="nothing differs", now=NOW)
            rate = found.looked_at / seconds()
        assert found.changed == 0
        yield Measured(
            "rating.rerate",
            rate,
            "events/s",
            found.looked_at,
            "reading the same columns out of the database",
            baseline,
        )
        terms = "".join(f"{name},*,2026-01-01,10\n" for name in PROVIDERS)
        import_contract(HEAD + terms, "bench.csv", book="contract:bench", now=NOW)
        with stopwatch() as seconds:
            found = rerate(MONTH, author="bench", reason="ten per cent off", now=NOW)
            rate = found.looked_at / seconds()
        assert found.changed > found.looked_at // 2
        yield Measured(
            "rating.rerate_changed",
            rate,
            "events/s",
            found.looked_at,
            "reading the same columns out of the database",
            baseline,
        )


def _hand_over() -> int:
    return sum(
        lines.count("\n") + 1 for day in MONTH.period.days() for lines in handed_over(day, None)
    )


BENCHMARKS: Final[dict[str, Benchmark]] = {"rating.rerate": rerating}
