"""After one tampered row of a closed month, `check_month` says exactly which."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from allocation import period_close
from allocation.verification import check_month
from metering.findings import Finding
from tests.allocation import october
from tests.allocation.october import CONTROLLER, NOW, OCTOBER


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


def test_a_settlement_that_is_gone_is_told_in_words(owner: psycopg.Connection) -> None:
    findings = found(
        owner,
        "allocation_settlement",
        "DELETE FROM allocation_settlement WHERE tenant = 'globex'",
    )
    (finding,) = (f for f in findings if f.check == "allocation")
    assert finding.where.startswith(f"{RUN}, settlement ")
    assert "(" not in finding.what.replace("(no tenant)", "")
