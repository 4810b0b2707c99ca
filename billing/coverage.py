"""Usage that nobody is billed for: a tenant's calls on days that no subscription covers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date
from itertools import groupby

from billing.domain.cycles import start_of_day, zone_of
from billing.domain.plans import REQUESTS
from billing.models import Subscription
from metering import driver_readings
from metering.charged_usage import UsageLine, charged_usages
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

    @property
    def period(self) -> Period:
        zone = zone_of(self.zone)
        return Period(start_of_day(self.first_day, zone), start_of_day(self.end_day, zone))


def not_billed(month: Month, tenants: Collection[str] | None = None) -> tuple[NotBilled, ...]:
    """What tenants (these, or all) used in the month without a subscription, by tenant and day;
    calls for no tenant are the company's own. Tenants without any subscription are read in UTC."""
    using = _tenants_using(month) if tenants is None else set(tenants)
    subscriptions = {
        key: list(rows)
        for key, rows in groupby(
            Subscription.objects.filter(tenant__in=using).order_by("tenant", "valid_from"),
            key=lambda row: row.tenant,
        )
    }
    gaps = [
        NotBilled(key, first, end, zone, 0, 0)
        for key in sorted(using)
        for first, end, zone in _gaps(month, subscriptions.get(key, []))
    ]
    usage = charged_usages([(gap.tenant, gap.period) for gap in gaps])
    return tuple(
        replace(gap, tokens=_sum(lines, TOKEN_CLASSES), requests=_sum(lines, (REQUESTS,)))
        for gap in gaps
        if (lines := usage[gap.tenant, gap.period])
    )


def _tenants_using(month: Month) -> set[str]:
    """Tenants with usage in the month by any clock on earth: a day more on either side."""
    start = month.previous().last_day()
    end = month.next().first_day().replace(day=2)
    period = Period(start_of_day(start, UTC), start_of_day(end, UTC))
    owners = [
        owner
        for driver in ("requests", "tokens")
        for owner, _ in driver_readings.driver_reading(period, driver)
    ]
    return {owner.tenant for owner in owners if owner.tenant}


def _sum(lines: Iterable[UsageLine], classes: Collection[str]) -> int:
    return sum(int(x.quantity) for x in lines if x.token_class in classes)


def _gaps(month: Month, subscriptions: list[Subscription]) -> list[tuple[date, date, str]]:
    """The days of the month that no subscription covers, as half-open spans, in order, by the
    clock of the tenant's latest subscription."""
    zone = subscriptions[-1].zone if subscriptions else "UTC"
    gaps: list[tuple[date, date, str]] = []
    day, end = month.first_day(), month.next().first_day()
    for subscription in subscriptions:
        if day < subscription.valid_from:
            gaps.append((day, min(subscription.valid_from, end), zone))
        day = max(day, subscription.valid_to or end)
        if day >= end:
            break
    if day < end:
        gaps.append((day, end, zone))
    return gaps
