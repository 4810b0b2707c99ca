"""A budget of charges is held against what the tenant's running cycle would be invoiced."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from metering import budgets
from metering.domain.budgets import Budget, Standing
from metering.ingestion import ingest
from tests.billing.billed import NOW, call, on_pro, plans

pytestmark = pytest.mark.django_db

IN_OCTOBER = datetime(2026, 10, 20, tzinfo=UTC)


def standing(currency: str = "USD", at: datetime = IN_OCTOBER) -> Standing:
    terms: dict[str, Any] = {
        "scope": "tenant",
        "key": "acme",
        "book": "charge",
        "amount": Decimal(50),
        "currency": currency,
        "warn_share": Decimal("0.8"),
    }
    return budgets.standing(Budget(**terms), at)


def test_fees_and_overage_so_far_are_spent() -> None:
    """49.00 for the month; 1,200 tokens of which 1,000 are included, at 2.50 a thousand; three
    calls of which two are included, at a cent."""
    plans(on_pro("acme"))
    ingest([call(input_tokens=300, output_tokens=100) for _ in range(3)], now=NOW)
    found = standing()
    assert (found.spending.known, found.spending.is_whole) == (Decimal("49.51"), True)
    assert (found.is_warning, found.is_exceeded) == (True, False)
    ingest([call()], now=NOW)
    assert standing().is_exceeded


def test_the_cycle_is_the_customers_own() -> None:
    plans(on_pro("acme", "anchor_day = 15\nzone = 'Asia/Tokyo'"))
    spending = standing().spending
    assert spending.period.start == datetime(2026, 10, 14, 15, tzinfo=UTC)
    assert spending.period.end == datetime(2026, 11, 14, 15, tzinfo=UTC)


def test_without_a_plan_nothing_is_known() -> None:
    found = standing().spending
    assert (found.known, found.unknown) == (Decimal(0), "the tenant has no plan now")
    assert not found.is_whole


def test_charges_in_another_currency_are_told_and_not_added() -> None:
    plans(on_pro("acme"))
    found = standing("EUR").spending
    assert (found.known, found.elsewhere) == (Decimal(0), {"USD": Decimal("49.00")})
