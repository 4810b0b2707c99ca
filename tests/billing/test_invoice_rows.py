"""What the database itself refuses, whichever code asks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import Error, IntegrityError, connection, transaction

from billing.approvals import NotApproved, approve
from billing.models import Invoice, InvoiceLine, PlanVersion, Subscription
from metering import people
from metering.people import NotAllowed
from tests.billing.billed import NOW, on_pro, plans

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("staff")]


def drafted(tenant: str = "acme", month: int = 10, **terms: object) -> Invoice:
    """A draft of one fee line, written row by row."""
    if not Subscription.objects.filter(tenant=tenant).exists():
        plans(on_pro(tenant))
    start = datetime(2026, month, 1, tzinfo=UTC)
    defaults: dict[str, object] = {
        "cycle_start": start,
        "cycle_end": start + timedelta(days=30),
        "total_minor": 4900,
    }
    invoice = Invoice.objects.create(
        tenant=tenant,
        subscription=Subscription.objects.get(tenant=tenant),
        plan_version=PlanVersion.objects.get(),
        first_day=date(2026, month, 1),
        end_day=date(2026, month, 31),
        full_days=30,
        zone="UTC",
        currency="USD",
        inputs_digest="i",
        outputs_digest="o",
        author="schedule",
        created_at=NOW,
        **{**defaults, **terms},
    )
    _line(invoice, 1, "fee", "", 4900)
    return invoice


def _line(invoice: Invoice, position: int, kind: str, code: str, minor: int) -> InvoiceLine:
    return InvoiceLine.objects.create(
        invoice=invoice,
        position=position,
        kind=kind,
        charge_code=code,
        description="line",
        unit="days",
        quantity=Decimal(30),
        unit_price=Decimal(49),
        per=30,
        amount=Decimal(minor) / 100,
        amount_minor=minor,
    )


def check_constraints() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def test_lines_that_do_not_add_up_to_the_total_cannot_be_committed() -> None:
    drafted()
    check_constraints()
    drafted("globex", total_minor=4901)
    with pytest.raises(IntegrityError, match="do not add up to its total"):
        check_constraints()


def test_a_line_slipped_in_later_cannot_be_committed() -> None:
    invoice = drafted()
    check_constraints()
    _line(invoice, 2, "overage", "tokens", 1)
    with pytest.raises(IntegrityError, match="do not add up to its total"):
        check_constraints()


def test_no_line_is_added_to_an_approved_invoice() -> None:
    invoice = drafted()
    approve(invoice.pk, by="controller", now=NOW)
    with pytest.raises(IntegrityError, match="is no draft"):
        _line(invoice, 2, "overage", "tokens", 0)


@pytest.mark.parametrize("shift", [0, 15, -15, 29])
def test_no_instant_is_invoiced_twice(shift: int) -> None:
    first = drafted()
    start = first.cycle_start + timedelta(days=shift)
    with pytest.raises(IntegrityError, match=r"no_instant_is_invoiced_twice|one_invoice_per"):
        drafted(cycle_start=start, cycle_end=start + timedelta(days=30))


def test_a_void_invoice_makes_room() -> None:
    first = drafted()
    Invoice.objects.filter(pk=first.pk).update(state="void", voided_at=NOW, void_reason="replaced")
    drafted(replaces=first)
    drafted("globex")
    assert Invoice.objects.count() == 3


CHANGES: dict[str, Callable[[], object]] = {
    "total": lambda: Invoice.objects.update(total_minor=1),
    "tenant": lambda: Invoice.objects.update(tenant="globex"),
    "digest": lambda: Invoice.objects.update(outputs_digest="x"),
    "author": lambda: Invoice.objects.update(author="x"),
    "delete": lambda: Invoice.objects.all()._raw_delete("default"),
    "line amount": lambda: InvoiceLine.objects.update(amount_minor=1),
    "line evidence": lambda: InvoiceLine.objects.update(evidence_digest="x"),
    "line delete": lambda: InvoiceLine.objects.all()._raw_delete("default"),
    "approval without state": lambda: Invoice.objects.update(approved_by="x", approved_at=NOW),
    "approval without person": lambda: Invoice.objects.update(state="approved"),
    "approval by the author": lambda: Invoice.objects.update(
        state="approved", approved_by="schedule", approved_at=NOW
    ),
    "finalizing a draft": lambda: Invoice.objects.update(
        state="finalized", number="2026-1", finalized_at=NOW
    ),
    "a number for a draft": lambda: Invoice.objects.update(number="2026-1"),
    "void without reason": lambda: Invoice.objects.update(state="void", voided_at=NOW),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_an_invoice_cannot_be_changed_by_hand(change: Callable[[], object]) -> None:
    drafted()
    with pytest.raises(Error), transaction.atomic():
        change()


def test_a_finalized_invoice_stays() -> None:
    invoice = drafted()
    approve(invoice.pk, by="controller", now=NOW)
    Invoice.objects.update(state="finalized", number="2026-000001", finalized_at=NOW)
    for change in (
        {"state": "void", "voided_at": NOW, "void_reason": "mistake"},
        {"state": "draft"},
        {"number": "2026-000002"},
        {"approved_by": "another"},
    ):
        with pytest.raises(Error), transaction.atomic():
            Invoice.objects.update(**change)


def test_an_invoice_begins_as_a_draft() -> None:
    with pytest.raises(Error, match="Cannot insert"):
        drafted(state="approved", approved_by="x", approved_at=NOW)


def test_approval_is_by_another_person_after_the_cycle() -> None:
    invoice = drafted()
    for by, now, message in (
        ("schedule", NOW, "another person"),
        ("controller", invoice.cycle_end - timedelta(seconds=1), "approve it after that"),
    ):
        with pytest.raises(NotApproved, match=message):
            approve(invoice.pk, by=by, now=now)
    people.add("finance", ["finance"])
    for by, message in ((" ", "name one with --as USER"), ("finance", "which approver has")):
        with pytest.raises(NotAllowed, match=message):
            approve(invoice.pk, by=by, now=NOW)
    approved = approve(invoice.pk, by="controller", now=NOW)
    assert (approved.state, approved.approved_by, approved.approved_at) == (
        "approved",
        "controller",
        NOW,
    )
    assert approve(invoice.pk, by="controller", now=NOW + timedelta(days=1)).approved_at == NOW
    with pytest.raises(NotApproved, match="is approved; only a draft"):
        approve(invoice.pk, by="another", now=NOW)
