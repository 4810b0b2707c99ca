"""How fast a stored month is rated anew: nothing of it differs, one model's price, nearly all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from metering import bulk
from metering.events import current
from metering.files.file_ingestion import ingest_file
from metering.files.usage_files import open_usage
from metering.pricing.contract_imports import import_contract
from metering.pricing.rating_scan import READ
from metering.pricing.rerating import rerate
from tests.benchmarks.databases import own_database
from tests.benchmarks.ingest import MONTH, NOW, usage_file
from tests.benchmarks.measured import Asked, Benchmark, Measured, stopwatch

ASKED: Final = Asked("value", "least", 100_000)
EVENTS: Final = round(1_000_000 * float(os.environ.get("SCALE") or 1))
HEAD: Final = "provider,model,valid_from,discount_percent\n"
NEARLY_ALL: Final = "ten per cent off"
PROVIDERS: Final = ("openai", "anthropic", "google", "groq")
_BASELINE: Final = "reading the same columns out of the database"
_REVISED: Final = ("event_revision", "event_share")
_WRITTEN: Final = "inserting the same rows of revisions and parts, by one connection"


def rerating() -> Iterator[Measured]:
    """Stored events per second through `rerate`: first with unchanged prices; then after what
    happens to a price list, one model's price being another (one event in eight gets a revision);
    then with a contract that changes every price. The first two against the database's own speed in
    handing over what the ratings hang on and what is stored of them, the last against its speed in
    writing no more than the rows that came of it."""
    with usage_file(EVENTS) as path, own_database():
        usage = open_usage(path, source="bench", received_at=NOW)
        ingest_file(usage, now=NOW)
        with stopwatch() as seconds:
            handed = _hand_over()
            baseline = handed / seconds()
        changed, rate = _rerated(handed, "nothing differs")
        assert changed == 0
        yield Measured("rating.rerate", rate, "events/s", handed, _BASELINE, baseline, ASKED)
        _contract("anthropic,claude-sonnet-5-5*,2026-01-01,5\n", "one.csv")
        changed, rate = _rerated(handed, "one model's price")
        assert handed * 0.1 < changed < handed * 0.2
        yield Measured(
            "rating.rerate_typical", rate, "events/s", handed, _BASELINE, baseline, ASKED
        )
        _contract("".join(f"{name},*,2026-01-01,10\n" for name in PROVIDERS), "all.csv")
        changed, rate = _rerated(handed, NEARLY_ALL)
        assert changed > handed * 0.8
        _prepare_again()
        with stopwatch() as seconds:
            _write_again()
            written = changed / seconds()
        yield Measured("rating.rerate_changed", rate, "events/s", handed, _WRITTEN, written, ASKED)


def _contract(terms: str, name: str) -> None:
    import_contract(HEAD + terms, name, book="contract:bench", now=NOW)


def _rerated(events: int, why: str) -> tuple[int, float]:
    """How many events differed, and how many were looked at in a second."""
    with stopwatch() as seconds:
        found = rerate(MONTH, author="bench", reason=why, now=NOW)
        rate = found.looked_at / seconds()
    assert found.looked_at == events
    return found.changed, rate


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
        cursor.execute(
            "CREATE TEMP TABLE again AS SELECT event_key, revision FROM event_revision"
            " WHERE reason = %s",
            [NEARLY_ALL],
        )
        for table in _REVISED:
            chosen = f"SELECT t.* FROM {table} t JOIN again USING (event_key, revision)"
            cursor.execute(f"CREATE TEMP TABLE again_{table} AS {chosen}")
            cursor.execute(f"UPDATE again_{table} SET revision = revision + 1")


BENCHMARKS: Final[dict[str, Benchmark]] = {"rating.rerate": rerating}
