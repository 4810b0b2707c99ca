"""Where a month stands with its bills, reconciliation, run and close: from what is stored alone.

Nothing is recomputed here, so that a page can ask at every load; whether anything has changed
since is what `close_readiness` finds out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, Sum

from allocation.closed_months import close_of
from allocation.domain.readiness import unexplained_tolerance
from allocation.models import (
    AllocationRun,
    PeriodClose,
    ProviderBill,
    Reconciliation,
    ReconciliationResult,
    Statement,
)
from allocation.run_book import NothingAllocated, current_run
from metering.domain.cells import UNALLOCATED
from metering.domain.money import EXACT
from metering.domain.periods import Month


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderStanding:
    """One provider's bills of the month. `payable` is `None` where none is in; `is_expected` says
    that its calls had a cost. `unexplained` is that of the latest reconciliation."""

    provider: str
    currency: str
    metered: Decimal
    payable: Decimal | None
    lines: int
    is_expected: bool
    reconciled: bool
    unexplained: Decimal | None

    @property
    def is_missing(self) -> bool:
        return self.payable is None and self.is_expected

    @property
    def is_beyond_tolerance(self) -> bool:
        """Whether the unexplained would hold up a close."""
        return self.unexplained is not None and abs(self.unexplained) > unexplained_tolerance(
            self.lines, self.currency
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStanding:
    """The month's run that counts; amounts in minor units by currency."""

    run: AllocationRun
    approved_by: str
    allocated: Mapping[str, int]
    unallocated: Mapping[str, int]
    statements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationStanding:
    """`reconciliation`, `run` and `close` are `None` while there is none (or it was reopened)."""

    month: Month
    providers: tuple[ProviderStanding, ...]
    reconciliation: Reconciliation | None
    run: RunStanding | None
    close: PeriodClose | None

    @property
    def missing(self) -> tuple[str, ...]:
        """The providers whose bill is expected and not in."""
        return tuple(one.provider for one in self.providers if one.is_missing)


def standing(month: Month, metered: Mapping[tuple[str, str], Decimal]) -> AllocationStanding:
    """The month's standing; `metered` is its cost by provider and currency."""
    latest = Reconciliation.objects.filter(month=str(month)).order_by("-number").first()
    return AllocationStanding(
        month=month,
        providers=_providers(month, metered, latest),
        reconciliation=latest,
        run=_run(month),
        close=close_of(month),
    )


def _providers(
    month: Month, metered: Mapping[tuple[str, str], Decimal], latest: Reconciliation | None
) -> tuple[ProviderStanding, ...]:
    billed: dict[tuple[str, str], tuple[Decimal, int]] = {}
    counting = ProviderBill.objects.filter(month=str(month), replacement=None)
    for provider, currency, payable, lines in counting.values_list(
        "provider", "currency", "payable", "line_count"
    ):
        before, count = billed.get((provider, currency), (Decimal(0), 0))
        billed[provider, currency] = (EXACT.add(before, payable), count + lines)
    results = {(row.provider, row.currency): row for row in _results(latest)}
    with_bill = {provider for provider, _ in billed}
    found = []
    for provider, currency in sorted({*metered, *billed}):
        cost = metered.get((provider, currency), Decimal(0))
        bill = billed.get((provider, currency))
        result = results.get((provider, currency))
        found.append(
            ProviderStanding(
                provider=provider,
                currency=currency,
                metered=cost,
                payable=None if bill is None else bill[0],
                lines=0 if bill is None else bill[1],
                is_expected=bool(cost) and provider not in with_bill,
                reconciled=result is not None,
                unexplained=_unexplained(result),
            )
        )
    return tuple(found)


def _results(latest: Reconciliation | None) -> Iterable[ReconciliationResult]:
    return () if latest is None else latest.results.prefetch_related("steps")


def _unexplained(result: ReconciliationResult | None) -> Decimal | None:
    if result is None:
        return None
    return next((s.amount for s in result.steps.all() if s.cause == "unexplained"), None)


def _run(month: Month) -> RunStanding | None:
    try:
        run = current_run(month)
    except NothingAllocated:
        return None
    borne: dict[bool, dict[str, int]] = {True: {}, False: {}}
    for centre, currency, minor in (
        run.settlements.values("cost_centre", "currency")
        .annotate(minor=Sum("amount_minor"))
        .values_list("cost_centre", "currency", "minor")
    ):
        totals = borne[centre == UNALLOCATED]
        totals[currency] = totals.get(currency, 0) + minor
    approval = getattr(run, "approval", None)
    return RunStanding(
        run=run,
        approved_by=approval.approved_by if approval else "",
        allocated=borne[False],
        unallocated=borne[True],
        statements=Statement.objects.filter(run=run).aggregate(n=Count("pk"))["n"],
    )
