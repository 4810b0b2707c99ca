"""What is uncounted leaves no trace in any total, and stays where it is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, connections

from metering import dispositions, rollups
from metering.dispositions import TryOuts, uncount
from metering.domain.periods import Month
from metering.domain.usage import Share, UsageEvent
from metering.ingestion import ingest
from metering.verification.event_verification import check_month
from tests.metering.events import NOON, NOW, call

OCTOBER = Month.parse("2026-10")
TEST = TryOuts("test", "test")


def totals() -> dict[str, list[tuple[Any, ...]]]:
    """Every cell of every rollup that is not nothing."""
    found = {}
    with connection.cursor() as cursor:
        for rollup in rollups.ROLLUPS:
            key = ", ".join(rollup.key)
            sums = ", ".join(f"sum({name})" for name in rollup.sums)
            some = " OR ".join(f"sum({name}) <> 0" for name in rollup.sums)
            cursor.execute(
                f"SELECT {key}, {sums} FROM {rollup.relation()} c GROUP BY {key} HAVING {some}"
                f" ORDER BY {key}"
            )
            found[rollup.name] = list(cursor.fetchall())
    return found


def rows(query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def every_kind(**different: Any) -> list[UsageEvent]:
    """One event of each kind that rollups treat in a way of its own."""
    shares = (
        Share(tenant_id="globex", input_tokens=333, output_tokens=50),
        Share(tenant_id="initech", input_tokens=100, output_tokens=7),
    )
    kinds: list[dict[str, Any]] = [
        {},
        {"user_id": "ann"},
        {"agent_hash": "bot", "occurred_at": NOON + timedelta(hours=13)},
        {"model": "made-up-model"},
        {"provider": "anthropic", "model": "claude-3-5-haiku-latest", "cache_write_tokens": 77},
        {"served_from": "caller_cache"},
        {"status": "error", "error_code": "timeout", "output_tokens": None},
        {"units": {"web_search": Decimal(3), "made_up": Decimal("0.1")}},
        {"shares": shares, "user_id": "ann"},
        {"shares": shares, "model": "made-up-model", "units": {"web_search": Decimal("1.5")}},
        {"shares": shares, "units": {"web_search": Decimal(2)}, "batch": True},
        {"tags": {"provider_project": "proj_7"}, "endpoint_tag": None, "latency_ms": None},
        {"service_tier": "flex", "reasoning_tokens": 30, "audio_input_tokens": 10},
    ]
    return [call(f"r{n}", **{**kind, **different}) for n, kind in enumerate(kinds)]


@pytest.fixture
def real_usage(db: None) -> dict[str, list[tuple[Any, ...]]]:
    """Real usage beside which others try things out; its totals."""
    ingest([call("real"), call("real-user", user_id="ann")], now=NOW)
    return totals()


@pytest.mark.parametrize("between", [lambda: None, rollups.fold], ids=["in tails", "folded"])
def test_what_is_uncounted_leaves_no_trace_in_any_total(
    real_usage: dict[str, list[tuple[Any, ...]]], between: Callable[[], object]
) -> None:
    tried = every_kind(data_mode="test")
    ingest(tried, now=NOW)
    assert totals() != real_usage
    between()
    done = uncount(TEST, reason="tidying up", author="key x", now=NOW)
    assert done == (len(tried), ())
    assert totals() == real_usage
    assert list(check_month(OCTOBER)) == []
    assert rows("SELECT count(*) FROM usage_event") == [(len(tried) + 2,)], "rows stay"
    assert rows(
        "SELECT state, reason, author, count(*) FROM event_disposition GROUP BY 1, 2, 3"
    ) == [("uncounted", "tidying up", "key x", len(tried))]


def test_uncounting_twice_changes_nothing_more(
    real_usage: dict[str, list[tuple[Any, ...]]],
) -> None:
    ingest(every_kind(data_mode="test"), now=NOW)
    for events in (13, 0, 0):
        assert uncount(TEST, reason="again", author="", now=NOW).events == events
        assert totals() == real_usage
    assert rows("SELECT max(sequence) FROM event_disposition") == [(1,)]


def test_what_was_uncounted_does_not_count_when_it_is_sent_again(
    real_usage: dict[str, list[tuple[Any, ...]]],
) -> None:
    ingest([call("t", data_mode="test")], now=NOW)
    uncount(TEST, reason="x", author="", now=NOW)
    (again,) = ingest([call("t", data_mode="test")], now=NOW)
    assert again.outcome == "duplicate"
    assert totals() == real_usage


@pytest.mark.usefixtures("db")
def test_only_what_was_meant_is_uncounted() -> None:
    others = [
        call("a", data_mode="demo"),
        call("b", data_mode="test", source="other"),
        call("c", data_mode="test", tenant_id="globex"),
        call("d"),
    ]
    ingest(others, now=NOW)
    before = totals()
    ingest([call("e", data_mode="test")], now=NOW)
    mine = TryOuts("test", "test", tenant="acme")
    assert uncount(mine, reason="x", author="", now=NOW).events == 1
    assert totals() == before
    assert uncount(TEST, reason="x", author="", now=NOW).events == 1


def test_many_are_uncounted_in_batches(
    real_usage: dict[str, list[tuple[Any, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispositions, "BATCH", 7)
    days = [
        call(f"t{n}", data_mode="test", occurred_at=NOON + timedelta(hours=n)) for n in range(60)
    ]
    ingest(days, now=NOW)
    assert uncount(TEST, reason="x", author="", now=NOW).events == 60
    assert totals() == real_usage


def test_real_usage_is_not_taken_back_as_a_whole() -> None:
    with pytest.raises(ValueError, match="real usage is corrected"):
        TryOuts("test", "real")


@pytest.mark.usefixtures("fresh_db")
def test_two_at_once_uncount_once() -> None:
    ingest([call("real")], now=NOW)
    before = totals()
    ingest(every_kind(data_mode="test"), now=NOW)
    barrier = Barrier(3)

    def one(_: int) -> int:
        try:
            barrier.wait()
            return uncount(TEST, reason="x", author="", now=NOW).events
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(one, range(3)))
    assert sorted(done) == [0, 0, 13]
    assert totals() == before
    assert list(check_month(OCTOBER)) == []


@pytest.mark.usefixtures("fresh_db")
def test_cut_off_anywhere_nothing_has_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(every_kind(data_mode="test"), now=NOW)
    before = totals()

    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dispositions, "append_deltas", cut_off)
    with pytest.raises(KeyboardInterrupt):
        uncount(TEST, reason="x", author="", now=NOW)
    assert totals() == before
    assert rows("SELECT count(*) FROM event_disposition") == [(0,)]
