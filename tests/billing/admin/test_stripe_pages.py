"""What Stripe was asked for and told, in the admin: to look at, and not to change."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from billing.models import (
    Invoice,
    StripeEvent,
    StripeEventOutcome,
    StripeFinding,
    StripePush,
    StripeRequest,
)
from tests.admin_pages import browser, page_of, person, text
from tests.allocation.october import NOW

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("month")]


@pytest.fixture
def push() -> StripePush:
    """One that was refused, with what was asked and what differed."""
    invoice = Invoice.objects.get(tenant="acme")
    StripeRequest.objects.create(
        invoice=invoice,
        purpose="item",
        stem="item 1",
        attempt=1,
        key="item 1 try 1",
        params={"amount": 1250, "currency": "usd"},
        intended_at=NOW,
    )
    StripeFinding.objects.create(
        invoice=invoice, found_at=NOW, where="line 1", what="12.50 here, 12.51 there"
    )
    return StripePush.objects.create(
        invoice=invoice, account="test", reference="a reference", state="refused", begun_at=NOW
    )


def test_a_push_shows_what_was_asked_and_what_differs(push: StripePush) -> None:
    page = text(browser(person("v", "viewer")).get(page_of(push)))
    assert "12.50 here, 12.51 there" in page
    assert "acme" in page
    assert page_of(StripeRequest.objects.get()) in page


def test_a_request_shows_what_is_sent(push: StripePush) -> None:
    page = text(browser(person("v", "viewer")).get(page_of(StripeRequest.objects.get())))
    assert "item 1 try 1" in page
    assert "&quot;amount&quot;: 1250" in page


def test_an_event_shows_the_bytes_that_came_and_what_they_came_to() -> None:
    body = {"id": "evt_1", "data": {"note": "<b>not markup</b>"}}
    event = StripeEvent.objects.create(
        event="evt_1",
        type="invoice.paid",
        created_at=NOW,
        received_at=NOW,
        livemode=False,
        digest="0" * 64,
        body=json.dumps(body).encode(),
    )
    client = browser(person("v", "viewer"))
    assert "pending" in text(client.get(reverse("admin:billing_stripeevent_changelist")))
    StripeEventOutcome.objects.create(
        event=event, outcome="ignored", applied_at=NOW, message="of another system"
    )
    page = text(client.get(page_of(event)))
    assert "of another system" in page
    assert "&lt;b&gt;not markup" in page
    assert "<b>not markup" not in page
