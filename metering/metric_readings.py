"""Programs' own metrics beside the events that were taken in: do both tell of the same usage?

Readings are never counted. Where a program's metrics come to more than its events, events are
missing; a difference by the cache or by retries is the metrics' own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Final, NamedTuple

from django.db import connection, transaction

from metering.domain.periods import Period
from metering.formats.otlp.metrics import Reading
from metering.models import MetricReading
from metering.rollups import USAGE

COUNTED: Final = ("input", "output")
"""Kinds that events have the like of; cost is compared in one currency at a time."""


class Compared(NamedTuple):
    """What metrics and events say of one source's model in a period. `unit` is `{token}` or a
    currency; `difference` is metrics less events."""

    source: str
    model: str
    kind: str
    unit: str
    metrics: Decimal
    events: Decimal

    @property
    def difference(self) -> Decimal:
        return self.metrics - self.events


def store(readings: Sequence[Reading], *, source: str, now: datetime) -> int:
    """Keep the readings that are new; how many of them were sent."""
    rows = [
        MetricReading(
            series=sha256(source.encode() + b"\x1f" + reading.series).digest(),
            source=source,
            received_at=now,
            **{name: getattr(reading, name) for name in _FIELDS},
        )
        for reading in readings
    ]
    with transaction.atomic():
        MetricReading.objects.bulk_create(rows, batch_size=1_000, ignore_conflicts=True)
    return len(rows)


_FIELDS: Final = (
    *("provider", "model", "tenant", "kind", "unit", "cumulative", "started_at", "ended_at"),
    "total",
)

_READ: Final = """
    WITH known AS (
        SELECT source, model, kind, unit, series, started_at, cumulative, ended_at, total,
               CASE WHEN cumulative THEN lag(total, 1, 0::numeric) OVER (
                   PARTITION BY series, started_at, cumulative ORDER BY ended_at) ELSE 0 END
               AS before
        FROM metric_reading WHERE ended_at < %(end)s
    )
    SELECT source, model, kind, unit, sum(greatest(total - before, 0)) FROM known
    WHERE ended_at >= %(start)s GROUP BY source, model, kind, unit
"""


def compare(period: Period) -> list[Compared]:
    """Metrics and events of the period, by source, model and kind, for all that metrics tell of.
    A cumulative series counts by what it grew between two readings."""
    with connection.cursor() as cursor:
        cursor.execute(_READ, {"start": period.start, "end": period.end})
        told = cursor.fetchall()
        cursor.execute(
            "SELECT source, coalesce(nullif(model_executed, ''), model), currency,"
            " sum(input_tokens), sum(output_tokens), sum(cost)"
            f" FROM {USAGE.relation()} cells WHERE bucket_at >= %s AND bucket_at < %s"
            " GROUP BY 1, 2, 3",
            [period.start, period.end],
        )
        events: dict[tuple[str, str, str], Decimal] = {}
        for source, model, currency, into, out, cost in cursor.fetchall():
            for kind, amount in (("input", into), ("output", out), (f"cost {currency}", cost)):
                key = (source, model, kind)
                events[key] = events.get(key, Decimal(0)) + Decimal(amount or 0)
    found = []
    for source, model, kind, unit, total in told:
        counted = kind if kind != "cost" else f"cost {unit}"
        of_events = sum(
            amount
            for (s, m, k), amount in events.items()
            if s == source and k == counted and model in ("", m)
        )
        found.append(Compared(source, model, kind, unit, total, Decimal(of_events)))
    return sorted(found)
