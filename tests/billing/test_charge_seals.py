"""What is approved is sealed in the charge book, and held against it."""

from __future__ import annotations

import psycopg
import pytest

from billing import charge_seals, invoice_run
from billing.approvals import approve, approve_run
from billing.models import Invoice
from billing.verify import verify
from metering.domain.periods import Month
from metering.models import Seal
from tests.billing.billed import NOW, call, calls, on_pro, plans, staff

OCTOBER = Month(2026, 10)


@pytest.fixture
def approved(fresh_db: str) -> None:
    """Two invoices approved in one act, a third by itself."""
    staff()
    tenants = ("acme", "globex", "initech")
    plans(*(on_pro(tenant) for tenant in tenants))
    calls(*(call(tenant=tenant) for tenant in tenants for _ in range(3)))
    for tenant in tenants[:1]:
        drafts = invoice_run.run(OCTOBER, author="schedule", now=NOW, tenants=[tenant])
        approve(drafts.outcomes[0].invoice_id or 0, by="controller", now=NOW)
    approve_run(invoice_run.run(OCTOBER, author="schedule", now=NOW), by="controller", now=NOW)


def found() -> list[str]:
    return [f"{f.where}: {f.what}" for f in charge_seals.check(OCTOBER)]


@pytest.mark.usefixtures("approved")
def test_approval_seals_once_an_act() -> None:
    first, second = Seal.objects.filter(book="charge").order_by("sequence")
    assert [s.buckets.count() for s in (first, second)] == [1, 2]
    assert (first.month, first.sequence, second.previous_root) == ("2026-10", 1, first.root)
    assert first.events == 3 * 4  # three calls beneath each of four lines
    assert verify(OCTOBER).holds
    for invoice in Invoice.objects.all():
        approve(invoice.pk, by="controller", now=NOW)
    assert Seal.objects.filter(book="charge").count() == 2


@pytest.mark.parametrize(
    "change",
    [
        "total_minor = total_minor + 1",
        "approved_by = 'another'",
        "author = 'somebody'",
        "outputs_digest = 'x'",
        "cycle_end = cycle_end + interval '1 hour'",
    ],
)
@pytest.mark.usefixtures("approved")
def test_an_invoice_changed_after_approval_is_named(
    owner_connection: psycopg.Connection, change: str
) -> None:
    owner_connection.execute("ALTER TABLE invoice DISABLE TRIGGER USER")
    owner_connection.execute(f"UPDATE invoice SET {change} WHERE tenant = 'globex'")
    globex = Invoice.objects.get(tenant="globex")
    changed, gone = found()
    assert changed.startswith(f"invoice {globex.pk} (globex): it is not as it was sealed")
    assert gone.startswith("globex, cycle until 2026-11-01 00:00 UTC: no approved invoice")


@pytest.mark.usefixtures("approved")
def test_an_invoice_taken_away_and_one_approved_by_sql_are_named(
    owner_connection: psycopg.Connection,
) -> None:
    plans(on_pro("hooli"))
    invoice_run.run(OCTOBER, author="schedule", now=NOW)
    owner_connection.execute(
        "UPDATE invoice SET state = 'approved', approved_by = 'x', approved_at = now()"
        " WHERE tenant = 'hooli'"
    )
    assert [x.split(":")[0].split()[-1] for x in found()] == ["(hooli)"]
    owner_connection.execute("ALTER TABLE invoice DISABLE TRIGGER USER")
    owner_connection.execute("UPDATE invoice SET approved_by = NULL, approved_at = NULL,"
                             " state = 'draft' WHERE tenant = 'acme'")  # fmt: skip
    assert any(x.startswith("acme, cycle until") for x in found())


@pytest.mark.usefixtures("approved")
def test_verify_tells_it(owner_connection: psycopg.Connection) -> None:
    owner_connection.execute("ALTER TABLE invoice DISABLE TRIGGER USER")
    owner_connection.execute("UPDATE invoice SET approved_by = 'another' WHERE tenant = 'acme'")
    assert {f.check for f in verify(OCTOBER).findings} == {"seal of the charge book", "invoice"}
