"""After one tampered row of a closed month, `check_month` says exactly which."""

from __future__ import annotations

from datetime import timedelta
from itertools import chain
from pathlib import Path

import psycopg
import pytest

from allocation import period_close
from allocation.models import AllocationRun
from allocation.run_rows import outputs_digest, read_allocation
from allocation.verification import check_month
from metering.readings import usage_digest
from metering.verification import event_verification
from metering.verification.findings import Finding
from tests.allocation import october
from tests.allocation.october import AUDITOR, CONTROLLER, NOW, OCTOBER


@pytest.fixture
def owner(
    fresh_db: str, tmp_path: Path, owner_connection: psycopg.Connection
) -> psycopg.Connection:
    """October closed, by the books in order; the migrator's connection, its triggers off."""
    october.company(tmp_path)
    october.usage_and_bill()
    october.reconcile()
    october.run()
    period_close.close(OCTOBER, by=CONTROLLER, now=NOW)
    assert list(check_month(OCTOBER)) == []
    return owner_connection


def found(owner: psycopg.Connection, table: str, change: str) -> list[Finding]:
    owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    owner.execute(change)
    return list(check_month(OCTOBER))


BILL = "bill"
RUN = "allocation run 1 of 2026-10"
TAMPERINGS = {
    "a bill's total": (
        "provider_bill",
        "UPDATE provider_bill SET exact = exact + 1",
        "bill total",
        BILL,
    ),
    "what is payable": (
        "provider_bill",
        "UPDATE provider_bill SET payable = payable + 1",
        "bill total",
        BILL,
    ),
    "a document with its digest": (
        "bill_document",
        (
            "UPDATE bill_document SET content = content || '\\x0a'::bytea,"
            " sha256 = encode(sha256(content || '\\x0a'::bytea), 'hex')"
        ),
        "bill document",
        BILL,
    ),
    "a bill line": (
        "provider_bill_line",
        "UPDATE provider_bill_line SET amount = amount + 1 WHERE line_no = 1",
        "bill line",
        BILL,
    ),
    "an allocated line": (
        "allocation_line",
        (
            "UPDATE allocation_line SET amount = amount + 1"
            " WHERE id = (SELECT min(id) FROM allocation_line)"
        ),
        "allocation",
        RUN,
    ),
    "a statement": (
        "statement",
        (
            "UPDATE statement SET amount_minor = amount_minor + 1"
            " WHERE id = (SELECT min(id) FROM statement)"
        ),
        "statement",
        "statement of ",
    ),
    "a rule": (
        "allocation_rule_version",
        'UPDATE allocation_rule_version SET content = content || \'{"description": "other"}\'',
        "allocation rule",
        RUN,
    ),
    "what was approved": (
        "run_approval",
        "UPDATE run_approval SET outputs_digest = repeat('0', 64)",
        "approval",
        RUN,
    ),
    "who approved": (
        "run_approval",
        "UPDATE run_approval SET approved_by = 'analyst'",
        "approval",
        RUN,
    ),
    "when it was approved": (
        "run_approval",
        "UPDATE run_approval SET approved_at = approved_at - interval '1 day'",
        "approval",
        RUN,
    ),
    "who closed": (
        "period_close",
        "UPDATE period_close SET closed_by = 'auditor'",
        "close",
        "close of 2026-10",
    ),
    "when it was closed": (
        "period_close",
        "UPDATE period_close SET closed_at = closed_at + interval '1 s'",
        "close",
        "close of 2026-10",
    ),
    "what was closed on": (
        "period_close",
        "UPDATE period_close SET run_digest = repeat('0', 64)",
        "close",
        "close of 2026-10",
    ),
    "the run's inputs": (
        "allocation_run",
        "UPDATE allocation_run SET inputs_digest = repeat('0', 64)",
        "close",
        "close of 2026-10",
    ),
    "the run's author": (
        "allocation_run",
        "UPDATE allocation_run SET author = 'nobody'",
        "close",
        "close of 2026-10",
    ),
    "a step of the reconciliation": (
        "reconciliation_step",
        (
            "UPDATE reconciliation_step SET amount = amount + 1"
            " WHERE id = (SELECT min(id) FROM reconciliation_step)"
        ),
        "reconciliation",
        "reconciliation 1 of 2026-10",
    ),
    "the seal": (
        "seal",
        "DELETE FROM seal_bucket; DELETE FROM seal WHERE book = 'cost'",
        "seal of the cost book",
        "2026-10",
    ),
}


@pytest.mark.parametrize(("table", "change", "check", "where"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_a_tampered_row_is_named(
    owner: psycopg.Connection, table: str, change: str, check: str, where: str
) -> None:
    findings = found(owner, table, change)
    assert check in {finding.check for finding in findings}
    assert all(f.where.startswith(where) for f in findings if f.check == check)


def test_an_allocated_line_is_named_with_its_owner_and_what_differs(
    owner: psycopg.Connection,
) -> None:
    (finding,) = found(
        owner,
        "allocation_line",
        "UPDATE allocation_line SET amount = amount + 1, basis = 'else' WHERE number = 2",
    )
    assert finding.where == f"{RUN}, line 2"
    assert "/acme, bill " in finding.what or "/globex, bill " in finding.what
    assert "basis else, computed again " in finding.what
    assert "Decimal" not in finding.what
    assert "AllocatedLine" not in finding.what


@pytest.fixture
def late(owner: psycopg.Connection) -> psycopg.Connection:
    """After the close usage came in that would have been divided otherwise."""
    october.call(9, "globex", 3_000_000, received_at=NOW + timedelta(days=1))
    october.call(31, "acme", 1_000_000, received_at=NOW + timedelta(days=2))
    return owner


def test_late_usage_leaves_a_closed_month_as_it_was_closed(late: psycopg.Connection) -> None:
    assert usage_digest(OCTOBER.period) != AllocationRun.objects.get().usage_digest
    assert list(check_month(OCTOBER)) == []


def test_after_late_usage_an_allocated_line_is_named_all_the_same(
    late: psycopg.Connection,
) -> None:
    (finding,) = found(
        late, "allocation_line", "UPDATE allocation_line SET amount = amount + 1 WHERE number = 2"
    )
    assert finding.where == f"{RUN}, line 2"
    assert "amount " in finding.what


def test_after_late_usage_a_run_and_digest_that_fit_each_other_are_found_out(
    late: psycopg.Connection,
) -> None:
    late.execute("ALTER TABLE allocation_run DISABLE TRIGGER USER")
    late.execute("ALTER TABLE period_close DISABLE TRIGGER USER")
    late.execute("ALTER TABLE allocation_line DISABLE TRIGGER USER")
    late.execute("UPDATE allocation_line SET amount = amount + 1 WHERE number = 2")
    run = AllocationRun.objects.get()
    digest = outputs_digest(read_allocation(run.pk))
    late.execute("UPDATE allocation_run SET outputs_digest = %s", [digest])
    late.execute("UPDATE period_close SET run_digest = %s", [digest])
    assert f"{RUN}, line 2" in {finding.where for finding in check_month(OCTOBER)}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE usage_event SET input_tokens = input_tokens + 1 WHERE tenant = 'acme'",
        (
            "UPDATE usage_event SET received_at = received_at - interval '3 days'"
            " WHERE received_at > '2026-11-03 12:00Z'"
        ),
        "UPDATE usage_event SET received_at = received_at + interval '3 days'",
    ],
    ids=["an old event", "a late one made old", "old ones made late"],
)
def test_after_late_usage_a_changed_event_is_named(late: psycopg.Connection, change: str) -> None:
    late.execute(change)
    named = {f.check for f in chain(event_verification.check_month(OCTOBER), check_month(OCTOBER))}
    assert "event digest" in named
    assert named >= ({"allocation"} if "received_at" in change else {"usage rollup"})


def test_of_a_closed_month_changed_cells_are_told(owner: psycopg.Connection) -> None:
    owner.execute("UPDATE cell_rollup_tail SET quantity = quantity + 1 WHERE tenant = 'acme'")
    (finding,) = check_month(OCTOBER)
    assert finding.where == RUN
    assert finding.what.startswith("the usage as of its close (2026-11-03T09:00:00+00:00) is not")


def test_an_open_month_that_has_moved_on_is_held_to_its_digest(
    owner: psycopg.Connection,
) -> None:
    period_close.reopen(OCTOBER, reason="late usage", by=AUDITOR, now=NOW)
    october.call(9, "globex", 3_000_000, received_at=NOW + timedelta(days=1))
    assert list(check_month(OCTOBER)) == []
    (finding,) = found(
        owner, "allocation_line", "UPDATE allocation_line SET amount = amount + 1 WHERE number = 2"
    )
    assert finding == Finding("run digest", RUN, "its rows are not those it was stored with")


def test_a_settlement_that_is_gone_is_told_in_words(owner: psycopg.Connection) -> None:
    findings = found(
        owner,
        "allocation_settlement",
        "DELETE FROM allocation_settlement WHERE tenant = 'globex'",
    )
    (finding,) = (f for f in findings if f.check == "allocation")
    assert finding.where.startswith(f"{RUN}, settlement ")
    assert "(" not in finding.what.replace("(no tenant)", "")
