"""A re-rating that is killed, and two at once: every event is revised once, nothing is doubled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta

import psycopg
import pytest

from metering.domain.usage import Share
from metering.ingestion import ingest
from metering.pricing.price_imports import import_contract
from metering.verification.event_verification import check_month
from tests.databases import ROOT
from tests.metering.events import NOON, NOW, call
from tests.metering.pricing.test_revaluation import OCTOBER

EVENTS = 6_000
pytestmark = pytest.mark.outside

RERATE = """
import sys
import django
django.setup()
from django.core.management import call_command
from metering.pricing import portions, revaluation
from tests.databases import pointed_at
revaluation.BATCH = 100
portions.WORTH_IT = 0
with pointed_at(sys.argv[1]):
    call_command("rerate", "2026-10", "--json")
"""


@pytest.fixture
def database(fresh_db: str) -> str:
    """Calls of four days in October, every tenth shared, that have all become cheaper."""
    shares = (Share(tenant_id="globex", input_tokens=300, output_tokens=50),)
    ingest(
        [
            call(
                f"req-{number}",
                occurred_at=NOON + timedelta(minutes=number),
                input_tokens=1000 + number % 7,
                shares=() if number % 10 else shares,
            )
            for number in range(EVENTS)
        ],
        now=NOW,
    )
    terms = "provider,model,valid_from,discount_percent\nopenai,*,2026-01-01,10\n"
    import_contract(terms, "c.csv", book="contract:openai", now=NOW)
    return fresh_db


def started(database: str) -> subprocess.Popen[str]:
    """A re-rating in a process group of its own, so that a kill meets its workers too."""
    return subprocess.Popen(
        [sys.executable, "-c", RERATE, database],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def changed_by(process: subprocess.Popen[str]) -> int:
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    changed: int = json.loads(said)["changed"]
    return changed


def revised(owner: psycopg.Connection) -> int:
    row = owner.execute("SELECT count(*) FROM event_revision").fetchone()
    assert row is not None
    return int(row[0])


def assert_whole(owner: psycopg.Connection) -> None:
    """Each event revised once, and on record once; digests, lines and rollups hold."""
    row = owner.execute(
        "SELECT count(*), count(DISTINCT event_key), max(revision) FROM event_revision"
    ).fetchone()
    assert row == (EVENTS, EVENTS, 1)
    assert owner.execute("SELECT sum(events) FROM rerating_difference").fetchone() == (EVENTS,)
    assert list(check_month(OCTOBER)) == []


def test_a_killed_re_rating_is_finished_by_another(
    database: str, owner_connection: psycopg.Connection
) -> None:
    process = started(database)
    while not revised(owner_connection) and process.poll() is None:
        pass
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = revised(owner_connection)
    assert 0 < before < EVENTS
    assert owner_connection.execute("SELECT count(*) FROM rerating_end").fetchone() == (0,)
    assert list(check_month(OCTOBER)) == []
    assert changed_by(started(database)) <= EVENTS - before
    assert owner_connection.execute("SELECT count(*) FROM rerating_end").fetchone() == (1,)
    assert_whole(owner_connection)


def test_two_at_once_share_the_work(database: str, owner_connection: psycopg.Connection) -> None:
    both = [started(database) for _ in range(2)]
    assert sum(changed_by(process) for process in both) == EVENTS
    assert_whole(owner_connection)
