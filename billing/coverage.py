"""Usage that nobody is billed for: a tenant's calls on days that no subscription covers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date
from itertools import groupby

from billing.domain.cycles import Cycle, start_of_day
from billing.domain.plans import REQUESTS
from billing.models import Subscription
from metering import readings
from metering.domain.cells import TOKEN_CLASSES
from metering.domain.periods import Month, Period


@dataclass(frozen=True, slots=True)
class NotBilled:
    """A tenant's usage on the days from `first_day` until before `end_day`, of `zone`, that no
    subscription covers. Test traffic counts too: which of it a plan would charge is not known."""

    tenant: str
    first_day: date
    end_day: date
    zone: str
    tokens: int
    requests: int


def not_billed(month: Month, tenant: str | None = None) -> tuple[NotBilled, ...]:
    """What tenants used in the month without a subscription, by tenant and day; calls for no
    tenant are the company's own. Tenants without any subscription are read in UTC."""
    using = _tenants_using(month) if tenant is None else {tenant}
    subscriptions = {
        key: list(rows)
        for key, rows in groupby(
            Subscription.objects.filter(tenant__in=using).order_by("tenant", "valid_from"),
            key=lambda row: row.tenant,
        )
    }
    return tuple(
        found
        for key in sorted(using)
        for found in _gaps_with_usage(key, month, subscriptions.get(key, []))
    )


def _tenants_using(month: Month) -> set[str]:
    """Tenants with usage in the month by any clock on earth: a day more on either side."""
    start = month.previous().last_day()
    end = month.next().first_day().replace(day=2)
    period = Period(start_of_day(start, UTC), start_of_day(end, UTC))
    owners = [
        owner
        for driver in ("requests", "tokens")
        for owner, _ in readings.driver_reading(period, driver)
    ]
    return {owner.tenant for owner in owners if owner.tenant}


def _gaps_with_usage(
    tenant: str, month: Month, subscriptions: list[Subscription]
) -> list[NotBilled]:
    found: list[NotBilled] = []
    zone = subscriptions[-1].zone if subscriptions else "UTC"
    for first, end in _gaps(month, subscriptions):
        usage = readings.charged_usage(tenant, Cycle(first, end, zone, (end - first).days).period)
        if usage:
            tokens = sum(int(x.quantity) for x in usage if x.token_class in TOKEN_CLASSES)
            requests = sum(int(x.quantity) for x in usage if x.token_class == REQUESTS)
            found.append(NotBilled(tenant, first, end, zone, tokens, requests))
    return found


def _gaps(month: Month, subscriptions: list[Subscription]) -> list[tuple[date, date]]:
    """The days of the month that no subscription covers, as half-open spans, in order."""
    gaps: list[tuple[date, date]] = []
    day, end = month.first_day(), month.next().first_day()
    for subscription in subscriptions:
        if day < subscription.valid_from:
            gaps.append((day, min(subscription.valid_from, end)))
        day = max(day, subscription.valid_to or end)
        if day >= end:
            break
    if day < end:
        gaps.append((day, end))
    return [(first, last) for first, last in gaps if first < last]
