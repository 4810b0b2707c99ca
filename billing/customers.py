"""A customer on a day: by which clock, on which plan, in which cycle, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Q

from billing.domain.charges import Charged, charge
from billing.domain.cycles import Cycle, cycle_on, zone_of
from billing.domain.invoicing import Settled, settle_lines
from billing.domain.plans import Plan, Scope
from billing.models import PlanVersion, Subscription
from metering.charged_usage import charged_usage
from metering.readings import tenant_facts


@dataclass(frozen=True, slots=True)
class Customer:
    """A tenant on one day of its clock. Without a subscription on that day there is neither cycle
    nor plan; without a version of the plan on the cycle's first day there are no terms."""

    tenant: str
    zone: str
    day: date
    plan: str | None = None
    cycle: Cycle | None = None
    terms: Plan | None = None

    @property
    def scope(self) -> Scope:
        """What the plan counts; without a plan, what plans count unless they say otherwise."""
        return Scope() if self.terms is None else self.terms.scope


def customer_on(tenant: str, day: date | None, *, now: datetime) -> Customer:
    """The customer on that day of its own clock; `None`: today, as it is there at `now`.

    The clock is the subscription's; where none covers the day, that of the latest one, and of a
    tenant that never had any, its own.
    """
    subscriptions = list(Subscription.objects.filter(tenant=tenant).order_by("valid_from"))
    for subscription in subscriptions:
        on = day or _today(subscription.zone, now)
        cycle = cycle_on(on, subscription.term)
        if cycle is not None:
            terms = _terms(subscription.plan_id, cycle.first_day)
            return Customer(tenant, subscription.zone, on, subscription.plan_id, cycle, terms)
    facts = tenant_facts(tenant)
    own = "UTC" if facts is None else facts.time_zone
    zone = subscriptions[-1].zone if subscriptions else own
    return Customer(tenant, zone, day or _today(zone, now))


@dataclass(frozen=True, slots=True)
class ChargesSoFar:
    """What a cycle's usage comes to by its plan as it is known now: what `run_invoices` would
    draft, not what is owed."""

    charged: Charged
    settled: Settled


def charges_so_far(tenant: str, cycle: Cycle, terms: Plan) -> ChargesSoFar:
    """Charge the cycle's usage as an invoice's draft does, without gathering its evidence.

    Raises `NegativeUsage`.
    """
    charged = charge(charged_usage(tenant, cycle.period), terms, cycle)
    return ChargesSoFar(charged, settle_lines(charged.lines, terms.currency))


def _today(zone: str, now: datetime) -> date:
    return now.astimezone(zone_of(zone)).date()


def _terms(plan: str, first_day: date) -> Plan | None:
    version = PlanVersion.objects.filter(
        Q(valid_to__isnull=True) | Q(valid_to__gt=first_day), plan=plan, valid_from__lte=first_day
    ).first()
    return None if version is None else version.terms
