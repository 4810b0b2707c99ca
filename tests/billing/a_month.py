"""A small October that can be run to its invoices: usage, a bill, customers on a plan."""

from __future__ import annotations

from pathlib import Path

from allocation import period_close
from allocation.models import AllocationRun, PeriodClose, Reconciliation
from billing import invoice_run
from billing.models import Invoice
from tests.allocation import october
from tests.allocation.october import AUDITOR, CONTROLLER, NOW, OCTOBER
from tests.billing.billed import on_pro, plans

CUSTOMERS = ("acme", "globex")

Made = tuple[tuple[str, str], tuple[tuple[str, str, int, str], ...]]


def set_up(folder: Path) -> None:
    """Owners, people, usage and its bill, and both customers on the plan `pro`."""
    october.company(folder)
    october.usage_and_bill()
    plans(*(on_pro(tenant) for tenant in CUSTOMERS))


def close() -> None:
    """By two people, as a month without an author needs."""
    run = AllocationRun.objects.exclude(state="superseded").get()
    period_close.approve(run, by=CONTROLLER, now=NOW)
    period_close.close(OCTOBER, by=AUDITOR, now=NOW)


def run_inline() -> None:
    """The month by the functions that commands call, in one process."""
    october.reconcile()
    october.run("")
    close()
    invoice_run.run(OCTOBER, author="schedule", now=NOW)


def made() -> Made:
    """What counts of the month: the digests of its run, and every invoice that stands."""
    run = AllocationRun.objects.exclude(state="superseded").get()
    invoices = Invoice.objects.exclude(state="void").order_by("tenant", "cycle_start")
    return (
        (run.inputs_digest, run.outputs_digest),
        tuple((x.tenant, x.state, x.total_minor, x.inputs_digest) for x in invoices),
    )


def nothing_twice() -> bool:
    """One run, one reconciliation, one close; an invoice a customer, and none that was voided."""
    counts = [
        model.objects.count() for model in (AllocationRun, Reconciliation, PeriodClose, Invoice)
    ]
    return counts == [1, 1, 1, len(CUSTOMERS)]
