"""`run_invoices --push`: what it prints, and when it fails."""

from __future__ import annotations

import json
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.test import override_settings

from billing.models import Invoice
from tests.billing.billed import NOW, PLANS
from tests.billing.pushed import SMALL, approved, double, held, is_whole
from tests.doubles.stripe import StripeDouble
from tests.doubles.stripe.server import KEY

__all__ = ["double"]
pytestmark = pytest.mark.django_db


def run_invoices(*arguments: str) -> str:
    out = StringIO()
    call_command("run_invoices", "2026-10", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_approves_and_pushes(double: StripeDouble) -> None:
    invoice = approved("acme", PLANS)
    configured = override_settings(STRIPE_API_KEY=KEY, STRIPE_BASE_URL=double.url)
    with configured, time_machine.travel(NOW, tick=False):
        told = run_invoices("--push")
        there = held(double)
        line = f"Stripe: #{invoice.pk} acme finalized {there['id']} {there['number']}"
        assert line in told.splitlines()
        (again,) = json.loads(run_invoices("--push", "--json"))["pushed"]
    assert (again["status"], again["stripe_invoice"]) == ("already", there["id"])
    is_whole(invoice, double)


def test_the_command_fails_where_an_invoice_is_not_at_stripe(double: StripeDouble) -> None:
    approved("acme", SMALL)
    double.api.fault(r".*", "unavailable", times=-1)
    configured = override_settings(STRIPE_API_KEY=KEY, STRIPE_BASE_URL=double.url)
    with (
        configured,
        time_machine.travel(NOW, tick=False),
        pytest.raises(CommandError, match="not every invoice is at Stripe: acme"),
    ):
        run_invoices("--push")


@override_settings(STRIPE_API_KEY="")
def test_without_a_key_the_command_refuses_before_anything_is_drafted() -> None:
    with pytest.raises(CommandError, match="STRIPE_API_KEY is not set"):
        run_invoices("--push")
    assert not Invoice.objects.exists()
