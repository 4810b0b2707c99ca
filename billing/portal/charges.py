"""What a tenant's running cycle comes to so far."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.invoice_values import ChargeLineSerializer, settled_line_value
from billing.customers import ChargesSoFar, Customer, charges_so_far, customer_on
from billing.domain.allowances import allowance_of
from billing.domain.charges import NegativeUsage
from billing.domain.cycles import Cycle
from billing.domain.plans import Plan
from billing.portal.access import CannotCharge, PortalView, now, tenant_of
from metering.api.reading import answer, bounded_day, described
from metering.api.values import Day, Exact, Instant, Text, Truth, Whole, money
from metering.domain.money import EXACT


class CycleParameters(serializers.Serializer[Any]):
    """Which cycle."""

    on = bounded_day("a day of the cycle, by the tenant's clock; default: today")


class AllowanceSerializer(serializers.Serializer[Any]):
    """What the fee includes of one charge in this cycle, and how much of it is used."""

    charge = Text("the charge's code", "tokens")
    name = Text("the charge, as invoices name it", "Model tokens")
    unit = Text("what is counted: tokens, requests or a unit", "tokens")
    included = Exact("what this cycle includes", "1000000")
    used = Exact("what was used in it so far", "1250000")
    remaining = Exact("what is left of what is included", "0")
    overage = Exact("what was used beyond", "250000")
    unit_price = Exact("price of `per` units of overage, in `currency`", "2.5")
    per = Whole("how many units the price is for", 1_000_000)
    amount = Exact("the overage's exact amount, in `currency`", "0.625")


class UnchargedSerializer(serializers.Serializer[Any]):
    """Usage that the plan does not charge."""

    reason = Text(
        "what leaves it out: data_mode, environment, status, served_from, or no_charge", "status"
    )
    token_class = Text("the class of token, or the unit", "input")
    quantity = Exact("how much of it", "12000")


class ChargesSerializer(serializers.Serializer[Any]):
    """What a cycle's usage comes to as it is known now. The same computation drafts the invoice
    when the cycle is over; until then it is a preview, and nothing is owed."""

    tenant = Text("whose charges", "acme")
    plan = Text("the plan's code", "pro")
    name = Text("the plan's name", "Pro")
    zone = Text("the clock by which the cycle's days are meant", "Asia/Kolkata")
    first_day = Day("the cycle's first day", "2026-10-01")
    end_day = Day("the first day after it", "2026-11-01")
    cycle_start = Instant("the instant at which it begins", "2026-09-30T18:30:00Z")
    cycle_end = Instant("the instant at which it ends", "2026-10-31T18:30:00Z")
    as_of = Instant("when this was computed", "2026-10-17T09:12:44Z")
    running = Truth("whether the cycle goes on", True)  # noqa: FBT003 - an example
    currency = Text("ISO 4217", "USD")
    total = Text("the lines' sum so far, with the currency's decimals", "50.13")
    total_minor = Whole("the same in minor units", 5013)
    lines = ChargeLineSerializer(many=True, read_only=True, help_text="in the plan's order")
    allowances = AllowanceSerializer(many=True, read_only=True, help_text="in the plan's order")
    uncharged = UnchargedSerializer(many=True, read_only=True, help_text="by reason and class")


class ChargesView(PortalView):
    parameters = CycleParameters

    @described(
        "portal_charges",
        "Charges so far",
        "What the running cycle (or that of another day) comes to by the plan: lines, allowances"
        " used, overage. 404 where no subscription covers the day.",
        ChargesSerializer,
        parameters=CycleParameters,
    )
    def get(self, request: Request) -> Response:
        at = now()
        customer = customer_on(tenant_of(request), self.asked(request).get("on"), now=at)
        if customer.cycle is None:
            raise NotFound(f"no subscription covers {customer.day}, so nothing is charged for it")
        if customer.terms is None:
            raise NotFound(
                f"plan {customer.plan} has no terms for the cycle of {customer.cycle.first_day}"
            )
        try:
            made = charges_so_far(customer.tenant, customer.cycle, customer.terms)
        except NegativeUsage as error:
            raise CannotCharge(
                "the usage of this cycle is being corrected and cannot be charged now"
            ) from error
        return answer(ChargesSerializer, _value(customer, customer.cycle, customer.terms, made, at))


def _value(
    customer: Customer, cycle: Cycle, terms: Plan, made: ChargesSoFar, at: datetime
) -> dict[str, Any]:
    settled, period = made.settled, cycle.period
    return {
        "tenant": customer.tenant,
        "plan": terms.code,
        "name": terms.name,
        "zone": cycle.zone,
        "first_day": cycle.first_day,
        "end_day": cycle.end_day,
        "cycle_start": period.start,
        "cycle_end": period.end,
        "as_of": at,
        "running": at in period,
        "currency": settled.currency,
        "total": money(settled.total_minor, settled.currency),
        "total_minor": settled.total_minor,
        "lines": [
            settled_line_value(position, line, settled.currency)
            for position, line in enumerate(settled.lines, start=1)
        ],
        "allowances": _allowances(cycle, terms, made),
        "uncharged": _uncharged(made),
    }


def _allowances(cycle: Cycle, terms: Plan, made: ChargesSoFar) -> list[dict[str, Any]]:
    overage = {x.charge_code: x for x in made.charged.lines if x.kind == "overage"}
    rows = []
    for metered in made.charged.metered:
        charge, over = metered.charge, overage[metered.charge.code]
        included = allowance_of(charge.included, cycle, prorate=terms.prorate_allowance)
        rows.append(
            {
                "charge": charge.code,
                "name": charge.name,
                "unit": charge.unit,
                "included": Decimal(included),
                "used": metered.quantity,
                "remaining": max(EXACT.subtract(Decimal(included), metered.quantity), Decimal(0)),
                "overage": over.quantity,
                "unit_price": over.unit_price,
                "per": over.per,
                "amount": over.amount,
            }
        )
    return rows


def _uncharged(made: ChargesSoFar) -> list[dict[str, Any]]:
    """By reason and class: which models they were stands in the series."""
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for one in made.charged.uncharged:
        key = (one.reason, one.token_class)
        sums[key] = EXACT.add(sums[key], one.quantity)
    return [
        {"reason": reason, "token_class": token_class, "quantity": quantity}
        for (reason, token_class), quantity in sorted(sums.items())
    ]
