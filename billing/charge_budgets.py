"""What a tenant is charged, as its budget of charges is held against it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from billing.customers import charges_so_far, customer_on
from billing.domain.charges import NegativeUsage
from metering.domain.budgets import Budget, Spending
from metering.domain.money import from_minor
from metering.domain.periods import Month


def charges_of_the_cycle(budget: Budget, at: datetime) -> Spending:
    """What the tenant's cycle at `at` would be invoiced as it is known now, fees included.

    The budget is that of the month of `at`; the cycle is the customer's own, which may begin on
    any day. Without a plan nothing is known.
    """
    customer = customer_on(budget.key, None, now=at)
    if customer.cycle is None or customer.terms is None:
        return Spending(Month.of(at).period, Decimal(0), unknown="the tenant has no plan now")
    period, currency = customer.cycle.period, customer.terms.currency
    try:
        made = charges_so_far(budget.key, customer.cycle, customer.terms)
    except NegativeUsage as refused:
        return Spending(period, Decimal(0), unknown=str(refused))
    charged = from_minor(made.settled.total_minor, currency)
    if currency == budget.currency:
        return Spending(period, charged)
    return Spending(period, Decimal(0), elsewhere={currency: charged} if charged else {})
