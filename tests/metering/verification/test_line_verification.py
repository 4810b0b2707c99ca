"""Costs that are not what their lines sum to are found, however many lines there are; digests hold
for every instant, and each kind of them names its own rows."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest
from django.db import connection

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
    named = {"input", "cache_read", "output"}
    assert {where.split()[-1] for where in found("cell rollup")} <= named, "classes, and no others"


def test_what_has_no_line_of_its_own_is_in_the_cells_all_the_same(fresh_db: str) -> None:
    """A class without a price beside others that have one, and classes that cost nothing because
    the model lists no prices: neither is missed in the cells, nor taken for the other."""
    events = [
        call("partly", units={"nobody_prices_this": Decimal(2)}),
        call("free", provider="github-copilot", model="gpt-4o"),
        call("unknown", model="gpt-0"),
    ]
    ingest(events, now=NOW)
    with connection.cursor() as cursor:
        cursor.execute("SELECT external_request_id, pricing, pricing_reason FROM usage_event")
        assert set(cursor) == {
            ("partly", "priced", "not_priced:nobody_prices_this"),
            ("free", "free", "no_rates_listed"),
            ("unknown", "unpriced", "unknown_model"),
        }
    assert list(line_verification.check(OCTOBER)) == []


def test_a_price_row_must_have_begun_before_the_first_event_that_it_priced(
    fresh_db: str, owner_connection: psycopg.Connection
) -> None:
    days = [NOON + timedelta(days=n) for n in (4, 0, 2)]
    keys = [
        str(x.key) for x in ingest([call(f"r{at.day}", occurred_at=at) for at in days], now=days[0])
    ]
    owner_connection.execute("ALTER TABLE price_row DISABLE TRIGGER USER")
    owner_connection.execute(
        "UPDATE price_row SET valid_from = %s WHERE id IN"
        " (SELECT (line ->> 4)::bigint FROM usage_event, json_array_elements(lines) line)",
        [NOON + timedelta(days=1)],
    )
    begun = [f for f in line_verification.check(OCTOBER) if "begins after" in f.what]
    assert {f.what for f in begun} == {f"begins after event {keys[1]}, which it priced"}


def test_every_price_row_that_was_used_is_held_to_its_list(
    fresh_db: str, owner_connection: psycopg.Connection
) -> None:
    ingest([call("a"), call("b", model="gpt-4o")], now=NOW)
    owner_connection.execute("ALTER TABLE price_row DISABLE TRIGGER USER")
    used = [
        number
        for (number,) in owner_connection.execute(
            "UPDATE price_row SET model_id = model_id || '-x' WHERE id IN"
            " (SELECT (line ->> 4)::bigint FROM usage_event, json_array_elements(lines) line)"
            " RETURNING id"
        )
    ]
    assert len(used) > 1
    changed = [f for f in line_verification.check(OCTOBER) if "were taken from" in f.what]
    assert sorted(int(f.where.split()[2]) for f in changed) == sorted(used)


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


@pytest.mark.parametrize("lines", [5, 6, 7])
def test_a_cost_without_its_last_line_is_named(
    key: str, owner_connection: psycopg.Connection, lines: int
) -> None:
    said = [[f"class{i}", "1", "1", str(i + 1), None] for i in range(lines)]
    owner_connection.execute(
        "UPDATE usage_event SET lines = %s, cost = %s WHERE event_key = %s",
        [json.dumps(said), sum(range(1, lines)), key],
    )
    assert found("cost lines") == [f"event {key}"]


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
