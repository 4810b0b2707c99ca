"""What a month was closed on goes on counting."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from allocation import period_close
from allocation.models import PeriodClose
from metering.dispositions import TryOuts, uncount
from metering.domain.periods import Month
from metering.ingestion import ingest
from metering.verification.event_verification import check_month
from tests.allocation.october import AUDITOR, NOW, OCTOBER
from tests.metering.events import NOON, call

TEST = TryOuts("test", "test")
LATER = NOW + timedelta(hours=1)


def disposed() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM event_disposition")
        return int(cursor.fetchone()[0])


@pytest.fixture
def tried_out() -> None:
    ingest(
        [
            call("october", data_mode="test"),
            call("october-2", data_mode="test"),
            call("november", data_mode="test", occurred_at=NOON.replace(month=11, day=1)),
        ],
        now=LATER,
    )


def test_test_data_of_a_closed_month_goes_on_counting(closed: PeriodClose, tried_out: None) -> None:
    done = uncount(TEST, reason="x", author="", now=LATER)
    assert (done.events, disposed()) == (1, 1), "November is open"
    ((month, events, why),) = done.kept
    assert (month, events) == (OCTOBER, 2)
    assert f"2026-10 was closed by {closed.closed_by}" in why
    assert list(check_month(OCTOBER)) == []
    assert list(check_month(Month.parse("2026-11"))) == []


def test_once_reopened_it_can_be_uncounted(closed: PeriodClose, tried_out: None) -> None:
    uncount(TEST, reason="x", author="", now=LATER)
    period_close.reopen(OCTOBER, reason="test data in it", by=AUDITOR, now=LATER)
    assert uncount(TEST, reason="x", author="", now=LATER) == (2, ())
