"""After one tampered row, `check_month` says exactly which."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from django.db import ProgrammingError, connection, transaction

from metering import seals
from metering.domain.periods import Month
from metering.domain.usage import Share
from metering.ingestion import ingest
from metering.models import Seal
from metering.rollups import fold
from metering.verification.event_verification import check_month
from tests.metering.events import NOON, NOW, call

OCTOBER = Month.parse("2026-10")


@pytest.fixture
def sealed_month(fresh_db: str) -> str:
    """Twenty events, one of them shared, sealed; the key of one of them."""
    events = [
        call(f"r{i}", user_id=f"u{i}", occurred_at=NOON + timedelta(hours=i)) for i in range(19)
    ]
    shares = (Share(tenant_id="globex", input_tokens=100, output_tokens=50),)
    outcomes = ingest([*events, call("shared", shares=shares)], now=NOW)
    seals.seal(OCTOBER, now=NOW)
    assert list(check_month(OCTOBER)) == []
    return str(outcomes[3].key)


TAMPERINGS = {
    "a count": ("UPDATE usage_event SET output_tokens = 201 WHERE event_key = %s", "event digest"),
    "a time": (
        "UPDATE usage_event SET occurred_at = occurred_at + interval '1 s' WHERE event_key = %s",
        "event digest",
    ),
    "a cost": ("UPDATE usage_event SET cost = 9 WHERE event_key = %s", "value digest"),
    "an owner": ("UPDATE usage_event SET cost_centre = 'x' WHERE event_key = %s", "value digest"),
    "an event gone": ("DELETE FROM usage_event WHERE event_key = %s", "ledger"),
    "a key gone": ("DELETE FROM event_ledger WHERE event_key = %s", "ledger"),
}


@pytest.mark.parametrize(("sql", "check"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_a_tampered_event_is_named(
    sealed_month: str, owner_connection: psycopg.Connection, sql: str, check: str
) -> None:
    owner_connection.execute(sql, [sealed_month])
    found = list(check_month(OCTOBER))
    assert [f.where for f in found if f.check == check] == [
        f"event {sealed_month}" + (" revision 0" if check == "value digest" else "")
    ]


def test_an_event_forged_with_its_digest_breaks_the_seal_of_its_hour(
    sealed_month: str, owner_connection: psycopg.Connection
) -> None:
    owner_connection.execute(
        "UPDATE usage_event SET seal_digest = sha256('forged') WHERE event_key = %s",
        [sealed_month],
    )
    where = [f.what for f in check_month(OCTOBER) if f.check == "seal of the usage book"]
    assert where == ["bucket acme|2026-10-03T15|1 differs"]


def test_a_tampered_rollup_is_named(
    sealed_month: str, owner_connection: psycopg.Connection
) -> None:
    fold()
    owner_connection.execute("UPDATE usage_rollup SET cost = cost + 1 WHERE tenant = 'globex'")
    owner_connection.execute(
        "UPDATE cell_rollup SET quantity = quantity + 1 WHERE tenant = 'globex'"
    )
    found = {f.check: f.where for f in check_month(OCTOBER)}
    assert found["usage rollup"].startswith("2026-10-03 12:00 unallocated globex gpt-4o-mini")
    assert found["cell rollup"].startswith("2026-10-03 openai gpt-4o-mini")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("cost = cost + 0.000001", "cost 0.0000"),
        ("cost = NULL", "cost"),
        ("tenant = 'else'", "tenant else"),
        ("input_tokens = input_tokens + 1", "101 input"),
        ("output_tokens = output_tokens - 1", "49 output"),
        ("position = 7", "no row"),
    ],
)
def test_a_tampered_share_is_named(
    sealed_month: str, owner_connection: psycopg.Connection, change: str, said: str
) -> None:
    tampered = owner_connection.execute(
        f"UPDATE event_share SET {change} WHERE position = 0 RETURNING event_key"
    ).fetchone()
    assert tampered is not None
    found = [f for f in check_month(OCTOBER) if f.check == "shares"]
    assert found[0].where == f"event {tampered[0]} share 0"
    assert said in found[0].what


@pytest.mark.parametrize(
    ("sql", "where", "said"),
    [
        (
            "UPDATE event_share SET cost_centre = 'else' WHERE position = 1",
            " share 1",
            "cost centre else",
        ),
        (
            (
                "INSERT INTO event_share SELECT event_key, revision, 2, occurred_at, 'else',"
                " cost_centre, 0, 0, 0 FROM event_share WHERE position = 0"
            ),
            " share 2",
            "the call gives it nothing",
        ),
        ("UPDATE event_share SET cost = cost - 1e-18 WHERE position = 0", "", "its shares sum to"),
        ("UPDATE event_share SET cost = cost + 1e-18 WHERE position = 0", "", "its shares sum to"),
    ],
)
def test_shares_that_are_not_all_of_the_call_are_named(
    sealed_month: str, owner_connection: psycopg.Connection, sql: str, where: str, said: str
) -> None:
    owner_connection.execute(sql)
    ((key,),) = owner_connection.execute("SELECT DISTINCT event_key FROM event_share").fetchall()
    found = [f for f in check_month(OCTOBER) if f.check == "shares"]
    assert [f.where for f in found] == [f"event {key}{where}"]
    assert said in found[0].what


def test_shares_of_a_very_large_call_hold(fresh_db: str) -> None:
    thirds = tuple(
        Share(tenant_id=f"t{i}", input_tokens=333_333_331 + i, output_tokens=i) for i in range(3)
    )
    ingest([call("big", input_tokens=999_999_999, output_tokens=7, shares=thirds)], now=NOW)
    assert list(check_month(OCTOBER)) == []


def test_cost_moved_between_shares_is_named_at_both(
    sealed_month: str, owner_connection: psycopg.Connection
) -> None:
    owner_connection.execute(
        "UPDATE event_share SET cost = cost + CASE position WHEN 0 THEN 1e-12 ELSE -1e-12 END"
    )
    found = [f.where.split(" ", 2)[2] for f in check_month(OCTOBER) if f.check == "shares"]
    assert found == ["share 0", "share 1"]


@pytest.mark.parametrize(
    ("sql", "check", "where"),
    [
        *(
            (f"UPDATE usage_rollup SET {column} = 'else'", "usage rollup", "2026-10-03 12:00")
            for column in ("model", "endpoint_tag", "status", "data_mode", "environment")
        ),
        (
            "UPDATE usage_rollup SET bucket_at = bucket_at + interval '15 min'",
            "usage rollup",
            "2026-10-03 12:00",
        ),
        (
            "UPDATE cell_rollup SET tenant = 'else' WHERE tenant = 'acme'",
            "cells of owners",
            "2026-10-03 unallocated",
        ),
        ("UPDATE cell_rollup SET provider_project = 'x'", "cell rollup", "2026-10-03 openai"),
        ("UPDATE cell_rollup SET tier = 'batch'", "cell rollup", "2026-10-03 openai"),
        ("UPDATE user_rollup SET tokens = tokens + 1", "user rollup", "2026-10-03 unallocated"),
        ("DELETE FROM user_rollup", "user rollup", "2026-10-03 unallocated"),
    ],
)
def test_a_rollup_that_says_something_else_of_the_same_usage_is_named(
    sealed_month: str, owner_connection: psycopg.Connection, sql: str, check: str, where: str
) -> None:
    fold()
    owner_connection.execute(sql)
    found = list(check_month(OCTOBER))
    assert {f.check for f in found} <= {check, "cells of owners"}
    assert any(f.check == check and f.where.startswith(where) for f in found)


PRICE_TAMPERINGS = {
    "its price": (
        "UPDATE price_row SET unit_prices = replace(unit_prices::text, '0.', '9.')::jsonb",
        "are not those that were taken from",
    ),
    "its currency": ("UPDATE price_row SET currency = 'EUR'", "are not those"),
    "its model": ("UPDATE price_row SET model_id = 'gpt-x'", "are not those"),
    "its provider": ("UPDATE price_row SET provider = 'else'", "are not those"),
    "its book": ("UPDATE price_row SET book = 'else'", "are not those"),
    "its rank": ("UPDATE price_row SET rank = rank + 1", "are not those"),
    "its conditions": (
        """UPDATE price_row SET conditions = '{"when": {"x": "flex"}}', conditions_digest = 'x'""",
        "are not those",
    ),
    "its digest": ("UPDATE price_row SET content_digest = repeat('0', 64)", "are not those"),
    "its earlier start": ("UPDATE price_row SET valid_from = '2020-01-04'", "are not those"),
    "its start": ("UPDATE price_row SET valid_from = '2026-10-04'", "begins after event"),
    "the row": ("DELETE FROM price_row", "is gone; event"),
}


@pytest.mark.parametrize(("sql", "what"), PRICE_TAMPERINGS.values(), ids=PRICE_TAMPERINGS)
def test_a_tampered_price_row_is_named(
    sealed_month: str, owner_connection: psycopg.Connection, sql: str, what: str
) -> None:
    row = owner_connection.execute("SELECT lines -> 0 ->> 4 FROM usage_event LIMIT 1").fetchone()
    assert row is not None
    owner_connection.execute("ALTER TABLE price_row DISABLE TRIGGER USER")
    owner_connection.execute(f"{sql} WHERE id = {int(row[0])}")
    found = [f for f in check_month(OCTOBER) if f.check == "price row"]
    assert all(f.where.startswith(f"price row {row[0]}") for f in found)
    assert any(what in f.what for f in found)


def test_a_rewritten_seal_breaks_its_root(
    sealed_month: str, owner_connection: psycopg.Connection
) -> None:
    owner_connection.execute(
        "UPDATE seal_bucket SET digest = repeat('0', 64)"
        " WHERE id = (SELECT min(id) FROM seal_bucket)"
    )
    assert any("do not hash to its root" in f.what for f in check_month(OCTOBER))


def test_late_usage_is_no_breach_and_resealing_chains(sealed_month: str) -> None:
    later = NOW + timedelta(days=1)
    ingest([call("late", occurred_at=NOON)], now=later)
    assert list(check_month(OCTOBER)) == []
    first = {s.book: s for s in Seal.objects.all()}
    for seal in seals.seal(OCTOBER, now=later):
        assert seal.sequence == 2
        assert seal.previous_root == first[seal.book].root
        assert seal.events == first[seal.book].events + 1
    again = seals.seal(OCTOBER, now=later)
    assert {s.sequence for s in again} == {2}


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE usage_event SET output_tokens = 0",
        "DELETE FROM usage_event",
        "TRUNCATE usage_event",
        "DELETE FROM event_ledger",
        "UPDATE event_ledger SET claimed_on = now()",
        "UPDATE event_share SET cost = 0",
        "ALTER TABLE usage_event DISABLE TRIGGER ALL",
        "DROP TABLE event_ledger",
        "UPDATE seal SET root = ''",
        "DELETE FROM seal_bucket",
    ],
)
def test_the_application_may_not_even_try(sealed_month: str, sql: str) -> None:
    with (
        pytest.raises(ProgrammingError, match=r"permission denied|must be owner"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)
