"""What the calls behind an outcome cost: those it names, as they count now."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from metering import business_outcomes
from metering.domain.business_outcomes import BusinessOutcome as Told
from metering.ingestion import ingest
from metering.models import BusinessOutcome
from metering.outcome_costs import OutcomeCost, cost_of
from tests.admin_pages import browser, page_of, person, text
from tests.metering.events import NOON, NOW, call

pytestmark = pytest.mark.django_db

ONE = Decimal("0.0002475")


def outcome(**different: Any) -> BusinessOutcome:
    plain: dict[str, Any] = {
        "source": "helpdesk",
        "outcome_id": "ticket-7",
        "kind": "ticket_resolved",
        "quantity": Decimal(1),
        "occurred_at": NOON + timedelta(minutes=10),
        "time_reported": True,
    }
    business_outcomes.take([Told(**{**plain, **different})], now=NOW)
    return BusinessOutcome.objects.get()


def test_the_calls_of_a_trace_or_request_are_its_cost() -> None:
    ingest(
        [
            call("req-1", trace_id="t-1"),
            call("req-2", trace_id="t-1", model="nobody-prices-this"),
            call("req-3"),
            call("req-4", trace_id="t-1", tenant_id="globex"),
            call("req-5", trace_id="t-1", occurred_at=NOON - timedelta(days=3)),
            call("req-6", trace_id="another"),
        ],
        now=NOW,
    )
    found = cost_of(outcome(trace_id="t-1", external_request_id="req-3", tenant_id="acme"))
    assert found == OutcomeCost(calls=3, unpriced=1, cost={"USD": 2 * ONE})


def test_an_outcome_that_names_no_call_has_no_cost() -> None:
    ingest([call()], now=NOW)
    assert cost_of(outcome(workflow="refunds")) is None


def test_a_call_that_is_not_there_costs_nothing_known() -> None:
    assert cost_of(outcome(trace_id="t-1")) == OutcomeCost(calls=0, unpriced=0, cost={})


def test_the_page_says_what_each_cost() -> None:
    ingest([call(trace_id="t-1")], now=NOW)
    row = outcome(trace_id="t-1", quantity=Decimal(2))
    client = browser(person("v", "viewer"))
    page = text(client.get(page_of(row)))
    assert "What its calls cost" in page
    assert f"{ONE / 2:f} USD" in page
    assert "ticket_resolved" in text(
        client.get(reverse("admin:metering_businessoutcome_changelist"))
    )
