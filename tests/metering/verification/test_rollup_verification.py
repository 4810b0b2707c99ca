"""A rollup that was changed in any column is found, and the cell of it named."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest

from metering.domain.periods import Month, Period
from metering.domain.usage import COUNTS, Share
from metering.ingestion import ingest
from metering.rollups import CELL, DAY, USAGE, USER, fold
from metering.verification import line_verification, rollup_verification
from metering.verification.findings import Finding
from tests.metering.events import NOON, NOW, call

OCTOBER = Month.parse("2026-10").period
DETAILED = dict.fromkeys(COUNTS, 11) | {"input_tokens": 1000, "output_tokens": 200}


def check(period: Period) -> list[Finding]:
    """What holds not of the rollups: bill cells are held against the cost lines."""
    return [*rollup_verification.check(period), *line_verification.check(period)]


def _shares(*tokens: tuple[int, int]) -> tuple[Share, ...]:
    return tuple(
        Share(tenant_id=f"t{i}", input_tokens=given, output_tokens=taken)
        for i, (given, taken) in enumerate(tokens)
    )


@pytest.fixture
def rolled_month(fresh_db: str) -> None:
    """Plain, shared, unpriced, cached and half-priced calls, folded; all of it holds."""
    thirds = _shares((333, 66), (333, 66), (333, 66))
    ingest(
        [
            call("plain", user_id="u1", **DETAILED),
            call("shared", shares=thirds, **DETAILED),
            call("shared-1", shares=_shares((999, 0), (1, 1)), **DETAILED),
            call("input-only", shares=_shares((7, 0)), input_tokens=10, output_tokens=0,
                 reasoning_tokens=0, cached_input_tokens=9),
            call("unpriced", model="no-such-model", shares=thirds, **DETAILED),
            call("units", units={"web_search": Decimal(3), "unheard_of": Decimal("0.5")}),
            call("cache", served_from="caller_cache"),
            call("other day", occurred_at=NOON + timedelta(days=1), batch=True),
        ],
        now=NOW,
    )  # fmt: skip
    fold()
    assert list(check(OCTOBER)) == []


@pytest.mark.usefixtures("rolled_month")
@pytest.mark.parametrize("column", USAGE.sums)
def test_every_sum_of_the_usage_rollup_is_held_against_the_raw_events(
    owner_connection: psycopg.Connection, column: str
) -> None:
    changed = owner_connection.execute(
        f"UPDATE usage_rollup SET {column} = {column} + 1"
        " WHERE tenant = 't1' AND pricing = 'priced' AND bucket_at = %s",
        [NOON],
    )
    assert changed.rowcount == 1
    found = [finding for finding in check(OCTOBER) if finding.check == "usage rollup"]
    assert [finding.where for finding in found] == [
        "2026-10-03 12:00 unallocated t1 gpt-4o-mini checkout.summary"
    ]
    raw, rolled = found[0].what.removeprefix("raw: ").split("; rollup: ")
    assert (raw.split()[0], rolled.split()[0]) == (column, column)
    assert Decimal(rolled.split()[1]) == Decimal(raw.split()[1]) + 1


@pytest.mark.usefixtures("rolled_month")
@pytest.mark.parametrize("column", CELL.sums)
@pytest.mark.parametrize(
    ("pricing", "model", "token_class"),
    [
        ("priced", "gpt-4o-mini", "cache_read"),
        ("unpriced", "no-such-model", "cache_read"),
        ("unpriced", "no-such-model", "output_image"),
        ("unpriced", "gpt-4o-mini", "unheard_of"),
    ],
)
def test_every_sum_of_the_cells_is_held_against_the_raw_events(
    owner_connection: psycopg.Connection, column: str, pricing: str, model: str, token_class: str
) -> None:
    changed = owner_connection.execute(
        f"UPDATE cell_rollup SET {column} = {column} + 1 WHERE day = '2026-10-03' AND ctid ="
        " (SELECT min(ctid) FROM cell_rollup WHERE day = '2026-10-03'"
        "  AND (pricing, model, token_class) = (%s, %s, %s))",
        [pricing, model, token_class],
    )
    assert changed.rowcount == 1
    found = [finding for finding in check(OCTOBER) if finding.check == "cell rollup"]
    assert [finding.where for finding in found] == [f"2026-10-03 openai {model} {token_class}"]
    assert column in found[0].what


@pytest.mark.usefixtures("rolled_month")
@pytest.mark.parametrize("column", USER.sums)
def test_every_sum_of_the_users_is_held_against_the_raw_events(
    owner_connection: psycopg.Connection, column: str
) -> None:
    owner_connection.execute(f"UPDATE user_rollup SET {column} = {column} + 1")
    (found,) = (finding for finding in check(OCTOBER) if finding.check == "user rollup")
    assert found.where.startswith("2026-10-03 unallocated user ")
    assert column in found.what


@pytest.mark.usefixtures("rolled_month")
@pytest.mark.parametrize("column", DAY.sums)
def test_every_sum_of_the_days_is_held_against_the_folded_usage(
    owner_connection: psycopg.Connection, column: str
) -> None:
    ingest([call("in the tail yet")], now=NOW)
    assert list(check(OCTOBER)) == []
    changed = owner_connection.execute(
        f"UPDATE day_rollup SET {column} = {column} + 1"
        " WHERE day = '2026-10-03' AND pricing = 'unpriced'"
    )
    assert changed.rowcount == 1
    (found,) = check(OCTOBER)
    assert found.check == "day rollup"
    assert found.where == "2026-10-03 unallocated openai no-such-model"
    folded, days = found.what.removeprefix("usage rollup: ").split("; by day: ")
    assert (folded.split()[0], days.split()[0]) == (column, column)
    assert Decimal(days.split()[1]) == Decimal(folded.split()[1]) + 1


@pytest.mark.usefixtures("rolled_month")
@pytest.mark.parametrize("change", [*(f"{key} = 'else'" for key in DAY.key[1:]), "day = day + 1"])
def test_days_that_say_something_else_of_the_same_usage_are_named(
    owner_connection: psycopg.Connection, change: str
) -> None:
    owner_connection.execute(f"UPDATE day_rollup SET {change} WHERE pricing = 'unpriced'")
    assert {found.check for found in check(OCTOBER)} == {"day rollup"}


@pytest.mark.usefixtures("rolled_month")
def test_a_day_that_is_gone_is_named(owner_connection: psycopg.Connection) -> None:
    owner_connection.execute("DELETE FROM day_rollup WHERE day = '2026-10-04'")
    (found,) = check(OCTOBER)
    assert found.where.startswith("2026-10-04")
    assert found.what.endswith("; by day: nothing")


@pytest.mark.usefixtures("rolled_month")
def test_cells_that_changed_places_are_named(owner_connection: psycopg.Connection) -> None:
    """All that adds up to the same over the month, and over each key by itself, is found."""
    ingest(
        [
            call(f"{tenant}-{tag}", tenant_id=tenant, endpoint_tag=tag, output_tokens=tokens)
            for tenant, tag, tokens in (
                ("a", "x", 1), ("a", "y", 2), ("b", "x", 2), ("b", "y", 1),
            )
        ],
        now=NOW,
    )  # fmt: skip
    fold()
    assert list(check(OCTOBER)) == []
    owner_connection.execute(
        "UPDATE usage_rollup SET output_tokens = 3 - output_tokens,"
        " cost = (SELECT sum(cost) FROM usage_rollup o WHERE o.tenant = usage_rollup.tenant)"
        " - cost WHERE tenant IN ('a', 'b')"
    )
    found = [finding for finding in check(OCTOBER) if finding.check == "usage rollup"]
    assert [finding.where.split()[3:] for finding in found] == [
        [tenant, "gpt-4o-mini", tag] for tenant in ("a", "b") for tag in ("x", "y")
    ]


@pytest.mark.usefixtures("rolled_month")
@pytest.mark.parametrize("count", [2**62, -(2**62)])
def test_a_count_beyond_all_bounds_is_named_like_any_other(
    owner_connection: psycopg.Connection, count: int
) -> None:
    owner_connection.execute(
        "UPDATE usage_rollup SET input_tokens = %s WHERE bucket_at = %s AND tenant = 't1'"
        " AND pricing = 'priced'",
        [count, NOON],
    )
    (found,) = (finding for finding in check(OCTOBER) if finding.check == "usage rollup")
    assert found.what.endswith(f"rollup: input_tokens {count}")
