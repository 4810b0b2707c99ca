"""Re-ratings as rows: begun, told of each difference, ended; and read again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Final, NamedTuple

from django.db import connection, connections, transaction
from django.db.models import Sum

from metering.domain.periods import Month, Period
from metering.models import Rerating, ReratingDifference, ReratingEnd
from metering.past_usage import one_snapshot
from metering.pricing import catalogue
from metering.pricing.revaluation import Differences, Moved, Sums, Total, totals
from metering.readings import usage_digest, usage_text


def begin(month: Month, *, model: str | None, author: str, reason: str, now: datetime) -> Rerating:
    """Say that the month is being rated anew, by prices as they stand and from usage as it is."""
    return Rerating.objects.create(
        month=str(month),
        model=model or "",
        author=author,
        reason=" ".join(reason.split()),
        started_at=now,
        prices_digest=catalogue.digest(),
        usage_digest=_usage_digest(month.period),
    )


def note(act: int, differences: Differences) -> None:
    """Note what is stored in the caller's transaction, whoever owns it."""
    noted: dict[tuple[str, ...], Sums] = {}
    for moved, sums in differences.items():
        noted.setdefault(_noted_as(moved), Sums()).add(sums)
    ReratingDifference.objects.bulk_create(
        [
            ReratingDifference(
                rerating_id=act,
                **dict(zip(_KEY, key, strict=True)),
                events=sums.events,
                cost_before=sums.cost_before,
                cost_after=sums.cost_after,
            )
            for key, sums in noted.items()
        ]
    )


def end(act: int, month: Month, *, looked_at: int, now: datetime) -> None:
    """Say that all of it was looked at."""
    ReratingEnd.objects.create(
        rerating_id=act,
        ended_at=now,
        looked_at=looked_at,
        usage_digest=_usage_digest(month.period),
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


def _noted_as(moved: Moved) -> tuple[str, ...]:
    """What `_KEY` says of it."""
    return (
        *(moved.provider, moved.model, moved.pricing_before, moved.pricing_after),
        *(moved.currency_before, moved.currency),
    )


def _usage_digest(period: Period) -> str:
    """The month's `usage_digest`, for which two connections read half of its days each, as of one
    instant: nothing else is done meanwhile. Within a transaction this one reads all."""
    if connection.in_atomic_block or (os.cpu_count() or 1) == 1:
        return usage_digest(period)
    middle = period.start + timedelta(days=15)
    with one_snapshot(), ThreadPoolExecutor(1, "usage") as pool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_export_snapshot()")
            snapshot = cursor.fetchone()[0]
        later = pool.submit(_text_as_of, snapshot, Period(middle, period.end))
        halves = [usage_text(Period(period.start, middle)), later.result()]
    return sha256(b"\n".join(filter(None, halves))).hexdigest()


def _text_as_of(snapshot: str, period: Period) -> bytes:
    """By a connection of the thread's own."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("SET TRANSACTION SNAPSHOT %s", [snapshot])
            return usage_text(period)
    finally:
        connections.close_all()


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
