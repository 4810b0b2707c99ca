from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from billing.models import Invoice
from metering import people
from tests.billing.billed import NOW, PLANS, call, calls, on_pro, plans

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def november(db: None) -> Any:
    for name in ("controller", "run_invoices"):
        people.add(name, ["approver"])
    with time_machine.travel(NOW, tick=False):
        yield


def run_invoices(*arguments: str) -> str:
    out = StringIO()
    call_command("run_invoices", "2026-10", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_prints_a_line_for_each_invoice() -> None:
    plans(on_pro("acme"))
    calls(call(), call(), call(tenant="globex"))
    lines = run_invoices().splitlines()
    invoice = Invoice.objects.get()
    assert lines[0].split() == [
        *("acme", "2026-10-01", "to", "2026-10-31", "created", "draft"),
        *(f"#{invoice.pk}", "USD", "49.50"),
    ]
    assert lines[1:] == [
        "not billed: no plan for globex, 2026-10-01 until 2026-11-01: 1 requests, 600 tokens",
        "2026-10: 1 invoices come to USD 49.50",
    ]


def test_json_is_one_object_with_decimal_strings_and_the_lines_ids() -> None:
    plans(on_pro("acme"))
    calls(call(), call(), call(data_mode="test"))
    printed = json.loads(run_invoices("--json"))
    assert (printed["period"], printed["complete"], printed["totals"]) == (
        "2026-10",
        True,
        {"USD": "49.50"},
    )
    (invoice,) = printed["invoices"]
    stored = Invoice.objects.get()
    assert (invoice["total"], invoice["cycle_start"]) == ("49.50", "2026-10-01T00:00:00Z")
    assert [x["id"] for x in invoice["lines"]] == list(
        stored.lines.order_by("position").values_list("id", flat=True)
    )
    overage = invoice["lines"][2]
    assert (overage["quantity"], overage["amount"], overage["owed"]) == ("200", "0.5", "0.50")
    assert overage["evidence"]["count"] == 2
    assert {x["token_class"]: x["quantity"] for x in invoice["uncharged"]} == {
        "input": "400",
        "output": "200",
        "requests": "1",
    }
    assert {x["reason"] for x in invoice["uncharged"]} == {"data_mode"}


def test_a_dry_run_stores_nothing() -> None:
    plans(on_pro("acme"))
    assert "would come to USD 49.00" in run_invoices("--dry-run")
    assert not Invoice.objects.exists()


def test_approval_names_a_person() -> None:
    plans(on_pro("acme"))
    for wrong in (["--approve"], ["--approve", "--as", " "], ["--approve", "--dry-run", "--as=x"]):
        with pytest.raises(CommandError, match="--as USER"):
            run_invoices(*wrong)
    assert "approved" in run_invoices("--approve", "--as", "controller")
    assert Invoice.objects.get().approved_by == "controller"
    assert "approved" in run_invoices("--approve", "--as", "controller")


def test_a_name_that_nobody_has_approves_nothing() -> None:
    plans(on_pro("acme"))
    get_user_model().objects.create_user("gone", is_active=False)
    for name in ("nobody", "gone"):
        with pytest.raises(CommandError, match=f"no active user '{name}'"):
            run_invoices("--approve", "--as", name)
    assert Invoice.objects.get().state == "draft"


def test_nobody_approves_what_the_command_itself_made_in_its_own_name() -> None:
    plans(on_pro("acme"))
    with pytest.raises(CommandError, match="another person must approve"):
        run_invoices("--approve", "--as", "run_invoices")
    assert Invoice.objects.get().state == "draft"


def test_no_cycle_that_goes_on_is_approved() -> None:
    plans(on_pro("acme"))
    with (
        time_machine.travel("2026-10-30T00:00:00Z", tick=False),
        pytest.raises(CommandError, match="approve it after that"),
    ):
        run_invoices("--approve", "--as", "controller")


def test_a_cycle_without_an_invoice_fails_the_command_after_the_others_are_made() -> None:
    late = PLANS.replace('"pro"', '"late"').replace("2026-01-01", "2026-10-05")
    plans(
        'tenant = "acme"\nplan = "late"\nvalid_from = 2026-01-01',
        on_pro("globex"),
        text=PLANS + late,
    )
    with pytest.raises(CommandError, match="not every cycle has its invoice: acme"):
        run_invoices()
    assert [x.tenant for x in Invoice.objects.all()] == ["globex"]


def test_a_tenant_that_is_not_there_is_refused_by_name() -> None:
    plans(on_pro("acme"))
    with pytest.raises(CommandError, match=r"no tenant 'amce'.*did you mean acme\?"):
        run_invoices("--tenant", "amce")
    with pytest.raises(CommandError, match=r"no tenant 'nope': it has neither .* subscription$"):
        run_invoices("--tenant", "nope")
    assert not Invoice.objects.exists()


def test_a_month_that_is_none_is_refused() -> None:
    with pytest.raises(CommandError, match="write the month as YYYY-MM"):
        call_command("run_invoices", "October")
