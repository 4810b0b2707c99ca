"""After one tampered row, `verify` names the invoice, and the line of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest

from billing.approvals import approve_run
from billing.invoice_run import run
from billing.models import Invoice, InvoiceLine
from billing.verify import verify
from metering import people, seals
from metering.domain.periods import Month
from metering.ingestion import ingest
from tests.billing.billed import NOW, call, calls, on_pro, plans

OCTOBER = Month.parse("2026-10")


@pytest.fixture
def owner(fresh_db: str, owner_connection: psycopg.Connection) -> psycopg.Connection:
    """Two customers' approved invoices of a sealed month; who owns the tables, triggers off."""
    plans(on_pro("acme"), on_pro("globex"))
    calls(*(call(tenant=tenant) for tenant in ("acme", "globex") for _ in range(3)))
    people.add("controller", ["approver"])
    approve_run(run(OCTOBER, author="run_invoices", now=NOW), by="controller", now=NOW)
    seals.seal(OCTOBER, now=NOW)
    assert verify(OCTOBER).findings == ()
    return owner_connection


TAMPERINGS = {
    "a line's amount": ("invoice_line", "amount = amount + 1", True),
    "a line's minor units": ("invoice_line", "amount_minor = amount_minor + 1", True),
    "a line's quantity": ("invoice_line", "quantity = quantity + 1", True),
    "a line's description": ("invoice_line", "description = 'else'", True),
    "a line's evidence": ("invoice_line", "evidence_digest = repeat('0', 64)", True),
    "who approved": ("invoice", "approved_by = 'somebody'", False),
    "when it was approved": ("invoice", "approved_at = approved_at - interval '1 s'", False),
    "whose it is": ("invoice", "tenant = 'else'", False),
    "its total": ("invoice", "total_minor = total_minor + 1", False),
    "its digest": ("invoice", "outputs_digest = repeat('0', 64)", False),
}


def late_usage() -> None:
    """Since the invoices were drafted, each customer has made more calls than before."""
    late = [call(tenant=tenant, units={"web_search": Decimal(2)}) for tenant in ("acme", "globex")]
    assert {x.outcome for x in ingest(late, now=NOW + timedelta(days=1))} == {"accepted"}


@pytest.mark.parametrize("meanwhile", [lambda: None, late_usage], ids=["", "after late usage"])
@pytest.mark.parametrize(("table", "change", "of_line"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_a_tampered_row_is_named(
    owner: psycopg.Connection,
    meanwhile: Callable[[], None],
    table: str,
    change: str,
    *,
    of_line: bool,
) -> None:
    meanwhile()
    assert verify(OCTOBER).findings == ()
    invoice = Invoice.objects.get(tenant="globex")
    line = InvoiceLine.objects.filter(invoice=invoice, amount_minor__gt=0).order_by("-position")[0]
    owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    owner.execute(f"UPDATE {table} SET {change} WHERE id = {line.pk if of_line else invoice.pk}")
    found = [finding for finding in verify(OCTOBER).findings if finding.check == "invoice"]
    assert found
    for finding in found:
        assert finding.where.startswith(f"invoice {invoice.pk} (")
    if of_line:
        assert [finding.where.rpartition(" ")[0][-4:] for finding in found] == ["line"]
        assert found[0].where.endswith(f" line {line.position}")
    else:
        assert any(f"{change.partition(' ')[0]} is " in finding.what for finding in found)
