"""Re-ratings as rows: begun, told of each difference, ended; and read again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from django.db.models import Sum

from metering.domain.periods import Month
from metering.models import Rerating, ReratingDifference, ReratingEnd
from metering.pricing import catalogue
from metering.pricing.revaluation import Differences, Total, totals
from metering.readings import usage_digest


def begin(month: Month, *, model: str | None, author: str, reason: str, now: datetime) -> Rerating:
    """Say that the month is being rated anew, by prices as they stand and from usage as it is."""
    return Rerating.objects.create(
        month=str(month),
        model=model or "",
        author=author,
        reason=" ".join(reason.split()),
        started_at=now,
        prices_digest=catalogue.digest(),
        usage_digest=usage_digest(month.period),
    )


def note(act: int, differences: Differences) -> None:
    """Note what is stored in the caller's transaction."""
    ReratingDifference.objects.bulk_create(
        [
            ReratingDifference(
                rerating_id=act,
                provider=moved.provider,
                model=moved.model,
                pricing_before=moved.pricing_before,
                pricing_after=moved.pricing_after,
                currency_before=moved.currency_before,
                currency_after=moved.currency,
                events=sums.events,
                cost_before=sums.cost_before,
                cost_after=sums.cost_after,
            )
            for moved, sums in differences.items()
        ]
    )


def end(act: int, month: Month, *, looked_at: int, now: datetime) -> None:
    """Say that all of it was looked at."""
    ReratingEnd.objects.create(
        rerating_id=act,
        ended_at=now,
        looked_at=looked_at,
        usage_digest=usage_digest(month.period),
    )


class Difference(NamedTuple):
    """What of a model's events differed alike, over the whole act."""

    provider: str
    model: str
    pricing_before: str
    pricing_after: str
    currency_before: str
    currency_after: str
    events: int
    cost_before: Decimal
    cost_after: Decimal


_KEY: Final = (
    *("provider", "model", "pricing_before", "pricing_after"),
    *("currency_before", "currency_after"),
)


def differences_of(act: int) -> list[Difference]:
    """The act's differences, those of most events first."""
    rows = (
        ReratingDifference.objects.filter(rerating_id=act)
        .values_list(*_KEY)
        .annotate(Sum("events"), Sum("cost_before"), Sum("cost_after"))
        .order_by(*_KEY)
    )
    return sorted((Difference(*row) for row in rows), key=lambda each: -each.events)


def totals_of(differences: Iterable[Difference]) -> list[Total]:
    return totals(
        (each.currency_before, each.cost_before, each.currency_after, each.cost_after)
        for each in differences
    )
