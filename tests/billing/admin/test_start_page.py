"""The start page: where the month stands, and what is to be done next."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from allocation import period_close
from billing import invoice_run
from billing.approvals import approve
from billing.models import Invoice
from billing.month_standing import NextStep, standing
from tests.admin_pages import browser, person, text
from tests.allocation import october
from tests.allocation.october import ANALYST, CONTROLLER, NOW, OCTOBER
from tests.billing.billed import on_pro, plans

pytestmark = pytest.mark.django_db


def step() -> NextStep:
    return standing(OCTOBER, now=NOW).next_step


def test_the_next_step_follows_the_order_of_the_month(tmp_path: Path) -> None:
    october.company(tmp_path)
    steps: list[NextStep] = [step()]
    october.call(3, "acme", 4_000_000)
    steps.append(step())
    october.bill((3, "10.00", "usage"))
    steps.append(step())
    october.reconcile()
    steps.append(step())
    run = october.run()
    steps.append(step())
    period_close.approve(run, by=CONTROLLER, now=NOW)
    steps.append(step())
    period_close.close(OCTOBER, by=CONTROLLER, now=NOW)
    steps.append(step())
    plans(on_pro("acme"))
    invoice_run.run(OCTOBER, author=ANALYST, now=NOW)
    steps.append(step())
    approve(Invoice.objects.get().pk, by=CONTROLLER, now=NOW)
    steps.append(step())
    assert steps == [
        "usage",
        "bills",
        "reconcile",
        "allocate",
        "approve_run",
        "close",
        "draft_invoices",
        "approve_invoices",
        "push_invoices",
    ]


def test_a_month_that_is_not_over_waits(tmp_path: Path) -> None:
    october.company(tmp_path)
    october.call(3, "acme", 4_000_000)
    early = standing(OCTOBER, now=OCTOBER.period.start)
    assert early.next_step == "running"


def test_a_provider_whose_calls_cost_something_is_expected_to_bill(tmp_path: Path) -> None:
    october.company(tmp_path)
    october.call(3, "acme", 4_000_000)
    found = standing(OCTOBER, now=NOW).allocation
    assert found.missing == ("openai",)
    october.bill((3, "10.00", "usage"))
    (openai,) = standing(OCTOBER, now=NOW).allocation.providers
    assert not openai.is_missing
    assert openai.payable == 10


@pytest.mark.usefixtures("month")
def test_usage_after_the_close_is_told_as_late() -> None:
    assert standing(OCTOBER, now=NOW).usage.late == 0
    october.call(7, "acme", 1_000)
    usage = standing(OCTOBER, now=NOW).usage
    assert (usage.events, usage.late) == (4, 1)


@pytest.mark.usefixtures("month")
def test_the_page_says_where_the_month_stands() -> None:
    page = text(browser(person("v", "viewer")).get(reverse("admin:index"), {"month": "2026-10"}))
    for said in ("October 2026", "3 events", "16.10", "Approve 2 invoices", CONTROLLER):
        assert said in page


@pytest.mark.usefixtures("month")
def test_the_page_reads_stored_facts_with_few_queries() -> None:
    client = browser(person("v", "viewer"))
    client.get(reverse("admin:index"))
    with CaptureQueriesContext(connection) as asked:
        client.get(reverse("admin:index"))
    assert len(asked) <= 30
    raw = [
        q["sql"]
        for q in asked
        if 'FROM "usage_event"' in q["sql"] or "FROM usage_event" in q["sql"]
    ]
    assert raw == []


def test_an_empty_installation_has_a_start_page() -> None:
    page = browser(person("v", "viewer")).get(reverse("admin:index"))
    assert page.status_code == 200
    assert "Bring usage in" in text(page)


def test_a_month_may_be_asked_for_and_nonsense_is_not() -> None:
    client = browser(person("v", "viewer"))
    assert "March 2025" in text(client.get(reverse("admin:index"), {"month": "2025-03"}))
    assert client.get(reverse("admin:index"), {"month": "soon"}).status_code == 200


def test_a_person_without_a_role_sees_no_figures() -> None:
    page = text(browser(person("nobody")).get(reverse("admin:index")))
    assert "Next step" not in page
