"""The demo's journey on a database: what was planted is found, and a tampered row is named."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from rich.console import Console

from billing.demo import companions
from billing.demo.bill_documents import CSV_COLUMNS
from billing.demo.checks import checks, differences
from billing.demo.documents import MadeMonth, write_month
from billing.demo.journey import Journey, travel
from billing.demo.owners import COST_CENTRES
from billing.demo.papers import write_papers
from billing.demo.run import MONTH_END_WORK, made_inputs
from billing.demo.summary import print_summary
from billing.verification_run import verification_status
from billing.verify import verify
from config.celery import app as celery
from config.environment import broker_url
from config.history import of_command
from metering.domain.periods import Month

EVENTS = 4_000
OCTOBER = Month(2026, 10)


@pytest.fixture
def made(tmp_path: Path) -> MadeMonth:
    return write_month(tmp_path / "in", EVENTS)


@pytest.fixture
def broker(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Messages leave this process, for the broker that the worker listens to."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setitem(celery.conf, "broker_url", broker_url(redis_url))
    forget_connections = getattr(celery, "_after_fork")  # noqa: B009 - its type stubs have no name for it
    forget_connections()
    yield
    forget_connections()


@pytest.fixture
def journey(fresh_db: str, broker: None, made: MadeMonth) -> Journey:
    """Through a real worker, over the real broker, and to the double of Stripe."""
    with (
        of_command(["manage.py", "demo"]),
        companions.worker() as worker,
        companions.stripe() as stripe,
    ):
        worker.begin(fresh_db, stripe)
        return travel(
            made_inputs(made.files),
            now=MONTH_END_WORK,
            worker=worker,
            pushes=True,
            said=lambda _: None,
        )


def test_what_was_planted_is_found_and_a_tampered_row_is_named(
    journey: Journey, made: MadeMonth, owner_connection: psycopg.Connection, tmp_path: Path
) -> None:
    found = list(checks(journey, made))
    assert [check for check in found if not check.holds] == []
    assert len(found) >= 10

    unnamed = owner_connection.execute(
        "SELECT pgh_label FROM invoice_history WHERE pgh_context ->> 'command' IS NULL"
        " OR pgh_label = 'insert' AND pgh_context ->> 'task' IS NULL"
    ).fetchall()
    assert unnamed == [], "who drafted and pushed the invoices is recorded"

    verified = verification_status(OCTOBER)
    assert verified is not None
    assert (verified.state, verified.errors) == ("done", ())

    closed = journey.months[0]
    seen = {(d.provider, d.cause): d.found for d in differences(closed, made)}
    assert seen == {(p.provider, p.cause): p.amount for p in made.bills.planted}

    assert all(x.done for x in closed.pushed)
    assert len(closed.pushed) == len(closed.invoices.outcomes)

    statements = write_papers(closed.run, closed.results, tmp_path)
    assert {s.subject.key for s in statements} == {code for code, *_ in COST_CENTRES}
    assert {s.mode for s in statements} == {"showback", "chargeback"}
    folder = tmp_path / "2026-10"
    waterfalls = json.loads((folder / "waterfall.json").read_text())
    assert {step["cause"] for step in waterfalls["openai"]["steps"] if step["amount"] != "0"} == {
        p.cause for p in made.bills.planted if p.provider == "openai"
    }
    page = (folder / "statements" / "cc-growth-usd.html").read_text()
    assert "<svg" in page

    screen = io.StringIO()
    print_summary(Console(file=screen, width=160), journey, made, {"2026-10": statements}, found)
    assert "executed" in screen.getvalue()
    assert "✗" not in screen.getvalue()

    row = owner_connection.execute(
        "SELECT event_key FROM usage_event WHERE tenant = 'acme' AND cost > 0"
        " ORDER BY event_key LIMIT 1"
    ).fetchone()
    assert row is not None
    owner_connection.execute(
        "UPDATE usage_event SET cost = cost + 1 WHERE event_key = %s", [row[0]]
    )
    named = [finding for finding in verify(OCTOBER).findings if str(row[0]) in finding.where]
    assert {finding.check for finding in named} >= {"value digest", "cost lines"}


def test_the_made_csv_needs_its_map(made: MadeMonth) -> None:
    header = made.files.anthropic_bill.read_text().splitlines()[0].split(",")
    assert header == list(CSV_COLUMNS.values())
    assert header != list(CSV_COLUMNS)
