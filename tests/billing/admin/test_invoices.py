"""Invoices in the admin: approval by a second person, and the events beneath every line."""

from __future__ import annotations

import pytest
from django.urls import reverse

from billing.models import Invoice, InvoiceLine, Subscription
from tests.admin_pages import browser, page_of, person, text, told
from tests.allocation.october import ANALYST

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("month")]

LIST = reverse("admin:billing_invoice_changelist")


def chosen(*invoices: Invoice) -> dict[str, object]:
    return {"action": "approve_chosen", "_selected_action": [x.pk for x in invoices]}


def states() -> set[str]:
    return set(Invoice.objects.values_list("state", flat=True))


def test_a_second_person_approves_one() -> None:
    invoice = Invoice.objects.get(tenant="acme")
    url = reverse("admin:billing_invoice_approve", args=[invoice.pk])
    client = browser(person("second", "approver"))
    assert "Approve the invoice of acme" in text(client.get(url))
    assert states() == {"draft"}
    assert "is approved" in told(client.post(url, follow=True))
    invoice.refresh_from_db()
    assert (invoice.state, invoice.approved_by) == ("approved", "second")


def test_the_author_is_refused_with_a_message() -> None:
    invoice = Invoice.objects.get(tenant="acme")
    url = reverse("admin:billing_invoice_approve", args=[invoice.pk])
    response = browser(person(ANALYST, "approver")).post(url)
    assert "another person must approve it" in text(response)
    assert states() == {"draft"}


def test_the_chosen_drafts_are_approved_together() -> None:
    client = browser(person("second", "approver"))
    response = client.post(LIST, chosen(*Invoice.objects.all()), follow=True)
    assert "2 invoices are approved" in told(response)
    assert states() == {"approved"}


def test_all_or_none_are_approved() -> None:
    response = browser(person(ANALYST, "approver")).post(
        LIST, chosen(*Invoice.objects.all()), follow=True
    )
    assert "None is approved" in told(response)
    assert states() == {"draft"}


def test_without_the_right_the_list_has_no_approval() -> None:
    client = browser(person("f", "finance"))
    assert "approve_chosen" not in text(client.get(LIST))
    client.post(LIST, chosen(*Invoice.objects.all()))
    assert states() == {"draft"}


def test_a_line_leads_to_exactly_the_events_beneath_it() -> None:
    line = InvoiceLine.objects.get(invoice__tenant="acme", kind="overage", charge_code="tokens")
    client = browser(person("v", "viewer"))
    page = text(client.get(page_of(line.invoice)))
    beneath = reverse("admin:billing_invoiceline_evidence", args=[line.pk])
    assert beneath in page
    listed = text(client.get(beneath))
    assert line.evidence_digest in listed
    assert listed.count('/change/" class="link"') == line.evidence_count == 1


def test_a_lines_evidence_is_taken_away() -> None:
    line = InvoiceLine.objects.get(invoice__tenant="acme", kind="overage", charge_code="tokens")
    url = reverse("admin:billing_invoiceline_download", args=[line.pk])
    response = browser(person("v", "viewer")).get(url)
    assert len(b"".join(response).splitlines()) == 1 + line.evidence_count


def test_a_subscription_ends_once() -> None:
    client = browser(person("root", "superuser"))
    row = Subscription.objects.get(tenant="acme")
    client.post(page_of(row), {"valid_to": "2026-12-01"})
    row.refresh_from_db()
    assert str(row.valid_to) == "2026-12-01"
    client.post(page_of(row), {"valid_to": "2027-01-01"})
    row.refresh_from_db()
    assert str(row.valid_to) == "2026-12-01"


def test_an_overlapping_subscription_is_said_in_the_form() -> None:
    response = browser(person("f", "finance")).post(
        reverse("admin:billing_subscription_add"),
        {
            "tenant": "acme",
            "plan": "pro",
            "zone": "UTC",
            "anchor_day": "1",
            "valid_from": "2026-11-01",
            "valid_to": "",
        },
    )
    assert response.status_code == 200
    assert "has a subscription in that time" in text(response)
    assert Subscription.objects.filter(tenant="acme").count() == 1
