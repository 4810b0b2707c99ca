"""Usage readings and plans that the tests of charging share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from billing.domain.cycles import Cycle
from billing.domain.plans import Charge, PerUnit, Plan

OCTOBER = Cycle(date(2026, 10, 1), date(2026, 11, 1), "UTC", 31)


@dataclass(frozen=True, slots=True)
class Reading:
    """A usage line as metering's readings give it; the defaults are what plans charge."""

    quantity: Decimal
    model: str = "gpt-4o-mini"
    token_class: str = "input"
    endpoint_tag: str = "chat"
    environment: str = "prod"
    data_mode: str = "real"
    status: str = "success"
    served_from: str = "provider"


def per_unit_plan(
    unit_price: str, *, included: int = 0, per: int = 1, fee: str = "0", currency: str = "USD"
) -> Plan:
    """A plan with one charge on all tokens."""
    price = PerUnit(unit_price=Decimal(unit_price), per=per)
    return Plan(
        code="plan",
        name="Plan",
        currency=currency,
        fee=Decimal(fee),
        charges=(
            Charge(code="tokens", name="Tokens", meter="tokens", included=included, price=price),
        ),
    )
