"""Runs that commit: two at once, one killed, late usage between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from unittest import mock

import pytest
from django.db import connection

from billing import invoice_run
from billing.approvals import NotApproved, approve
from billing.invoice_run import InvoiceRun, run
from billing.models import Invoice
from metering.domain.periods import Month
from tests.billing.billed import NOW, call, calls, on_pro, plans, staff

OCTOBER = Month(2026, 10)
TENANTS = ("acme", "globex", "initech", "hooli")
CALLS = 3


@pytest.fixture
def customers(fresh_db: str) -> None:
    staff()
    plans(*(on_pro(tenant) for tenant in TENANTS))
    calls(*(call(tenant=tenant) for tenant in TENANTS for _ in range(CALLS)))


def at_once(*tasks: Callable[[], InvoiceRun]) -> list[InvoiceRun]:
    """Start the tasks together, each on a connection of its own."""
    gate = threading.Barrier(len(tasks))

    def start(task: Callable[[], InvoiceRun]) -> InvoiceRun:
        try:
            gate.wait(timeout=30)
            return task()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(start, tasks))


@pytest.mark.usefixtures("customers")
def test_runs_at_once_have_the_effect_of_one() -> None:
    results = at_once(*[lambda: run(OCTOBER, author="schedule", now=NOW)] * 4)
    assert Invoice.objects.count() == len(TENANTS)
    for tenant in range(len(TENANTS)):
        statuses = sorted(r.outcomes[tenant].status for r in results)
        assert statuses == ["created", "unchanged", "unchanged", "unchanged"]
    assert len({r.outcomes[0].invoice_id for r in results}) == 1


@pytest.mark.usefixtures("customers")
def test_runs_at_once_replace_a_draft_once() -> None:
    run(OCTOBER, author="schedule", now=NOW)
    calls(*(call(tenant=tenant) for tenant in TENANTS))
    at_once(*[lambda: run(OCTOBER, author="schedule", now=NOW)] * 3)
    assert Invoice.objects.filter(state="draft").count() == len(TENANTS)
    assert Invoice.objects.filter(state="void").count() == len(TENANTS)


@pytest.mark.usefixtures("customers")
def test_an_approval_during_a_run_is_kept_or_refused_but_never_lost() -> None:
    first = run(OCTOBER, author="schedule", now=NOW).outcomes[0]
    assert first.invoice_id is not None
    calls(call(tenant=first.tenant))

    def approval() -> InvoiceRun:
        with suppress(NotApproved):  # the run has replaced the draft
            approve(first.invoice_id or 0, by="controller", now=NOW)
        return run(OCTOBER, author="schedule", now=NOW, tenants=[first.tenant])

    results = at_once(approval, lambda: run(OCTOBER, author="schedule", now=NOW))
    standing = Invoice.objects.exclude(state="void").get(tenant=first.tenant)
    if standing.state == "approved":
        assert standing.pk == first.invoice_id
        assert results[0].outcomes[0].status == "late_usage"
    else:
        assert standing.replaces_id == first.invoice_id


@pytest.mark.usefixtures("customers")
def test_what_was_charged_before_another_run_stored_more_is_charged_again() -> None:
    """Else the older reading of the usage would replace the newer draft."""
    lock, first = invoice_run.lock_tenant, iter([True])

    def overtaken(tenant: str) -> None:
        if next(first, False):
            at_once(one_call_more)
        lock(tenant)

    def one_call_more() -> InvoiceRun:
        calls(call(tenant="acme"))
        return run(OCTOBER, author="schedule", now=NOW, tenants=["acme"])

    with mock.patch.object(invoice_run, "lock_tenant", overtaken):
        run(OCTOBER, author="schedule", now=NOW, tenants=["acme"])
    newest = Invoice.objects.exclude(state="void").get(tenant="acme")
    requests = newest.lines.filter(charge_code="requests")
    assert sum(line.quantity for line in requests) == CALLS + 1


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.usefixtures("customers")
@pytest.mark.parametrize("line", ["store", "lock_tenant", "_void", "_standing"])
def test_a_run_that_is_killed_leaves_whole_invoices_and_the_next_run_the_rest(line: str) -> None:
    run(OCTOBER, author="schedule", now=NOW, tenants=["hooli"])
    calls(call(tenant="hooli"))
    done = getattr(invoice_run, line)
    seen = 0

    def killed_after_the_second(*args: object, **terms: object) -> object:
        nonlocal seen
        seen += 1
        result = done(*args, **terms)
        if seen == 2 or line == "_void":
            raise Killed
        return result

    with mock.patch.object(invoice_run, line, killed_after_the_second), pytest.raises(Killed):
        run(OCTOBER, author="schedule", now=NOW)
    for invoice in Invoice.objects.all():
        assert sum(x.amount_minor for x in invoice.lines.all()) == invoice.total_minor
    assert run(OCTOBER, author="schedule", now=NOW).complete
    assert Invoice.objects.filter(state="draft").count() == len(TENANTS)
    assert Invoice.objects.filter(state="void").count() == 1
