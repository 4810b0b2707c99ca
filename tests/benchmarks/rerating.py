"""How fast a stored month is rated anew: where nothing differs, and where nearly all of it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from metering import bulk
from metering.events import current
from metering.files.file_ingestion import ingest_file
from metering.files.usage_files import open_usage
from metering.pricing.price_imports import import_contract
from metering.pricing.rating_scan import READ
from metering.pricing.rerating import rerate
from tests.benchmarks.databases import own_database
from tests.benchmarks.ingest import MONTH, NOW, usage_file
from tests.benchmarks.measured import Benchmark, Measured, stopwatch

EVENTS: Final = 1_000_000
HEAD: Final = "provider,model,valid_from,discount_percent\n"
PROVIDERS: Final = ("openai", "anthropic", "google", "groq")
_BASELINE: Final = "reading the same columns out of the database"
_REVISED: Final = ("event_revision", "event_share")
_WRITTEN: Final = "inserting the same rows of revisions and parts, by one connection"


def rerating() -> Iterator[Measured]:
    """Stored events per second through `rerate`: first with unchanged prices, then with a contract
    that changes every price, so that all of them get a revision. The first against the database's
    own speed in handing over what the ratings hang on and what is stored of them, the second
    against its speed in writing no more than the rows that came of it."""
    with usage_file(EVENTS) as path, own_database():
        usage = open_usage(path, source="bench", received_at=NOW)
        ingest_file(usage, now=NOW)
        with stopwatch() as seconds:
            handed = _hand_over()
            baseline = handed / seconds()
        with stopwatch() as seconds:
            found = rerate(MONTH, author="bench", reason="nothing differs", now=NOW)
            rate = found.looked_at / seconds()
        assert found.looked_at == handed
        assert found.changed == 0
        yield Measured("rating.rerate", rate, "events/s", handed, _BASELINE, baseline)
        terms = "".join(f"{name},*,2026-01-01,10\n" for name in PROVIDERS)
        import_contract(HEAD + terms, "bench.csv", book="contract:bench", now=NOW)
        with stopwatch() as seconds:
            found = rerate(MONTH, author="bench", reason="ten per cent off", now=NOW)
            rate = found.looked_at / seconds()
        assert found.changed > handed * 0.9
        _prepare_again()
        with stopwatch() as seconds:
            _write_again()
            written = found.changed / seconds()
        yield Measured("rating.rerate_changed", rate, "events/s", handed, _WRITTEN, written)


def _hand_over() -> int:
    """By one connection, as COPY's text; how many."""
    events, parameters = current(MONTH.period)
    columns = ", ".join(f"e.{name}" for name in READ)
    query = f"COPY (SELECT {columns} FROM {events} e) TO STDOUT"
    with bulk.cursor() as cursor, cursor.copy(query, parameters) as copy:
        return sum(bytes(block).count(b"\n") for block in copy)


def _write_again() -> None:
    """Every revision and its parts, as those of one more revision."""
    with bulk.cursor() as cursor:
        for table in _REVISED:
            cursor.execute(f"INSERT INTO {table} SELECT * FROM again_{table}")


def _prepare_again() -> None:
    with bulk.cursor() as cursor:
        for table in _REVISED:
            chosen = f"SELECT * FROM {table} WHERE revision = 1"
            cursor.execute(f"CREATE TEMP TABLE again_{table} AS {chosen}")
            cursor.execute(f"UPDATE again_{table} SET revision = 2")


BENCHMARKS: Final[dict[str, Benchmark]] = {"rating.rerate": rerating}
