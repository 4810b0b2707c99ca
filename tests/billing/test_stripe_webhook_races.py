"""The same webhook delivered several times at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from billing.models import StripeEvent, StripeEventOutcome
from tests.billing.pushed import double
from tests.billing.test_stripe_webhook import AT, SECRET, configured, life, sent
from tests.doubles.stripe import StripeDouble
from tests.doubles.stripe.webhooks import body_of, signature

__all__ = ["configured", "double"]
pytestmark = pytest.mark.usefixtures("fresh_db")


def test_deliveries_at_once_are_applied_once(double: StripeDouble) -> None:
    invoice, events = life(double, "pay")
    body = body_of(events[-1])
    header = signature(body, SECRET, AT)
    gate = threading.Barrier(4)

    def deliver(_: int) -> int:
        try:
            gate.wait(timeout=30)
            return int(sent(body, header).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(deliver, range(4))) == [200] * 4
    assert StripeEvent.objects.count() == StripeEventOutcome.objects.count() == 1
    assert invoice.standings.count() == 2
