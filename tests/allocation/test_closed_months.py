"""The database holds a closed month shut, against raw SQL and against two at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from django.db import DatabaseError, IntegrityError, connection, connections, transaction

from allocation import period_close
from allocation.closed_months import MonthIsClosed
from allocation.models import PeriodClose, RunApproval, Statement
from allocation.period_close import CloseRefused, NotReady
from tests.allocation import october
from tests.allocation.october import AUDITOR, CONTROLLER, NOW, OCTOBER

TAMPERING = {
    "the run's state": (
        "UPDATE allocation_run SET state = 'approved'",
        "allocation_run refuses",
    ),
    "the run": (
        "DELETE FROM allocation_run",
        "allocation_run refuses",
    ),
    "another run": (
        """
        INSERT INTO allocation_run (month, number, state, author, rule_version_id, usage_digest,
            inputs_digest, outputs_digest, created_at)
        SELECT month, 9, 'superseded', author, rule_version_id, '', '', '', now()
        FROM allocation_run""",
        "allocation_run refuses",
    ),
    "a line": (
        "UPDATE allocation_line SET amount = amount + 1",
        "Cannot update or delete rows",
    ),
    "a line less": (
        "DELETE FROM allocation_line",
        "Cannot update or delete rows",
    ),
    "a line more": (
        """
        INSERT INTO allocation_line (run_id, number, bill_id, currency, provider, project, model,
            token_class, tier, pool, strategy, cost_centre, tenant, driver_key, basis, amount,
            rounding_units)
        SELECT run_id, 999, bill_id, currency, provider, '', '', '', '', pool, 'assigned',
            'cc-growth', '', '', 'x', 1, 0 FROM allocation_line LIMIT 1""",
        "takes no more rows",
    ),
    "a settlement": (
        "UPDATE allocation_settlement SET amount_minor = amount_minor + 1",
        "Cannot update or delete rows",
    ),
    "a settlement less": (
        "DELETE FROM allocation_settlement",
        "Cannot update or delete rows",
    ),
    "a statement": (
        "UPDATE statement SET amount_minor = 0",
        "statement refuses",
    ),
    "a statement less": (
        "DELETE FROM statement",
        "statement refuses",
    ),
    "a statement again": (
        """
        INSERT INTO statement (run_id, cost_centre, currency, mode, name, responsible, exact,
            amount_minor, events, events_digest, digest, issued_at)
        SELECT run_id, cost_centre, currency, 'showback', 'x', '', exact, amount_minor, 0, '', '',
            now() FROM statement LIMIT 1""",
        "statement refuses",
    ),
    "the bill": (
        "UPDATE provider_bill SET account = 'other'",
        "Cannot update or delete rows",
    ),
    "the bill less": (
        "DELETE FROM provider_bill",
        "Cannot update or delete rows",
    ),
    "a bill line": (
        "UPDATE provider_bill_line SET amount = 0",
        "Cannot update or delete rows",
    ),
    "the bill in another month": (
        "UPDATE provider_bill SET month = '2026-11'",
        "Cannot update or delete rows",
    ),
    "the reconciliation": (
        "UPDATE reconciliation SET outputs_digest = ''",
        "reconciliation refuses",
    ),
    "another reconciliation": (
        """
        INSERT INTO reconciliation (month, number, inputs_digest, outputs_digest, reconciled_at)
        VALUES ('2026-10', 9, 'x', 'y', now())""",
        "reconciliation refuses",
    ),
    "the approval": (
        "DELETE FROM run_approval",
        "Cannot update or delete rows",
    ),
    "the close": (
        "DELETE FROM period_close",
        "Cannot update or delete rows",
    ),
    "who closed": (
        "UPDATE period_close SET closed_by = 'somebody else'",
        "Cannot update or delete rows",
    ),
    "everything": (
        "TRUNCATE allocation_run CASCADE",
        "permission denied",
    ),
    "the triggers": (
        "ALTER TABLE allocation_run DISABLE TRIGGER ALL",
        "must be owner",
    ),
    "a second close": (
        """
        INSERT INTO period_close (month, sequence, run_id, prepared_by, approved_by, closed_by,
            closed_at, run_digest, inputs_digest, usage_digest, totals, answers)
        SELECT month, 2, run_id, prepared_by, approved_by, closed_by, now(), run_digest, '', '',
            '[]', '[]' FROM period_close""",
        "is closed already",
    ),
    "a reopening by the closer": (
        """
        INSERT INTO period_reopening (close_id, reason, reopened_by, reopened_at)
        SELECT id, 'because', closed_by, now() FROM period_close""",
        "another person reopens it",
    ),
    "a reopening without a reason": (
        """
        INSERT INTO period_reopening (close_id, reason, reopened_by, reopened_at)
        SELECT id, '  ', 'auditor', now() FROM period_close""",
        "reopening_has_a_reason",
    ),
    "with triggers switched off for the session": (
        "SET session_replication_role = replica",
        "permission denied",
    ),
    "with triggers told to be ignored": (
        """
        SELECT set_config('pgtrigger.ignore', array_agg(tgname)::text, true) FROM pg_trigger;
        UPDATE allocation_run SET state = 'approved'""",
        "allocation_run refuses",
    ),
    "with an empty table put before the real one": (
        """
        CREATE TEMPORARY TABLE period_close (LIKE public.period_close);
        UPDATE allocation_run SET state = 'approved'""",
        "allocation_run refuses",
    ),
}
"""What is tried on a closed month, and what the database says to it."""


def execute(statement: str) -> None:
    """As the application's role; what is only checked on commit is checked here."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def refusal(statement: str) -> str:
    try:
        with transaction.atomic():
            execute(statement)
    except DatabaseError as error:
        return str(error)
    return "accepted"


def test_the_database_refuses_to_change_a_closed_month(closed: PeriodClose) -> None:
    for what, (statement, because) in TAMPERING.items():
        assert because in refusal(statement), what


def test_an_open_month_takes_what_a_closed_one_refuses(ready: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE allocation_run SET state = 'superseded'")
        cursor.execute(TAMPERING["another reconciliation"][0])


@pytest.fixture
def october_committed(fresh_db: str, tmp_path: Path) -> None:
    october.company(tmp_path)
    october.usage_and_bill()
    october.reconcile()
    october.run()


def at_once(*acts: Callable[[], object]) -> list[object]:
    barrier = Barrier(len(acts))

    def act(does: Callable[[], object]) -> object:
        try:
            barrier.wait()
            return does()
        except (CloseRefused, IntegrityError, MonthIsClosed) as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(act, acts))


def test_two_closers_make_one_close(october_committed: None) -> None:
    results = at_once(
        lambda: period_close.close(OCTOBER, by=CONTROLLER, now=NOW),
        lambda: period_close.close(OCTOBER, by=AUDITOR, now=NOW),
    )
    assert sorted(type(result).__name__ for result in results) == [
        "CloseRefused",
        "PeriodClose",
    ]
    assert PeriodClose.objects.count() == 1
    assert RunApproval.objects.count() == 1
    assert Statement.objects.count() == 3


def test_what_is_being_written_ends_before_the_close_decides(october_committed: None) -> None:
    """A writer in an open transaction holds the month; the close waits, and then sees it."""
    written = Barrier(2)
    closing: list[object] = []

    def write() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(TAMPERING["another reconciliation"][0])
            written.wait()

    def close() -> None:
        written.wait()
        try:
            closing.append(period_close.close(OCTOBER, by=CONTROLLER, now=NOW))
        except NotReady as error:
            closing.append(error)

    at_once(write, close)
    assert [type(result).__name__ for result in closing] == ["NotReady"]
