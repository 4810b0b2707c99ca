"""What a tenant reads: its usage by its own clock, what the cycle comes to, its invoices, and the
events under each line."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command

from billing.invoice_run import run as run_invoices
from billing.models import Invoice
from metering import api_keys
from metering.ingestion import ingest
from tests.allocation.october import NOW, OCTOBER
from tests.api.books import Asking, Keys
from tests.billing.billed import call, calls, on_pro, plans

pytestmark = pytest.mark.django_db

DAYS = {"from": "2026-10-01", "to": "2026-11-01"}
PORTAL = "/api/v1/portal"


def the_key_of(tenant: str) -> Asking:
    return Asking(api_keys.create(tenant, "portal", tenant, now=NOW)[1])


def dry_run(tenant: str) -> Any:
    out = StringIO()
    call_command("run_invoices", "2026-10", "--dry-run", "--json", "--tenant", tenant, stdout=out)
    (invoice,) = json.loads(out.getvalue())["invoices"]
    return invoice


def test_usage_says_what_the_plan_counts_and_why_it_leaves_the_rest_out(acme: Asking) -> None:
    usage = acme.ok(f"{PORTAL}/usage", **DAYS)
    # Three calls of 600 tokens, 4,000,000 of the company's own test, and a share of 433.
    assert usage["counted"] == {
        "requests": 4,
        "tokens": 3 * 600 + 4_000_000 + 433,
        "classes": {"input": 3 * 400 + 4_000_000 + 333, "output": 3 * 200 + 100},
    }
    assert usage["not_counted"]["tokens"] == 2 * 600
    assert {x["left_out_by"] for x in usage["by_standing"]} == {None, "status", "data_mode"}
    assert (usage["zone"], usage["plan"]) == ("Asia/Kolkata", "pro")
    assert (usage["start"], usage["end"]) == ("2026-09-30T18:30:00Z", "2026-10-31T18:30:00Z")


def test_days_are_those_of_the_tenants_clock(acme: Asking) -> None:
    rows = list(acme.pages(f"{PORTAL}/series", **DAYS, limit=2))
    # 19:00 UTC on the 10th, and 2:00 on the 11th, are both the 11th in Kolkata.
    assert [(row["day"], row["requests"]) for row in rows] == [
        ("2026-10-03", 1),
        ("2026-10-10", 1),
        ("2026-10-11", 2),
        ("2026-10-21", 0),
    ]
    assert rows[3]["classes"] == {"input": 333, "output": 100}, "a share of another's call"


@pytest.mark.parametrize("by", ["total", "model", "endpoint"])
@pytest.mark.parametrize("counted", ["counted", "all"])
def test_a_series_adds_up_to_the_usage(by: str, counted: str, acme: Asking) -> None:
    usage = acme.ok(f"{PORTAL}/usage", **DAYS)
    parts = [usage["counted"]] + ([usage["not_counted"]] if counted == "all" else [])
    rows = list(acme.pages(f"{PORTAL}/series", **DAYS, by=by, usage=counted, limit=3))
    for name in ("requests", "tokens"):
        assert sum(row[name] for row in rows) == sum(part[name] for part in parts)
    places = [(row["day"], row["model"] or row["endpoint_tag"] or "") for row in rows]
    assert places == sorted(set(places)), "each day and key once, in order"
    assert all((row["model"] is None) == (by != "model") for row in rows)
    assert all((row["endpoint_tag"] is None) == (by != "endpoint") for row in rows)


def test_a_day_has_the_length_that_its_clock_gives_it(november: None) -> None:
    plans(on_pro("berlin", 'zone = "Europe/Berlin"\n'))
    calls(
        call("2026-10-24T21:59", "berlin"),
        call("2026-10-24T22:00", "berlin"),  # the 25th has 25 hours
        call("2026-10-25T22:59", "berlin"),
        call("2026-10-25T23:00", "berlin"),
    )
    rows = the_key_of("berlin").ok(f"{PORTAL}/series", **{"from": "2026-10-24", "to": "2026-10-27"})
    assert [(x["day"][-2:], x["requests"]) for x in rows["items"]] == [
        ("24", 1),
        ("25", 2),
        ("26", 1),
    ]


def test_charges_so_far_are_what_the_run_would_invoice(november: None) -> None:
    plans(on_pro("acme", 'zone = "Asia/Kolkata"\n'))
    calls(call(), call("2026-10-31T18:29"), call("2026-10-31T18:30"), call(status="error"))
    charges = the_key_of("acme").ok(f"{PORTAL}/charges", on="2026-10-31")
    drafted = dry_run("acme")
    assert (charges["total"], charges["currency"]) == (drafted["total"], drafted["currency"])
    for shown, line in zip(charges["lines"], drafted["lines"], strict=True):
        assert {name: line[name] for name in shown if name != "position"} == {
            name: value for name, value in shown.items() if name != "position"
        }
    tokens, requests = charges["allowances"]
    assert (tokens["included"], tokens["used"], tokens["remaining"], tokens["overage"]) == (
        "1000", "1200", "0", "200",
    )  # fmt: skip
    assert (requests["used"], requests["remaining"]) == ("2", "0")
    assert not charges["running"]
    assert sum(Decimal(x["quantity"]) for x in charges["uncharged"]) == 600 + 1
    running = the_key_of("acme").ok(f"{PORTAL}/charges")
    assert running["running"]
    assert (running["first_day"], running["end_day"]) == ("2026-11-01", "2026-12-01")


def test_charges_before_a_subscription_are_not_there(acme: Asking) -> None:
    status, body = acme.get(f"{PORTAL}/charges", on="2025-12-31")
    assert status == 404
    assert "no subscription covers 2025-12-31" in body["detail"]


def test_a_tenant_without_a_plan_reads_its_usage_in_its_own_zone(november: None) -> None:
    calls(call("2026-11-01T12:00", "initech"))
    asking = the_key_of("initech")
    usage = asking.ok(f"{PORTAL}/usage")
    assert (usage["plan"], usage["zone"], usage["first_day"]) == (None, "UTC", "2026-11-01")
    assert usage["counted"]["requests"] == 1
    assert asking.get(f"{PORTAL}/charges")[0] == 404


def test_invoices_have_the_lines_that_were_drafted(acme: Asking) -> None:
    (summary,) = acme.ok(f"{PORTAL}/invoices")["items"]
    invoice = acme.ok(f"{PORTAL}/invoices/{summary['id']}")
    drafted = dry_run("acme")
    assert invoice["total"] == drafted["total"]
    stored = Invoice.objects.get(pk=summary["id"])
    assert invoice["digest"] == stored.outputs_digest
    assert sum(line["amount_minor"] for line in invoice["lines"]) == invoice["total_minor"]
    assert [line["evidence"]["count"] for line in invoice["lines"]] == list(
        stored.lines.order_by("position").values_list("evidence_count", flat=True)
    )
    for line in invoice["lines"][1:]:
        path = f"{PORTAL}/invoices/{summary['id']}/lines/{line['position']}/parts"
        parts = list(acme.pages(path, limit=1))
        assert sum(Decimal(p["quantity"]) for p in parts) == Decimal(line["quantity"])
        assert sum(Decimal(p["amount"]) for p in parts) == Decimal(line["amount"])


def test_drafts_and_drafts_that_were_voided_are_not_shown(november: None) -> None:
    plans(on_pro("acme"))
    calls(call())
    run_invoices(OCTOBER, author="run_invoices", now=NOW)
    calls(call())
    run_invoices(OCTOBER, author="run_invoices", now=NOW)
    assert {x.state for x in Invoice.objects.all()} == {"draft", "void"}
    asking = the_key_of("acme")
    assert asking.ok(f"{PORTAL}/invoices")["items"] == []
    for invoice in Invoice.objects.all():
        assert asking.get(f"{PORTAL}/invoices/{invoice.pk}")[0] == 404
        assert asking.get(f"{PORTAL}/invoices/{invoice.pk}/lines/2/evidence")[0] == 404


@pytest.mark.parametrize("tenant", ["acme", "globex"])
def test_the_events_under_a_line_prove_its_digest_and_its_quantity(
    tenant: str, books: Keys
) -> None:
    asking = Asking(books.portal if tenant == "acme" else books.other)
    (summary,) = asking.ok(f"{PORTAL}/invoices")["items"]
    lines = asking.ok(f"{PORTAL}/invoices/{summary['id']}")["lines"]
    for unit in ("tokens", "requests"):
        of_unit = [line for line in lines if line["unit"] == unit]
        path = f"{PORTAL}/invoices/{summary['id']}/lines/{of_unit[0]['position']}/evidence"
        events = list(asking.pages(path, limit=2))
        assert len(events) == of_unit[0]["evidence"]["count"] > 1
        digest = sha256()
        for event in events:
            digest.update(UUID(event["event_key"]).bytes + bytes.fromhex(event["seal_digest"]))
        assert digest.hexdigest() == of_unit[0]["evidence"]["digest"]
        used = [event["requests"] if unit == "requests" else _tokens(event) for event in events]
        assert sum(used) == sum(Decimal(line["quantity"]) for line in of_unit)


def _tokens(event: Any) -> Decimal:
    return sum(
        (Decimal(n) for name, n in event["classes"].items() if name != "web_search"), Decimal(0)
    )


def test_of_a_call_shared_by_another_only_the_own_part_is_told(acme: Asking) -> None:
    (summary,) = acme.ok(f"{PORTAL}/invoices")["items"]
    events = list(acme.pages(f"{PORTAL}/invoices/{summary['id']}/lines/2/evidence"))
    (shared,) = (event for event in events if event["shared"])
    assert (shared["own"], shared["requests"]) == (False, 0)
    assert shared["classes"] == {"input": "333", "output": "100"}
    assert (shared["external_request_id"], shared["user"]) == (None, None)
    own = [event for event in events if event["external_request_id"] == "acme secret 1"]
    assert len(own) == 1
    assert str(UUID(own[0]["user"])) == own[0]["user"], "users have pseudonyms only"
    assert "ann" not in json.dumps(events)


def test_the_event_of_late_usage_is_not_under_an_older_invoice(acme: Asking) -> None:
    (summary,) = acme.ok(f"{PORTAL}/invoices")["items"]
    path = f"{PORTAL}/invoices/{summary['id']}/lines/2/evidence"
    before = list(acme.pages(path))
    assert ingest([call()], now=NOW + timedelta(hours=1))[0].outcome == "accepted"
    assert list(acme.pages(path)) == before
    assert acme.ok(f"{PORTAL}/usage", **DAYS)["counted"]["requests"] == 5


def test_no_cost_and_no_owner_inside_the_company_is_shown(acme: Asking) -> None:
    (summary,) = acme.ok(f"{PORTAL}/invoices")["items"]
    seen = [
        acme.ok(f"{PORTAL}/usage", **DAYS),
        acme.ok(f"{PORTAL}/series", **DAYS, by="model"),
        acme.ok(f"{PORTAL}/charges", on="2026-10-15"),
        acme.ok(f"{PORTAL}/invoices/{summary['id']}"),
        acme.ok(f"{PORTAL}/invoices/{summary['id']}/lines/2/evidence"),
    ]
    text = json.dumps(seen).lower()
    for word in ("cost", "margin", "cc-growth", "provider_project", "executed", "run_invoices"):
        assert f'"{word}' not in text, word


def test_a_cycle_turns_over_on_its_own_day(november: None) -> None:
    plans(on_pro("acme", 'anchor_day = 31\nzone = "Pacific/Auckland"\n'))
    calls(call("2026-11-29T11:00"))  # midnight of the 30th there: November has no 31st
    charges = the_key_of("acme").ok(f"{PORTAL}/charges", on="2026-11-30")
    assert (charges["first_day"], charges["end_day"]) == ("2026-11-30", "2026-12-31")
    assert charges["allowances"][1]["used"] == "1"
