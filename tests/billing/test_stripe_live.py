"""The same against Stripe's test mode: run where STRIPE_API_KEY is a key of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe
from django.conf import settings
from django.utils import timezone

from billing.models import Invoice, StripeCustomer
from billing.push import push
from billing.stripe_gateway import StripeGateway
from tests.billing.pushed import SMALL, approved

KEY = settings.ENVIRONMENT.stripe_api_key

pytestmark = [
    pytest.mark.stripe_live,
    pytest.mark.enable_socket,
    pytest.mark.django_db,
    pytest.mark.skipif(
        "_test_" not in KEY, reason="set STRIPE_API_KEY to a key of Stripe's test mode (sk_test_…)"
    ),
]


@pytest.fixture
def invoice() -> Invoice:
    """Of a tenant that no earlier run has pushed for, so that nothing is left over at Stripe."""
    return approved(f"live-{timezone.now():%Y%m%d%H%M%S%f}", SMALL)


def test_an_invoice_goes_through_and_again_changes_nothing(invoice: Invoice) -> None:
    gateway = StripeGateway(KEY, settings.STRIPE_BASE_URL)
    now = timezone.now()
    outcome = push(invoice.pk, now=now, gateway=gateway)
    assert outcome.status == "finalized", outcome.message
    there = gateway.invoice(outcome.stripe_invoice)
    assert (there["total"], there["currency"]) == (invoice.total_minor, "usd")
    assert push(invoice.pk, now=now + timedelta(minutes=1), gateway=gateway).status == "already"
    _cleared(outcome.stripe_invoice)


def test_a_push_that_has_forgotten_everything_finds_its_customer_and_draft(
    invoice: Invoice,
) -> None:
    """Listing sees at once what was made a moment ago; idempotency keys are not needed for it."""
    gateway = StripeGateway(KEY, settings.STRIPE_BASE_URL)
    outcome = push(invoice.pk, now=timezone.now(), gateway=gateway)
    customer = StripeCustomer.objects.get(tenant=invoice.tenant).customer
    since = timezone.now() - timedelta(hours=1)
    assert [x["id"] for x in gateway.invoices_of(customer, since)] == [outcome.stripe_invoice]
    assert customer in [x["id"] for x in gateway.customers_since(since)]
    assert len(list(gateway.invoice_items(outcome.stripe_invoice))) == invoice.lines.count()
    _cleared(outcome.stripe_invoice)


def _cleared(stripe_invoice: str) -> None:
    client = stripe.StripeClient(KEY, base_addresses={"api": settings.STRIPE_BASE_URL})
    client.v1.invoices.void_invoice(stripe_invoice)
