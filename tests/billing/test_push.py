"""Approved invoices at Stripe, over real HTTP between its SDK and a double of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import Error, transaction

from billing.models import (
    Invoice,
    InvoiceStanding,
    StripeCustomer,
    StripeFinding,
    StripePush,
    StripeRequest,
)
from billing.push import push
from billing.stripe_gateway import StripeGateway, StripeNotConfigured
from billing.stripe_standing import standing_of
from metering.domain.digests import digest_of
from tests.billing.billed import NOW
from tests.billing.pushed import (
    LATER,
    SMALL,
    approved,
    double,
    emptied,
    gateway,
    held,
    is_whole,
    pushed,
)
from tests.doubles.stripe import StripeDouble
from tests.doubles.stripe.faults import Kind

__all__ = ["double"]
pytestmark = pytest.mark.django_db


def test_an_approved_invoice_is_drafted_compared_and_finalized(double: StripeDouble) -> None:
    invoice = approved()
    outcome = pushed(invoice, double)
    is_whole(invoice, double)
    there = held(double)
    assert outcome.status == "finalized"
    assert (outcome.stripe_invoice, outcome.number) == (there["id"], there["number"])
    assert (there["currency"], there["collection_method"]) == ("usd", "send_invoice")
    assert there["metadata"]["apportion_outputs_digest"] == invoice.outputs_digest
    standing = standing_of(invoice)
    assert standing is not None
    assert (standing.standing, standing.since) == ("open", NOW)
    invoice.refresh_from_db()
    assert invoice.finalized_at == NOW


def test_each_line_is_an_item_with_its_period_evidence_and_a_key_of_its_own(
    double: StripeDouble,
) -> None:
    invoice = approved()
    pushed(invoice, double)
    asked = [x for x in double.api.calls if x.call == "POST /v1/invoiceitems"]
    assert len({x.key for x in asked}) == len(asked) == invoice.lines.count() == 5
    draft = held(double)
    items = double.books.items_of(draft["id"])
    lines = {str(x.position): x for x in invoice.lines.all()}
    for item in items:
        line = lines[item["metadata"]["apportion_line"]]
        assert item["period"] == {
            "start": int(invoice.cycle_start.timestamp()),
            "end": int(invoice.cycle_end.timestamp()) - 1,
        }
        assert item["metadata"].get("apportion_evidence_digest", "") == line.evidence_digest
        assert item["metadata"]["apportion_tenant"] == "acme"
        assert not item["discountable"]
    assert [x["amount"] for x in items].count(0) == 3


def test_pushed_again_it_is_already_there_and_nothing_is_asked_of_stripe(
    double: StripeDouble,
) -> None:
    invoice = approved()
    first = pushed(invoice, double)
    calls = len(double.api.calls)
    again = pushed(invoice, double, LATER)
    assert (again.status, again.stripe_invoice, again.number) == (
        "already",
        first.stripe_invoice,
        first.number,
    )
    assert len(double.api.calls) == calls


def test_a_customer_that_stripe_knows_is_found(double: StripeDouble) -> None:
    key = digest_of("acme")[:32]
    known = double.books.create_customer({"metadata": {"apportion_tenant_key": key}})
    pushed(approved("acme", SMALL), double)
    assert held(double)["customer"] == known["id"]
    assert StripeCustomer.objects.get().customer == known["id"]


def test_of_two_customers_nobody_guesses_one(double: StripeDouble) -> None:
    for _ in range(2):
        double.books.create_customer({"metadata": {"apportion_tenant_key": digest_of("acme")[:32]}})
    outcome = pushed(approved("acme", SMALL), double)
    assert outcome.status == "refused"
    assert "is 2 customers at Stripe" in outcome.message
    assert double.books.list_invoices({}) == []


def test_a_customer_that_was_deleted_at_stripe_is_replaced(double: StripeDouble) -> None:
    invoice = approved("acme", SMALL)
    double.api.fault(r"POST /v1/invoices", "unavailable", times=3)
    pushed(invoice, double)
    known = StripeCustomer.objects.get()
    double.books.delete_customer(known.customer)
    assert pushed(invoice, double, LATER).status == "finalized"
    is_whole(invoice, double)
    assert held(double)["customer"] != known.customer
    assert StripeCustomer.objects.filter(gone_at=None).count() == 1


FAULTS: dict[str, tuple[str, Kind]] = {
    "a lost answer to the customer": (r"POST /v1/customers", "lost"),
    "a lost answer to the draft": (r"POST /v1/invoices", "lost"),
    "a lost answer to an item": (r"POST /v1/invoiceitems", "lost"),
    "a lost answer to finalizing": (r"POST /v1/invoices/\w+/finalize", "lost"),
    "a 500 without effect": (r"POST /v1/invoiceitems", "fail"),
    "a 500 after the effect": (r"POST /v1/invoiceitems", "fail_after"),
    "a draft made, and a 500": (r"POST /v1/invoices", "fail_after"),
    "a customer made, and a 500": (r"POST /v1/customers", "fail_after"),
    "finalized, and a 500": (r"POST /v1/invoices/\w+/finalize", "fail_after"),
    "a proxy's 503": (r"POST /v1/invoices", "unavailable"),
    "another request with the key": (r"POST /v1/invoiceitems", "conflict"),
    "a page that is no JSON": (r"POST /v1/invoiceitems", "garbage"),
    "a lost reading": (r"GET /v1/invoices/\w+", "lost"),
}


@pytest.mark.parametrize("retries", [0, 2], ids=["the next push", "the SDK's repetition"])
def test_what_goes_wrong_on_the_way_is_mended_by(double: StripeDouble, retries: int) -> None:
    for name, fault in FAULTS.items():
        emptied(double)
        invoice = approved(name, SMALL)
        double.api.fault(*fault)
        outcome = pushed(invoice, double, retries=retries)
        if retries and fault[1] != "garbage":
            assert outcome.status == "finalized", name
        assert pushed(invoice, double, NOW + timedelta(seconds=1)).done, name
        is_whole(invoice, double)


def test_an_answer_that_does_not_come_in_time_is_looked_for_by_the_next_push(
    double: StripeDouble,
) -> None:
    invoice = approved("acme", SMALL)
    double.api.fault(r"POST /v1/invoices", "hang")
    outcome = pushed(invoice, double, timeouts=(1, 0.3), retries=0)
    assert (outcome.status, outcome.done) == ("later", False)
    assert StripeRequest.objects.get(purpose="invoice").state == "sent"
    double.released.set()
    assert pushed(invoice, double, NOW + timedelta(seconds=1)).status == "finalized"
    is_whole(invoice, double)


def test_a_rate_limit_is_for_later(double: StripeDouble) -> None:
    invoice = approved("acme", SMALL)
    double.api.rate = 5
    assert pushed(invoice, double).status == "later"
    double.api.rate = None
    assert pushed(invoice, double, NOW + timedelta(seconds=1)).status == "finalized"
    is_whole(invoice, double)


def test_when_stripe_only_fails_the_tries_end(double: StripeDouble) -> None:
    invoice = approved("acme", SMALL)
    double.api.fault(r"POST /v1/invoiceitems", "fail", times=-1)
    assert pushed(invoice, double).status == "later"
    tries = StripeRequest.objects.filter(purpose="item")
    assert [x.state for x in tries] == ["failed"] * 3
    double.api.faults.clear()
    assert pushed(invoice, double, NOW + timedelta(seconds=1)).status == "finalized"
    is_whole(invoice, double)


def _changed(double: StripeDouble, change: Callable[[dict[str, Any]], object]) -> None:
    """Something changes an item between its making and the reading back."""
    made = double.books.create_item

    def tampered(given: dict[str, Any]) -> dict[str, Any]:
        item = made(given)
        if given["metadata"]["apportion_line"] == "2":
            change(item)
        return item

    double.books.create_item = tampered  # type: ignore[method-assign]


TAMPERING: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another amount": (lambda item: item.update(amount=1), "line 2 amount"),
    "another description": (lambda item: item.update(description="x"), "line 2 description"),
    "another period": (lambda item: item["period"].update(end=1), "line 2 period"),
    "other evidence": (
        lambda item: item["metadata"].update(apportion_evidence_digest="x"),
        "line 2 metadata",
    ),
    "another line": (lambda item: item["metadata"].update(apportion_line="9"), "line 2"),
}


def test_what_is_not_ours_when_it_is_read_back_is_never_finalized(double: StripeDouble) -> None:
    made = double.books.create_item
    for name, (change, where) in TAMPERING.items():
        emptied(double)
        invoice = approved(name, SMALL)
        double.books.create_item = made  # type: ignore[method-assign]
        _changed(double, change)
        outcome = pushed(invoice, double)
        assert (outcome.status, held(double)["status"]) == ("refused", "draft"), name
        assert where in outcome.message
        assert StripeFinding.objects.filter(invoice=invoice, where=where).exists()
        invoice.refresh_from_db()
        assert (invoice.state, invoice.number) == ("approved", None)
        assert StripePush.objects.get(invoice=invoice).state == "refused"


def test_an_item_that_is_none_of_ours_is_found_and_a_mended_draft_goes_through(
    double: StripeDouble,
) -> None:
    invoice = approved("acme", SMALL)
    double.api.fault(r"GET /v1/invoices/\w+", "lost", times=3)
    pushed(invoice, double)
    draft = held(double)
    stray = double.books.create_item(
        {"customer": draft["customer"], "invoice": draft["id"], "amount": 100, "currency": "usd"}
    )
    for later in (1, 2):  # the same finding is kept once
        outcome = pushed(invoice, double, NOW + timedelta(seconds=later))
        assert outcome.status == "refused"
    assert {x.where.split(" il_")[0] for x in StripeFinding.objects.all()} == {
        "total",
        "number of lines",
        "Stripe's line",
    }
    assert StripeFinding.objects.count() == 3
    double.books.delete_item(stray["id"])
    assert pushed(invoice, double, NOW + timedelta(seconds=3)).status == "finalized"
    is_whole(invoice, double)


def test_a_refused_draft_that_was_deleted_at_stripe_is_made_anew(double: StripeDouble) -> None:
    invoice = approved("acme", SMALL)
    untampered = double.books.create_item
    _changed(double, lambda item: item.update(amount=1))
    pushed(invoice, double)
    double.books.create_item = untampered  # type: ignore[method-assign]
    double.books.delete_invoice(held(double)["id"])
    assert pushed(invoice, double, LATER).status == "finalized"
    is_whole(invoice, double)
    assert StripePush.objects.get().generation == 2


def test_a_draft_that_another_hand_finalized_is_compared_all_the_same(
    double: StripeDouble,
) -> None:
    invoice = approved("acme", SMALL)
    double.api.fault(r"POST /v1/invoiceitems", "unavailable", times=3, skip=1)
    assert pushed(invoice, double).status == "later"
    half = held(double)
    double.books.finalize(half["id"], {})
    outcome = pushed(invoice, double, LATER)
    assert outcome.status == "refused"
    invoice.refresh_from_db()
    assert invoice.state == "approved"
    double.books.void(half["id"])
    assert pushed(invoice, double, LATER + timedelta(seconds=1)).status == "finalized"
    standing = [x for x in double.books.list_invoices({}) if x["status"] == "open"]
    assert [x["total"] for x in standing] == [invoice.total_minor]


def test_a_key_that_was_used_for_something_else_is_refused_by_stripe_and_by_us(
    double: StripeDouble,
) -> None:
    invoice = approved("acme", SMALL)
    double.api.fault(r"POST /v1/invoiceitems", "lost", skip=1)
    pushed(invoice, double, retries=0)
    sent = StripeRequest.objects.get(purpose="item", state="sent")
    for item in list(double.books.items.values()):
        if item["metadata"]["apportion_line"] == "2":
            double.books.delete_item(item["id"])
    kept = double.api._kept[sent.key]
    kept.fingerprint = "another request's"
    outcome = pushed(invoice, double, LATER)
    assert outcome.status == "refused"
    assert "same parameters" in outcome.message
    assert pushed(invoice, double, LATER + timedelta(seconds=1)).status == "finalized"
    is_whole(invoice, double)


def test_what_is_no_approved_invoice_is_not_pushed(double: StripeDouble) -> None:
    invoice = approved("acme", SMALL)
    Invoice.objects.update(state="void", voided_at=NOW, void_reason="mistake")
    outcome = pushed(invoice, double)
    assert (outcome.status, outcome.message) == (
        "refused",
        "it is void; only approved ones are pushed",
    )
    assert double.api.calls == []


def test_amounts_are_in_stripes_units(double: StripeDouble) -> None:
    for currency, fee, asked in (
        ("JPY", "4900", 4900),
        ("ISK", "4900", 490000),
        ("KWD", "4.900", 4900),
        ("HUF", "49", 4900),
    ):
        emptied(double)
        text = SMALL.replace('"pro"', f'"{currency.lower()}"').replace("USD", currency)
        text = text.replace('"49.00"', f'"{fee}"').replace("0.25", "1")
        invoice = approved(currency, text)
        assert pushed(invoice, double).status == "finalized"
        lines = double.books.lines(held(double)["id"])
        (line,) = [x for x in lines if x["metadata"]["apportion_kind"] == "fee"]
        assert (line["amount"], line["currency"]) == (asked, currency.lower())


def test_what_stripe_cannot_charge_exactly_is_refused_before_anything_is_sent(
    double: StripeDouble,
) -> None:
    invoice = approved("acme", SMALL.replace("USD", "KWD").replace("49.00", "4.901"))
    outcome = pushed(invoice, double)
    assert outcome.status == "refused"
    assert "its last digit must be 0" in outcome.message
    assert double.api.calls == []


def test_a_wrong_key_is_told_with_the_remedy(double: StripeDouble) -> None:
    invoice = approved("acme", SMALL)
    with pytest.raises(StripeNotConfigured, match="check STRIPE_API_KEY"):
        push(invoice.pk, now=NOW, gateway=StripeGateway("sk_wrong", double.url))
    assert pushed(invoice, double, NOW + timedelta(seconds=1)).status == "finalized"


def test_a_push_stays_in_the_account_that_it_began_in(double: StripeDouble) -> None:
    invoice = approved("acme", SMALL)
    double.api.fault(r"POST /v1/invoices", "unavailable", times=3)
    pushed(invoice, double)
    with StripeDouble() as another:
        outcome = push(invoice.pk, now=LATER, gateway=gateway(another))
        assert outcome.status == "refused"
        assert "began in Stripe's account" in outcome.message
        assert another.api.calls == []


CHANGES: dict[str, Callable[[], object]] = {
    "a push that is done": lambda: StripePush.objects.update(state="drafted", finalized_at=None),
    "a push's reference": lambda: StripePush.objects.update(reference="x"),
    "a request's parameters": lambda: StripeRequest.objects.update(params={}),
    "a confirmed request": lambda: StripeRequest.objects.update(state="sent", object_id=""),
    "a customer": lambda: StripeCustomer.objects.update(customer="cus_x"),
    "a date": lambda: InvoiceStanding.objects.update(since=LATER),
    "a date's row": lambda: InvoiceStanding.objects.all()._raw_delete("default"),
    "the invoice": lambda: Invoice.objects.update(state="void", voided_at=NOW, void_reason="x"),
}


def test_what_was_pushed_cannot_be_changed_by_hand(double: StripeDouble) -> None:
    pushed(approved("acme", SMALL), double)
    for change in CHANGES.values():
        with pytest.raises(Error, match=r"Cannot|Invalid|constraint"), transaction.atomic():
            change()
