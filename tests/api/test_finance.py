"""What finance reads equals what the commands print, to the last digit."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from allocation import allocation_run, period_close
from allocation.models import AllocationRun, ProviderBill, Reconciliation
from allocation.rendering.run_json import allocation_value
from allocation.run_rows import read_allocation
from billing.models import Invoice
from metering.domain.periods import Month
from tests.allocation import october
from tests.allocation.october import AUDITOR, CONTROLLER, NOW, OCTOBER
from tests.api.books import Asking

pytestmark = pytest.mark.django_db

FINANCE = "/api/v1/finance"


def printed(*command: str) -> Any:
    out = StringIO()
    call_command(*command, "--json", stdout=out)
    return json.loads(out.getvalue())


@pytest.mark.parametrize(
    ("query", "arguments"),
    [
        ({}, []),
        ({"cost_centre": "cc-growth"}, ["--cost-centre", "cc-growth"]),
        ({"cost_centre": "unallocated"}, ["--cost-centre", "unallocated"]),
        ({"tenant": "acme", "currency": "USD"}, ["--tenant", "acme"]),
    ],
)
def test_a_statement_is_the_commands(
    query: dict[str, str], arguments: list[str], finance: Asking
) -> None:
    shown = finance.ok(f"{FINANCE}/statements/2026-10", **query)
    assert shown == printed("statement", "2026-10", *arguments)


def test_issued_statements_add_up_to_the_run(finance: Asking) -> None:
    issued = list(finance.pages(f"{FINANCE}/statements", period="2026-10", limit=1))
    run = AllocationRun.objects.get()
    assert sum(x["total_minor"] for x in issued) == sum(
        bill.payable_minor for bill in run.bills.all()
    )
    for one in issued:
        drawn = finance.ok(f"{FINANCE}/statements/2026-10", cost_centre=one["cost_centre"])
        assert (one["digest"], one["total_minor"]) == (drawn["digest"], drawn["total_minor"])


def test_a_runs_pages_hold_all_of_the_run(finance: Asking) -> None:
    (run,) = finance.ok(f"{FINANCE}/runs", period="2026-10", state="closed")["items"]
    row = AllocationRun.objects.get()
    assert (run["digest"], run["approved_by"]) == (row.outputs_digest, CONTROLLER)
    value = allocation_value(read_allocation(row.pk))
    lines = list(finance.pages(f"{FINANCE}/runs/{run['id']}/lines", limit=2))
    assert [
        {("bill_id" if k == "bill" else k): v for k, v in line.items() if k != "number"}
        for line in lines
    ] == value["lines"]
    settlements = list(finance.pages(f"{FINANCE}/runs/{run['id']}/settlements", limit=1))
    assert [(x["bill"], x["cost_centre"], x["tenant"], x["exact"]) for x in settlements] == [
        (x["bill_id"], x["cost_centre"], x["tenant"], x["exact"]) for x in value["settlements"]
    ]
    own = list(finance.pages(f"{FINANCE}/runs/{run['id']}/lines", cost_centre="cc-growth"))
    assert own == [line for line in lines if line["cost_centre"] == "cc-growth"]
    (bill,) = finance.ok(f"{FINANCE}/runs/{run['id']}")["bills"]
    assert bill["payable"] == value["bills"][0]["payable"]


def test_a_reconciliation_is_the_commands(finance: Asking) -> None:
    (head,) = finance.ok(f"{FINANCE}/reconciliations", period="2026-10")["items"]
    shown = finance.ok(f"{FINANCE}/reconciliations/{head['id']}")
    said = printed("reconcile", "2026-10")
    assert shown["digest"] == said["digest"]
    assert [
        {**t, "steps": {s["cause"]: s["amount"] for s in t["steps"]}} for t in shown["totals"]
    ] == said["totals"]
    for provider, theirs in zip(shown["providers"], said["providers"], strict=True):
        assert provider == {k: v for k, v in theirs.items() if k != "lines"}
        cells = list(
            finance.pages(
                f"{FINANCE}/reconciliations/{head['id']}/cells",
                provider=provider["provider"],
                limit=1,
            )
        )
        assert [{k: c[k] for k in c if k not in ("provider", "currency")} for c in cells] == theirs[
            "lines"
        ]
    matched = finance.pages(f"{FINANCE}/reconciliations/{head['id']}/cells", cause="matched")
    assert {cell["cause"] for cell in matched} == {"matched"}


def test_a_bill_and_its_lines(finance: Asking) -> None:
    (bill,) = finance.ok(f"{FINANCE}/bills", period="2026-10", provider="openai")["items"]
    row = ProviderBill.objects.get()
    assert finance.ok(f"{FINANCE}/bills/{bill['id']}") == bill
    assert (bill["exact"], bill["payable"], bill["lines"]) == ("16.1", "16.1", 3)
    assert bill["lines_digest"] == row.lines_digest
    lines = list(finance.pages(f"{FINANCE}/bills/{bill['id']}/lines", limit=2))
    assert [(x["line_no"], x["kind"], x["amount"]) for x in lines] == [
        (1, "usage", "10"),
        (2, "usage", "6"),
        (3, "fee", "0.1"),
    ]


def test_where_the_month_stands(finance: Asking) -> None:
    assert finance.ok(f"{FINANCE}/months/2026-10")["closed"]
    (close,) = finance.ok(f"{FINANCE}/closes", period="2026-10")["items"]
    assert (close["closed_by"], close["reopened_by"]) == (CONTROLLER, None)
    period_close.reopen(OCTOBER, reason="a bill was wrong", by=AUDITOR, now=NOW)
    (close,) = finance.ok(f"{FINANCE}/closes")["items"]
    assert (close["reopened_by"], close["reopening_reason"]) == (AUDITOR, "a bill was wrong")
    month = finance.ok(f"{FINANCE}/months/2026-10")
    assert not month["closed"]
    assert [x["question"] for x in month["answers"]] == [
        "complete", "allocated", "accurate", "cut_off",
    ]  # fmt: skip
    never = finance.ok(f"{FINANCE}/months/2024-02")
    assert not never["ready"]
    assert "has no allocation run" in json.dumps(never)


def test_rules_and_cost_centres(finance: Asking) -> None:
    (rule,) = finance.ok(f"{FINANCE}/rules")["items"]
    version = AllocationRun.objects.get().rule_version
    assert (rule["rule"], rule["digest"], rule["content"]) == (
        version.rule_id,
        version.digest,
        version.content,
    )
    centres = list(finance.pages(f"{FINANCE}/cost-centres", limit=1))
    assert [x["code"] for x in centres] == ["cc-growth", "cc-support", "unallocated"]


def test_invoices_of_all_customers_with_what_waits_for_approval(finance: Asking) -> None:
    invoices = list(finance.pages(f"{FINANCE}/invoices", period="2026-10", limit=1))
    assert {x["tenant"]: x["state"] for x in invoices} == {
        "acme": "approved",
        "globex": "approved",
        "initech": "draft",
    }
    (waiting,) = finance.ok(f"{FINANCE}/approvals/invoices")["items"]
    assert (waiting["tenant"], waiting["author"]) == ("initech", "run_invoices")
    assert finance.ok(f"{FINANCE}/invoices", tenant="acme", state="draft")["items"] == []
    said = {x["invoice"]: x for x in printed("run_invoices", "2026-10", "--dry-run")["invoices"]}
    for shown in invoices:
        invoice = finance.ok(f"{FINANCE}/invoices/{shown['id']}")
        theirs = said[shown["id"]]
        assert (invoice["total"], invoice["state"]) == (theirs["total"], theirs["state"])
        for line, their in zip(invoice["lines"], theirs["lines"], strict=True):
            assert {k: their[k] for k in line if k != "position"} == {
                k: v for k, v in line.items() if k != "position"
            }
    assert Invoice.objects.filter(state="draft").count() == 1, "listing approves nothing"


def test_a_draft_run_waits_for_approval(finance: Asking) -> None:
    assert finance.ok(f"{FINANCE}/approvals/runs")["items"] == []
    october.call(3, "acme", 1000, month=9)
    october.bill((3, "10.00", "usage"), month=9)
    allocation_run.run(Month(2026, 9), rule=None, author=CONTROLLER, now=NOW)
    (waiting,) = finance.ok(f"{FINANCE}/approvals/runs")["items"]
    assert (waiting["period"], waiting["author"], waiting["approved_by"]) == (
        "2026-09",
        CONTROLLER,
        None,
    )
    assert Reconciliation.objects.filter(month="2026-09").count() == 0


def test_what_is_not_there_is_said_to_be_so(finance: Asking) -> None:
    for path in (
        "statements/2026-01",
        "statements/2026-10?cost_centre=nobody",
        "statements/2026-10?currency=EUR",
        "statements/last-month",
        "months/2026-13",
        "bills/999999",
        "runs/999999/lines",
        "reconciliations/999999",
        "invoices/999999",
        "invoices/99999999999999999999999999",
    ):
        status, body = finance.get(f"{FINANCE}/{path}")
        assert (status, body["type"]) == (404, "urn:apportion:problem:not-found"), path
