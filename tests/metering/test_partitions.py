"""Partitions: made ahead, made on demand, made by two at once."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from metering import partitions
from metering.ingestion import ingest
from metering.tasks import fold_rollups, make_partitions
from tests.metering.events import NOON, call
from tests.threads import at_once

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
_serial = count(1)


def there() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'usage_event'::regclass"
        )
        return {name for (name,) in cursor.fetchall()}


def test_the_days_ahead_are_made_once(db: None) -> None:
    before = there()
    made = partitions.make_ahead(now=NOW, days=3)
    assert there() - before == {f"usage_event_202611{day:02}" for day in (1, 2, 3, 4, 5)} - before
    assert made == len(there()) - len(before)
    assert partitions.make_ahead(now=NOW, days=3) == 0


def test_a_zones_clock_does_not_move_the_day(db: None) -> None:
    east = NOW.astimezone(ZoneInfo("Pacific/Kiritimati"))
    partitions.make_ahead(now=east, days=0)
    assert partitions.make_ahead(now=NOW, days=0) == 0


@pytest.mark.usefixtures("fresh_db")
def test_many_that_need_the_same_days_at_once_all_get_them() -> None:
    """Makers ahead of time, and senders of events whose days are not there yet."""
    days = [NOON - timedelta(days=days) for days in (0, 1, 200, 360)]

    def send() -> int:
        events = [call(f"req-{next(_serial)}", occurred_at=day) for day in days]
        return sum(outcome.outcome == "accepted" for outcome in ingest(events, now=NOW))

    def make() -> int:
        return partitions.make_ahead(now=NOON, days=2)

    assert at_once(send, make, send, make)[::2] == [len(days), len(days)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tableoid::regclass::text, count(*) FROM usage_event GROUP BY 1 ORDER BY 1"
        )
        assert cursor.fetchall() == [(f"usage_event_{day:%Y%m%d}", 2) for day in reversed(days)]


def test_by_command_and_by_task(db: None) -> None:
    out = io.StringIO()
    call_command("make_partitions", "--days", "40", "--json", stdout=out)
    assert json.loads(out.getvalue())["made"] >= 40 - 14
    assert make_partitions() == 0
    today = timezone.now().astimezone(UTC).date()
    assert f"usage_event_{today + timedelta(days=40):%Y%m%d}" in there()
    with pytest.raises(CommandError, match="give a number from 0"):
        call_command("make_partitions", "--days", "-1")


def test_folding_goes_on_in_portions_until_nothing_is_left(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metering.tasks.FOLD_ROWS", 2)
    for number in range(5):
        ingest([call(f"req-{next(_serial)}", occurred_at=NOON + timedelta(hours=number))], now=NOW)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM usage_rollup_tail), sum(events) FROM usage_rollup_tail"
        )
        assert cursor.fetchone() == (5, 5)
        assert fold_rollups() >= 5
        cursor.execute(
            "SELECT (SELECT count(*) FROM usage_rollup_tail), sum(events) FROM usage_rollup"
        )
        assert cursor.fetchone() == (0, 5)
