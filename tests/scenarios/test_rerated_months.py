"""Rating months anew beside what is already approved: what is closed, allocated or invoiced."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from allocation import allocation_run, period_close, reconciliation
from allocation.models import AllocationRun, Statement
from allocation.period_close import CloseRefused, NotReady
from billing import invoice_run
from billing.approvals import approve
from billing.models import Invoice
from billing.verify import verify
from metering.domain.periods import Month
from metering.pricing.price_imports import import_contract
from metering.pricing.rerating import rerate
from metering.pricing.revaluation import MonthClosed, Revalued
from metering.rollups import USAGE
from tests.allocation import october
from tests.allocation.october import ANALYST, AUDITOR, CONTROLLER, NOW, OCTOBER
from tests.billing import a_month
from tests.billing.billed import on_pro, plans
from tests.prebuilt import Prebuilt

pytestmark = pytest.mark.django_db
SEPTEMBER = Month(2026, 9)
LATER = NOW + timedelta(days=1)
TERMS = "provider,model,valid_from,discount_percent\nopenai,gpt-4o*,2026-01-01,10\n"


@pytest.fixture(autouse=True)
def _usage(db: None, prebuilt: Prebuilt) -> Iterator[None]:
    with prebuilt.at(a_month.set_up):
        yield


def cheaper() -> None:
    """A contract that takes a tenth off, from the year's first day on."""
    import_contract(TERMS, "c.csv", book="contract:openai", now=LATER)


def rerated(month: Month = OCTOBER) -> Revalued:
    return rerate(month, author=ANALYST, reason="the contract came late", now=LATER)


def cost(month: Month = OCTOBER) -> Decimal:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT sum(cost) FROM {USAGE.relation()} u WHERE bucket_at >= %s AND bucket_at < %s",
            [month.period.start, month.period.end],
        )
        return Decimal(cursor.fetchone()[0])


def stored(model: Any, **which: Any) -> list[dict[str, Any]]:
    return list(model.objects.filter(**which).order_by("pk").values())


def broken(month: Month = OCTOBER) -> list[str]:
    return [f"{found.what} {found.where}" for found in verify(month).findings]


def test_a_closed_month_stays_to_the_byte() -> None:
    a_month.run_inline()
    before = (cost(), a_month.made(), stored(Statement), stored(Invoice))
    cheaper()
    with pytest.raises(
        MonthClosed, match=r"closed by auditor .* correct it in the next open month"
    ):
        rerated()
    assert (cost(), a_month.made(), stored(Statement), stored(Invoice)) == before
    assert broken() == []


def test_a_draft_run_cannot_be_approved_before_it_was_made_anew() -> None:
    october.reconcile()
    run = october.run()
    cheaper()
    was = cost()
    assert rerated().changed == 3
    assert cost() == was * Decimal("0.9")
    with pytest.raises(CloseRefused, match="have changed since run 1"):
        period_close.approve(run, by=CONTROLLER, now=LATER)
    anew = allocation_run.run(OCTOBER, rule=None, author=ANALYST, now=LATER)
    period_close.approve(anew, by=CONTROLLER, now=LATER)
    run.refresh_from_db()
    assert run.state == AllocationRun.State.SUPERSEDED


def test_an_approved_run_stays_as_it_was_and_the_month_is_not_closed_on_it() -> None:
    october.reconcile()
    run = october.run()
    period_close.approve(run, by=CONTROLLER, now=NOW)
    before = (stored(AllocationRun), stored(Statement))
    cheaper()
    assert rerated().changed == 3
    assert (stored(AllocationRun), stored(Statement)) == before
    with pytest.raises(NotReady, match="have changed since run 1"):
        period_close.close(OCTOBER, by=AUDITOR, now=LATER)


def test_invoices_are_of_the_plans_prices_and_stay_as_draft_or_approved() -> None:
    invoice_run.run(OCTOBER, author=ANALYST, now=NOW)
    acme = Invoice.objects.get(tenant="acme")
    approve(acme.pk, by=CONTROLLER, now=NOW)
    before = stored(Invoice)
    assert [each["state"] for each in before] == ["approved", "draft"]
    cheaper()
    assert rerated().changed == 3
    again = invoice_run.run(OCTOBER, author=ANALYST, now=LATER)
    assert {each.status for each in again.outcomes} == {"unchanged"}
    assert stored(Invoice) == before
    assert broken() == []


def test_a_cycle_over_a_closed_and_an_open_month() -> None:
    """Rating the open month anew changes neither what the closed one was closed on nor the
    invoice that stands on both."""
    plans(on_pro("initech", "anchor_day = 15"))
    october.call(20, "initech", 1_000_000, month=9)
    october.call(3, "initech", 2_000_000)
    october.bill((20, "2.50", "usage"), month=9)
    reconciliation.reconcile(SEPTEMBER, now=NOW)
    run = allocation_run.run(SEPTEMBER, rule=None, author=ANALYST, now=NOW)
    period_close.approve(run, by=CONTROLLER, now=NOW)
    period_close.close(SEPTEMBER, by=AUDITOR, now=NOW)
    invoice_run.run(OCTOBER, author=ANALYST, now=NOW)
    invoice = Invoice.objects.get(tenant="initech", cycle_start__month=9)
    approve(invoice.pk, by=CONTROLLER, now=NOW)
    before, was = stored(Invoice, pk=invoice.pk), cost(SEPTEMBER)
    cheaper()
    with pytest.raises(MonthClosed, match="2026-09 was closed"):
        rerated(SEPTEMBER)
    assert rerated().changed == 4
    assert cost(SEPTEMBER) == was
    invoice_run.run(OCTOBER, author=ANALYST, now=LATER)
    assert stored(Invoice, pk=invoice.pk) == before
    assert broken(SEPTEMBER) == []
    assert broken() == []
