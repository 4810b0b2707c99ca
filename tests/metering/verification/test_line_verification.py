"""Costs that are not what their lines sum to are found, however many lines there are; digests hold
for every instant, and each kind of them names its own rows."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest

from metering.domain.periods import Month
from metering.ingestion import ingest
from metering.verification import digest_verification, line_verification
from metering.verification.findings import LIMIT
from tests.metering.events import NOON, NOW, call

OCTOBER = Month.parse("2026-10").period


@pytest.fixture
def key(fresh_db: str) -> str:
    """One priced call among others."""
    outcomes = ingest([call("a"), call("b"), call("free", served_from="caller_cache")], now=NOW)
    assert list(line_verification.check(OCTOBER)) == []
    return str(outcomes[0].key)


def found(check: str) -> list[str]:
    return [f.where for f in line_verification.check(OCTOBER) if f.check == check]


@pytest.mark.parametrize(
    "change", ["cost = cost + 0.000001", "lines = NULL", "lines = '[]'", "cost = 0"]
)
def test_a_cost_that_is_not_its_lines_is_named(
    key: str, owner_connection: psycopg.Connection, change: str
) -> None:
    owner_connection.execute(f"UPDATE usage_event SET {change} WHERE event_key = %s", [key])
    assert found("cost lines") == [f"event {key}"]


@pytest.mark.parametrize("lines", range(1, 9))
@pytest.mark.parametrize("off", [Decimal(0), Decimal("0.1")])
def test_every_line_counts_however_many_there_are(
    key: str, owner_connection: psycopg.Connection, lines: int, off: Decimal
) -> None:
    said = [[f"class{i}", "1", "1", str(i + 1), None] for i in range(lines)]
    total = sum(range(1, lines + 1))
    said[-1][3] = str(lines + off)
    owner_connection.execute(
        "UPDATE usage_event SET lines = %s, cost = %s WHERE event_key = %s",
        [json.dumps(said), total, key],
    )
    assert found("cost lines") == ([f"event {key}"] if off else [])
    assert f"2026-10-03 openai gpt-4o-mini class{lines - 1}" in found("cell rollup")


def test_digests_hold_for_instants_of_every_precision(fresh_db: str) -> None:
    fractions = (0, 1, 10, 120, 1_000, 100_000, 123_456, 120_000, 999_999)
    ingest(
        [call(f"r{i}", occurred_at=NOON + timedelta(microseconds=i)) for i in fractions],
        now=NOW + timedelta(microseconds=500),
    )
    assert list(digest_verification.check(OCTOBER)) == []


def test_many_changed_reports_hide_no_changed_value(
    fresh_db: str, owner_connection: psycopg.Connection
) -> None:
    keys = sorted(str(x.key) for x in ingest([call(f"r{i}") for i in range(30)], now=NOW))
    owner_connection.execute("UPDATE usage_event SET output_tokens = output_tokens + 1")
    owner_connection.execute(
        "UPDATE usage_event SET cost_centre = 'x' WHERE event_key = %s", [keys[-1]]
    )
    named = [(f.check, f.where) for f in digest_verification.check(OCTOBER)]
    assert named == [
        *(("event digest", f"event {key}") for key in keys[:LIMIT]),
        ("value digest", f"event {keys[-1]} revision 0"),
    ]
