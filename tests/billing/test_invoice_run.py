from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from unittest import mock

import msgspec
import pytest
from django.db import connection

from billing import drafts
from billing.approvals import approve
from billing.domain.cycles import Cycle
from billing.drafts import Draft, Due
from billing.invoice_run import InvoiceRun, Outcome, recompute, run, standing, stored_lines
from billing.models import Invoice, InvoiceLine, PlanVersion
from metering.charged_usage import UsageLine
from metering.domain.digests import list_digest
from metering.domain.periods import Month
from metering.evidence import Selection, event_keys
from tests.billing.billed import NOW, PLANS, call, calls, on_pro, plans, share

OCTOBER = Month(2026, 10)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("staff")]


def october(**terms: object) -> InvoiceRun:
    result = run(OCTOBER, **{"author": "schedule", "now": NOW, **terms})  # type: ignore[arg-type]
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    return result


def only(result: InvoiceRun) -> Outcome:
    (outcome,) = result.outcomes
    return outcome


def test_a_month_of_calls_becomes_a_draft_whose_lines_explain_it() -> None:
    plans(on_pro("acme"))
    calls(call(), call(model="gpt-4o"), call(endpoint_tag="search"), call(tenant="globex"))
    outcome = only(october())
    assert (outcome.status, outcome.state) == ("created", "draft")
    invoice = Invoice.objects.get()
    assert invoice.pk == outcome.invoice_id
    assert [
        (x.kind, x.charge_code, x.quantity, x.amount, x.amount_minor)
        for x in invoice.lines.order_by("position")
    ] == [
        ("fee", "", Decimal(31), Decimal(49), 4900),
        ("allowance", "tokens", Decimal(1000), Decimal(0), 0),
        ("overage", "tokens", Decimal(800), Decimal(2), 200),
        ("allowance", "requests", Decimal(2), Decimal(0), 0),
        ("overage", "requests", Decimal(1), Decimal("0.01"), 1),
    ]
    assert invoice.total_minor == outcome.total_minor == 5101
    overage = invoice.lines.get(kind="overage", charge_code="tokens")
    assert {(p.model, p.endpoint_tag): p.quantity for p in overage.parts.all()} == {
        ("gpt-4o", "chat"): Decimal(266),
        ("gpt-4o-mini", "chat"): Decimal(267),
        ("gpt-4o-mini", "search"): Decimal(267),
    }


def test_the_events_under_a_line_can_be_listed_and_prove_its_digest() -> None:
    plans(on_pro("acme"))
    calls(call(), call(model="gpt-4o"), call(status="error"), call(data_mode="test"))
    calls(call(tenant="globex"), call(at="2026-11-01T00:00"))
    october()
    line = InvoiceLine.objects.get(kind="overage", charge_code="tokens")
    (selection,) = (msgspec.convert(s, Selection) for s in line.evidence_selections)
    events = list(event_keys(selection))
    assert (line.evidence_count, line.evidence_digest) == list_digest(events)
    assert line.evidence_count == 2
    fee = InvoiceLine.objects.get(kind="fee")
    assert (fee.evidence_count, fee.evidence_digest, fee.evidence_selections) == (0, "", [])


def test_charges_that_part_models_and_tags_have_evidence_that_parts_the_events() -> None:
    text = PLANS.replace(
        'meter = "tokens"', 'meter = "tokens"\nmodels = ["gpt-4o"]\nendpoint_tags = ["chat*"]'
    ).replace(
        '[[plans.charges]]\ncode = "requests"',
        '[[plans.charges]]\ncode = "others"\nname = "Other tokens"\nmeter = "tokens"\nrest = true\n'
        'price = { kind = "per_unit", unit_price = "1", per = 1_000 }\n\n'
        '[[plans.charges]]\ncode = "requests"',
    )
    plans(on_pro("acme"), text=text)
    calls(
        call(model="gpt-4o"),
        call(model="gpt-4o", endpoint_tag="search"),
        call(model="gpt-4o-mini"),
        call(model="gpt-4o-mini", endpoint_tag="search"),
    )
    october()
    first = InvoiceLine.objects.get(charge_code="tokens", kind="overage")
    rest = InvoiceLine.objects.get(charge_code="others", kind="overage")
    assert (first.evidence_count, rest.evidence_count) == (1, 3)
    assert len(rest.evidence_selections) == 2
    chosen = [msgspec.convert(s, Selection) for s in rest.evidence_selections]
    keys = sorted(pair for s in chosen for pair in event_keys(s))
    assert (rest.evidence_count, rest.evidence_digest) == list_digest(keys)


def test_a_fallback_is_charged_as_the_model_that_was_asked_for() -> None:
    plans(on_pro("acme"))
    calls(call(model="gpt-4o", model_executed="gpt-4o-mini-2024-07-18", input_tokens=2_000))
    october()
    overage = InvoiceLine.objects.get(kind="overage", charge_code="tokens")
    assert [p.model for p in overage.parts.all()] == ["gpt-4o"]


def test_a_shared_call_is_charged_by_its_shares() -> None:
    plans(on_pro("acme"), on_pro("globex"))
    calls(call(tenant="acme", shares=(share("globex", 300, 100),)))
    october()
    used = {
        line.invoice.tenant: line.quantity
        for line in InvoiceLine.objects.filter(kind="allowance", charge_code="tokens")
    }
    assert used == {"acme": Decimal(200), "globex": Decimal(400)}
    lines = InvoiceLine.objects.filter(kind="allowance", charge_code="tokens")
    assert {x.evidence_count for x in lines} == {1}


def test_a_shared_calls_units_are_charged_by_its_shares_and_stand_on_it() -> None:
    text = PLANS.replace('meter = "requests"', 'meter = "web_search"')
    plans(on_pro("acme"), on_pro("globex"), text=text)
    calls(
        call(shares=(share("globex", 300, 100),), units={"web_search": Decimal(9)}),
        call(units={"web_search": Decimal("0.5")}),
    )
    october()
    lines = InvoiceLine.objects.filter(charge_code="requests")
    used: dict[str, Decimal] = {}
    for line in lines:
        used[line.invoice.tenant] = used.get(line.invoice.tenant, Decimal(0)) + line.quantity
    assert used == {"acme": Decimal("3.5"), "globex": Decimal(6)}
    assert {(x.invoice.tenant, x.evidence_count) for x in lines} == {("acme", 2), ("globex", 1)}


def test_usage_without_a_known_cost_is_charged_all_the_same() -> None:
    plans(on_pro("acme"))
    calls(call(model="a-model-nobody-has-priced", input_tokens=10_000))
    assert only(october()).total_minor == 4900 + 2300


def test_a_cycle_is_cut_by_the_customers_clock() -> None:
    plans(on_pro("acme", 'zone = "Asia/Kathmandu"'))
    calls(
        call(at="2026-09-30T18:14:59"),
        call(at="2026-09-30T18:15:00"),
        call(at="2026-10-31T18:14:59"),
        call(at="2026-10-31T18:15:00"),
    )
    outcome = only(october())
    assert outcome.cycle == Cycle(date(2026, 10, 1), date(2026, 11, 1), "Asia/Kathmandu", 31)
    assert outcome.lines[1]["quantity"] == Decimal(1000)
    assert outcome.lines[2]["quantity"] == Decimal(200)


def test_repeating_a_run_changes_nothing() -> None:
    plans(on_pro("acme"))
    calls(call())
    first = only(october())
    again = only(october())
    assert (again.status, again.invoice_id) == ("unchanged", first.invoice_id)
    assert Invoice.objects.count() == 1


def test_what_a_run_stored_is_read_as_it_told_it() -> None:
    plans(on_pro("acme"), on_pro("globex"))
    calls(call(), call(status="error"), call(tenant="initech"))
    told = october()
    assert any(x.uncharged for x in told.outcomes)
    assert told.not_billed
    assert standing(OCTOBER) == october()

    Invoice.objects.filter(tenant="globex").update(state="void", voided_at=NOW, void_reason="test")
    acme, globex = standing(OCTOBER).outcomes
    assert acme.invoice_id is not None
    assert (globex.tenant, globex.status, globex.invoice_id) == ("globex", "failed", None)


def test_a_dry_run_says_the_same_and_stores_nothing() -> None:
    plans(on_pro("acme"))
    calls(call(), call())
    dry = only(october(dry_run=True))
    assert Invoice.objects.count() == 0
    real = only(october())
    assert replace(real, invoice_id=None) == dry


def test_new_usage_replaces_a_draft_and_keeps_the_old_one() -> None:
    plans(on_pro("acme"))
    calls(call(), call())
    first = only(october())
    calls(call())
    second = only(october())
    assert second.status == "replaced"
    old, new = Invoice.objects.order_by("pk")
    assert (old.pk, old.state) == (first.invoice_id, "void")
    assert old.lines.count() == 5
    assert (new.replaces, new.state, new.total_minor) == (old, "draft", 4900 + 200 + 1)


def test_other_terms_replace_a_draft_though_they_come_to_the_same() -> None:
    plans(on_pro("acme"))
    october()
    other = PLANS.replace('"2.50"', '"2.75"').replace("2026-01-01", "2026-10-01")
    plans(text=other)
    assert only(october()).status == "replaced"
    old, new = Invoice.objects.order_by("pk")
    assert (old.state, new.total_minor) == ("void", old.total_minor)
    assert new.plan_version != old.plan_version


def test_a_draft_is_known_again_by_all_that_it_was_made_of() -> None:
    plans(on_pro("acme"))
    cycle = Cycle(date(2026, 10, 1), date(2026, 11, 1), "UTC", 31)

    def made() -> Draft:
        (draft,) = drafts.draft([Due("acme", cycle, PlanVersion.objects.get())])
        assert isinstance(draft, Draft)
        return draft

    calls(call(), call(model="gpt-4o"))
    one = made()
    calls(call())
    two = made()
    others = [
        replace(one, tenant="globex"),
        replace(one, cycle=replace(cycle, full_days=62)),
        replace(one, charged=two.charged),
        replace(one, evidence=two.evidence),
        replace(one, evidence={}),
        two,
    ]
    assert made().inputs_digest == two.inputs_digest
    assert len({x.inputs_digest for x in [one, *others]}) == 1 + len(others)


def test_an_approved_invoice_never_changes_but_late_usage_is_told() -> None:
    plans(on_pro("acme"))
    calls(call(), call())
    first = only(october())
    assert first.invoice_id is not None
    approve(first.invoice_id, by="controller", now=NOW)
    calls(call())
    late = only(october())
    assert (late.status, late.invoice_id, late.state) == (
        "late_usage",
        first.invoice_id,
        "approved",
    )
    assert (late.total_minor, late.difference_minor) == (4950, 151)
    assert late.message.endswith("was approved, and comes to USD 1.51 more: correct it")
    assert Invoice.objects.count() == 1
    assert october().complete


def test_late_usage_that_the_allowance_takes_in_is_nothing_to_correct() -> None:
    plans(on_pro("acme"))
    first = only(october())
    assert first.invoice_id is not None
    approve(first.invoice_id, by="controller", now=NOW)
    calls(call(input_tokens=1, cached_input_tokens=0, output_tokens=0))
    late = only(october())
    assert (late.status, late.difference_minor) == ("late_usage", 0)
    assert late.message.endswith("and comes to the same: there is nothing to correct")


def test_an_approved_invoice_is_held_to_the_terms_it_was_drafted_by() -> None:
    plans(on_pro("acme"))
    first = only(october())
    assert first.invoice_id is not None
    approve(first.invoice_id, by="controller", now=NOW)
    dearer = PLANS.replace('"49.00"', '"59.00"').replace("2026-01-01", "2026-10-01")
    plans(text=dearer)
    assert only(october()).status == "unchanged"


def test_terms_are_those_of_the_cycles_first_day() -> None:
    dearer = PLANS.replace('"49.00"', '"59.00"').replace("2026-01-01", "2026-10-02")
    plans(on_pro("acme"), text=PLANS + dearer)
    assert only(october()).total_minor == 4900
    november = run(Month(2026, 11), author="schedule", now=NOW)
    assert only(november).total_minor == 5900


def test_a_change_of_plan_in_mid_cycle_makes_two_short_cycles() -> None:
    plans(on_pro("acme"), text=PLANS)
    assert only(october()).total_minor == 4900
    larger = PLANS.replace('"pro"', '"max"').replace('"49.00"', '"98.00"')
    plans('tenant = "acme"\nplan = "max"\nvalid_from = 2026-10-15', text=larger)
    outcomes = october().outcomes
    assert [(x.plan, x.status, x.cycle.days, x.total_minor) for x in outcomes] == [
        ("pro", "replaced", 14, 2213),
        ("max", "created", 17, 5374),
    ]
    assert Invoice.objects.filter(state="void").count() == 1


def test_a_draft_of_a_cycle_that_is_no_more_is_withdrawn() -> None:
    plans(on_pro("acme", "anchor_day = 15"))
    run(Month(2026, 11), author="schedule", now=NOW)
    plans(on_pro("acme", "anchor_day = 15\nvalid_to = 2026-10-15"))
    (gone,) = run(Month(2026, 11), author="schedule", now=NOW).outcomes
    assert (gone.status, gone.state) == ("withdrawn", "void")
    assert run(Month(2026, 11), author="schedule", now=NOW).outcomes == ()


def test_usage_without_a_plan_is_never_passed_over() -> None:
    plans(on_pro("acme", "valid_to = 2026-10-11"))
    calls(
        call(at="2026-10-10T12:00"),
        call(at="2026-10-12T12:00"),
        call(tenant="globex"),
        call(tenant="initech", at="2026-08-01T00:00"),
        call(tenant_id=None),
        call(tenant="acme", shares=(share("hooli", 400, 200),)),
    )
    gaps = {(x.tenant, x.first_day): (x.requests, x.tokens) for x in october().not_billed}
    assert gaps == {
        ("acme", date(2026, 10, 11)): (1, 600),
        ("globex", date(2026, 10, 1)): (1, 600),
        ("hooli", date(2026, 10, 1)): (0, 600),
    }


def test_a_plan_without_terms_for_the_cycle_is_told_and_stops_nobody_else() -> None:
    late = PLANS.replace('"pro"', '"late"').replace("2026-01-01", "2026-10-05")
    plans(
        'tenant = "acme"\nplan = "late"\nvalid_from = 2026-01-01',
        on_pro("globex"),
        text=PLANS + late,
    )
    result = october()
    assert [(x.tenant, x.status) for x in result.outcomes] == [
        ("acme", "no_terms"),
        ("globex", "created"),
    ]
    assert "has no version on 2026-10-01" in result.outcomes[0].message
    assert not result.complete


def test_usage_below_zero_fails_its_own_cycle_only() -> None:
    plans(on_pro("acme"), on_pro("globex"))
    wrong = UsageLine(
        *("gpt-4o", "chat", "prod", "real", "success", "provider", "input"), Decimal(-1), 1
    )
    usage = {("acme", OCTOBER.period): [wrong], ("globex", OCTOBER.period): []}
    with mock.patch("billing.drafts.charged_usages", return_value=usage):
        result = run(OCTOBER, author="schedule", now=NOW, dry_run=True)
    assert [(x.tenant, x.status) for x in result.outcomes] == [
        ("acme", "failed"),
        ("globex", "created"),
    ]
    assert "reads -1 tokens of 'gpt-4o'" in result.outcomes[0].message
    assert not result.complete


def test_a_run_can_be_for_one_tenant() -> None:
    plans(on_pro("acme"), on_pro("globex"))
    calls(call(tenant="initech"))
    result = october(tenants=["globex"])
    assert [x.tenant for x in result.outcomes] == ["globex"]
    assert result.not_billed == ()


def test_recomputing_gives_what_was_stored_until_an_event_changes() -> None:
    plans(on_pro("acme"))
    calls(call(), call(model="gpt-4o"))
    october()
    invoice = Invoice.objects.get()
    assert recompute(invoice) == stored_lines(invoice)
    assert recompute(invoice)[1] == invoice.outputs_digest
    calls(call(input_tokens=1, output_tokens=0))
    again, digest = recompute(invoice)
    assert digest != invoice.outputs_digest
    differing = [
        x["charge_code"] for x, y in zip(again, stored_lines(invoice)[0], strict=True) if x != y
    ]
    assert differing == ["tokens", "tokens", "requests", "requests"]


def test_a_cycle_that_goes_on_has_a_preview() -> None:
    plans(on_pro("acme"))
    outcome = only(october(now=datetime(2026, 10, 20, tzinfo=UTC)))
    assert outcome.status == "created"
