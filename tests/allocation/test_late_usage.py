"""Usage that comes after the close: told, queued, and without effect on what was closed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from allocation import period_close
from allocation.models import PeriodClose
from allocation.verification import check_month as check_allocation
from metering import seals
from metering.calls.call_reports import take
from metering.calls.call_upkeep import keep_up
from metering.calls.late_usage import late_usage
from metering.domain.usage import Share
from metering.group_store import GroupStore
from metering.ingestion import Books, Intake, ingest
from metering.readings import metered_cells
from metering.verification.event_verification import check_month
from tests.allocation import october
from tests.allocation.october import AUDITOR, CONTROLLER, NOW, OCTOBER
from tests.metering.calls.call_reports import MODEL, USED, report
from tests.metering.calls.test_call_reports import kinds, part
from tests.metering.events import NOON, call
from tests.metering.test_dispositions import rows

LATER = NOW + timedelta(hours=1)
NOVEMBER = NOON.replace(month=11, day=1)


def books_hold() -> None:
    assert list(check_month(OCTOBER)) == []
    assert list(check_allocation(OCTOBER)) == []


def test_late_usage_is_told_counted_and_queued(closed: PeriodClose) -> None:
    late, in_time = ingest([call("late"), call("now", occurred_at=NOVEMBER)], now=LATER)
    assert kinds([late, in_time]) == ["accepted: late_period_closed", "accepted"]
    assert f"2026-10 was closed by {closed.closed_by}" in (late.message or "")
    (line,) = late_usage()
    assert line[:7] == (OCTOBER, "arrived", "acme", "cc-growth", "openai", "USD", 1)
    assert line.cost == Decimal("0.0002475")
    assert sum(cell.cost for cell in metered_cells(OCTOBER.period) if cell.cost) > 0
    books_hold()


BEFORE = NOW - timedelta(minutes=1)
"""Received before the close, and stored after it: a file of which the rest is read meanwhile."""


def by_a_group_of_requests() -> None:
    store = GroupStore()
    store.learn()
    assert store.store([call("late")], set(), BEFORE) is None
    ingest([call("late")], now=BEFORE)


@pytest.mark.parametrize(
    "take_in",
    [
        lambda: ingest([call("late")], now=BEFORE),
        lambda: Intake(Books.load(), BEFORE).take([call("late")]),
        lambda: take([report()], source="sdk", now=BEFORE, key_tenant=None),
        by_a_group_of_requests,
    ],
    ids=["batch", "file", "spans", "requests"],
)
def test_what_was_received_before_the_close_and_is_stored_after_it_counts_as_later(
    closed: PeriodClose, take_in: Callable[[], object]
) -> None:
    take_in()
    (line,) = late_usage()
    assert (line.kind, line.events) == ("arrived", 1)
    assert line.first_received_at == closed.closed_at + timedelta(microseconds=1)
    books_hold()


def test_a_change_that_was_received_before_the_close_is_held_and_listed(
    closed_after_a_report: PeriodClose,
) -> None:
    change = [part(fields={"output_tokens": 400}, after=5)]
    take(change, source="sdk", now=BEFORE, key_tenant=None)
    assert [(line.kind, line.events) for line in late_usage()] == [("held", 1)]
    books_hold()


def test_a_shared_call_waits_for_each_owner_with_its_part(closed: PeriodClose) -> None:
    shares = (
        Share(tenant_id="globex", input_tokens=600, output_tokens=0),
        Share(tenant_id="initech", input_tokens=0, output_tokens=100),
    )
    ingest([call("late", shares=shares)], now=LATER)
    # Its input costs 127.5 millionths, of which globex has 600 in 1,000; its output 120.
    assert {line.tenant: (line.events, line.cost) for line in late_usage()} == {
        "globex": (1, Decimal("0.0000765")),
        "initech": (1, Decimal("0.00006")),
        "acme": (1, Decimal("0.000111")),
    }


def test_what_came_late_without_a_price_is_not_said_to_cost_nothing(closed: PeriodClose) -> None:
    ingest([call("late"), call("unknown", model="no-such-model")], now=LATER)
    (line,) = late_usage()
    assert (line.events, line.cost, line.unpriced) == (2, Decimal("0.0002475"), 1)
    said = StringIO()
    call_command("late_usage", stdout=said)
    assert "2 events came late, 0.0002475 USD and 1 without a known price" in said.getvalue()


def test_who_imports_a_file_is_told_how_much_of_it_came_after_the_close(
    closed: PeriodClose, tmp_path: Path
) -> None:
    usage = tmp_path / "usage.jsonl"
    sent = {"provider": "openai", "model": "gpt-4o-mini", "inputTokens": 1}
    lines = [
        {**sent, "externalRequestId": name, "occurredAt": at.isoformat()}
        for name, at in (("late", NOON), ("now", NOVEMBER))
    ]
    usage.write_text("\n".join(map(json.dumps, lines)))
    said, again = StringIO(), StringIO()
    call_command("import_usage", str(usage), stdout=said)
    assert "1 of the accepted came after the close of their month" in said.getvalue()
    call_command("import_usage", str(usage), json=True, stdout=again)
    told = json.loads(again.getvalue())
    assert (told["accepted"], told["duplicates"], told["afterClose"]) == (0, 2, 0)


def test_sent_again_it_is_queued_once(closed: PeriodClose) -> None:
    ingest([call("late")], now=LATER)
    assert kinds(ingest([call("late")], now=LATER)) == ["duplicate"]
    assert [line.events for line in late_usage(OCTOBER)] == [1]


def test_what_the_month_was_closed_on_again_waits_no_longer(closed: PeriodClose) -> None:
    ingest([call("late")], now=LATER)
    period_close.reopen(OCTOBER, reason="late usage", by=AUDITOR, now=LATER)
    assert len(late_usage(OCTOBER)) == 1
    seals.seal(OCTOBER, now=LATER + timedelta(hours=1))
    assert late_usage(OCTOBER) == []


def test_another_month_that_is_sealed_since_takes_nothing_from_the_queue(
    closed: PeriodClose,
) -> None:
    ingest([call("late")], now=LATER)
    seals.seal(OCTOBER.next(), now=LATER + timedelta(hours=1))
    assert [line.events for line in late_usage()] == [1]


@pytest.fixture
def closed_after_a_report(db: None, tmp_path: Path) -> PeriodClose:
    """A month with a call that was told in reports."""
    take([report()], source="sdk", now=NOW - timedelta(days=1), key_tenant=None)
    october.ready(tmp_path)
    return period_close.close(OCTOBER, by=CONTROLLER, now=NOW)


def test_a_change_of_closed_usage_is_held(closed_after_a_report: PeriodClose) -> None:
    change = [part(fields={"output_tokens": 400}, after=5)]
    before = rows("SELECT count(*), sum(cost) FROM usage_rollup_tail")
    assert kinds(take(change, source="sdk", now=LATER, key_tenant=None)) == [
        "accepted: late_period_closed"
    ]
    assert kinds(take(change, source="sdk", now=LATER, key_tenant=None)) == ["duplicate"]
    assert rows("SELECT count(*), sum(cost) FROM usage_rollup_tail") == before
    assert rows("SELECT count(*) FROM event_disposition") == [(0,)]
    assert [(line.kind, line.events) for line in late_usage()] == [("held", 1)]
    books_hold()


def test_a_held_change_is_made_when_the_month_is_reopened(
    closed_after_a_report: PeriodClose,
) -> None:
    take([part(fields={"output_tokens": 400}, after=5)], source="sdk", now=LATER, key_tenant=None)
    assert keep_up(now=LATER).settled == 0
    period_close.reopen(OCTOBER, reason="late usage", by=AUDITOR, now=LATER)
    assert keep_up(now=LATER).settled == 1
    assert rows("SELECT state FROM event_disposition") == [("superseded",)]
    assert late_usage() == []
    assert list(check_month(OCTOBER)) == []


def test_a_leaf_that_comes_after_the_close_waits_with_its_parent(
    closed_after_a_report: PeriodClose,
) -> None:
    leaf = report("leaf", parent_span_id="s1", fields={**MODEL, **USED})
    assert kinds(take([leaf], source="sdk", now=LATER, key_tenant=None)) == [
        "accepted: late_period_closed"
    ]
    assert rows("SELECT count(*) FROM usage_event WHERE source = 'sdk'") == [(1,)]
    books_hold()
    period_close.reopen(OCTOBER, reason="late usage", by=AUDITOR, now=LATER)
    keep_up(now=LATER)
    assert rows("SELECT count(*) FROM usage_event WHERE source = 'sdk'") == [(2,)]
    assert rows("SELECT state FROM event_disposition") == [("superseded",)]


def test_the_second_route_of_a_closed_call_does_not_count(closed: PeriodClose) -> None:
    one = call("a", source="app", provider_request_id="x", occurred_at=NOON)
    two = call("b", source="gateway", provider_request_id="x", occurred_at=NOON)
    ingest([one], now=LATER)
    assert kinds(ingest([two], now=LATER)) == ["accepted: late_period_closed"]
    assert sum(line.events for line in late_usage()) == 1
    books_hold()
