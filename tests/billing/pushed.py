"""Approved invoices and a Stripe to push them to, for the tests of pushing."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from stripe._http_client import HTTPClient

from billing.approvals import approve
from billing.invoice_run import run
from billing.models import Invoice
from billing.push import PushOutcome, push
from billing.stripe_gateway import StripeGateway
from metering.domain.periods import Month
from tests.billing.billed import NOW, PLANS, call, calls, plans, staff
from tests.doubles.stripe import StripeDouble
from tests.doubles.stripe.server import KEY

OCTOBER = Month(2026, 10)
LATER = NOW + timedelta(minutes=11)
"""After the lease of a push that was killed at `NOW`."""


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[StripeDouble]:
    """A Stripe whose clock stands at `NOW`, and an SDK that does not sleep between its tries."""
    monkeypatch.setattr(HTTPClient, "INITIAL_DELAY", 0)
    monkeypatch.setattr(HTTPClient, "MAX_DELAY", 0)
    with StripeDouble(clock=lambda: int(NOW.timestamp())) as running:
        yield running


SMALL = """
[[plans]]
code = "pro"
name = "Pro"
valid_from = 2026-01-01
currency = "USD"
fee = "49.00"

[[plans.charges]]
code = "requests"
name = "Calls"
meter = "requests"
price = { kind = "per_unit", unit_price = "0.25" }
"""
"""A plan whose invoices have two lines."""


def approved(tenant: str = "acme", text: str = PLANS) -> Invoice:
    """An approved invoice of 49.50: a fee, and two calls of 600 tokens (on `PLANS`, partly
    included: five lines)."""
    if not get_user_model().objects.exists():
        staff()
    code = tomllib.loads(text)["plans"][0]["code"]
    plans(f'tenant = "{tenant}"\nplan = "{code}"\nvalid_from = 2026-01-01', text=text)
    calls(call(tenant=tenant), call(tenant=tenant))
    outcome = run(OCTOBER, author="schedule", now=NOW, tenants=[tenant]).outcomes[0]
    assert outcome.invoice_id is not None
    return approve(outcome.invoice_id, by="controller", now=NOW)


def gateway(double: StripeDouble, **terms: Any) -> StripeGateway:
    return StripeGateway(KEY, double.url, **terms)


def emptied(double: StripeDouble) -> None:
    """A Stripe of one invoice again, whose search has not yet seen anything."""
    for held in (double.books.customers, double.books.invoices, double.books.items):
        held.clear()
    double.books.search_lag = 1


def pushed(
    invoice: Invoice, double: StripeDouble, now: datetime = NOW, **terms: Any
) -> PushOutcome:
    return push(invoice.pk, now=now, gateway=gateway(double, **terms))


def held(double: StripeDouble) -> dict[str, Any]:
    """The one invoice that Stripe holds."""
    (only,) = double.books.list_invoices({})
    return only


def is_whole(invoice: Invoice, double: StripeDouble) -> None:
    """Stripe holds this invoice once, every line once, and both sides are finalized."""
    there = held(double)
    invoice.refresh_from_db()
    assert there["status"] in ("open", "paid")
    assert (invoice.state, invoice.number) == ("finalized", there["number"])
    assert there["total"] == invoice.total_minor
    assert len(double.books.list_customers({})) == 1
    ours = {
        str(line.position): (line.amount_minor, line.description) for line in invoice.lines.all()
    }
    lines = double.books.lines(there["id"])
    theirs = {x["metadata"]["apportion_line"]: (x["amount"], x["description"]) for x in lines}
    assert len(lines) == len(ours)
    assert theirs == ours
