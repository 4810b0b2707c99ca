"""An import that is killed, and one that runs twice at once: every event counts once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from metering.domain.periods import Month
from metering.verification.event_verification import check_month
from tests.databases import ROOT
from tests.metering.events import NOON

EVENTS = 30_000
pytestmark = pytest.mark.outside

IMPORT = """
import sys
import django
django.setup()
from django.core.management import call_command
from tests.databases import pointed_at
with pointed_at(sys.argv[1]):
    call_command("import_usage", sys.argv[2], "--json")
"""


@pytest.fixture
def usage(tmp_path: Path) -> Path:
    """Calls of five days in October by twelve people."""
    path = tmp_path / "usage.jsonl"
    with path.open("w") as file:
        for number in range(EVENTS):
            event = {
                "externalRequestId": f"req-{number}",
                "provider": "openai",
                "model": "gpt-4o-mini",
                "occurredAt": (NOON + timedelta(seconds=number * 13)).isoformat(),
                "inputTokens": 100 + number % 7,
                "outputTokens": 10,
                "tenantId": f"tenant-{number % 5}",
                "userId": f"user-{number % 12}",
            }
            file.write(json.dumps(event) + "\n")
    return path


def started(database: str, usage: Path) -> subprocess.Popen[str]:
    """An import in a process group of its own, so that a kill meets whatever it has started."""
    return subprocess.Popen(
        [sys.executable, "-c", IMPORT, database, str(usage)],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str]) -> dict[str, int]:
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    report: dict[str, int] = json.loads(said)
    return report


def stored(owner: psycopg.Connection) -> int:
    row = owner.execute("SELECT count(*) FROM usage_event").fetchone()
    assert row is not None
    return int(row[0])


def assert_whole(owner: psycopg.Connection) -> None:
    """Every event once: in the events, in the ledger and in the rollups."""
    assert stored(owner) == EVENTS
    row = owner.execute(
        "SELECT (SELECT count(*) FROM event_ledger), sum(events), sum(input_tokens)"
        " FROM (SELECT * FROM usage_rollup UNION ALL SELECT * FROM usage_rollup_tail) r"
    ).fetchone()
    assert row == (EVENTS, EVENTS, sum(100 + number % 7 for number in range(EVENTS)))
    assert list(check_month(Month.parse("2026-10"))) == []


def test_a_killed_import_is_resumed_by_importing_again(
    fresh_db: str, usage: Path, owner_connection: psycopg.Connection
) -> None:
    process = started(fresh_db, usage)
    while not stored(owner_connection) and process.poll() is None:
        pass
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = stored(owner_connection)
    assert 0 < before < EVENTS
    assert list(check_month(Month.parse("2026-10"))) == []
    again = finished(started(fresh_db, usage))
    assert again["accepted"] + again["duplicates"] == EVENTS
    assert again["duplicates"] >= before
    assert_whole(owner_connection)


def test_two_imports_of_one_file_at_once_share_it(
    fresh_db: str, usage: Path, owner_connection: psycopg.Connection
) -> None:
    both = [started(fresh_db, usage) for _ in range(2)]
    reports = [finished(process) for process in both]
    assert sum(report["accepted"] for report in reports) == EVENTS
    assert sum(report["duplicates"] for report in reports) == EVENTS
    assert_whole(owner_connection)
