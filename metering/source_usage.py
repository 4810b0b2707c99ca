"""What one source has reported: calls and cost of a span of time."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from metering.domain.periods import Period
from metering.rollups import USAGE, on_buckets


class SourceUsage(NamedTuple):
    """Calls, and what those with a price in the currency should have cost."""

    requests: int
    cost: Decimal


def source_usage(
    source: str, period: Period, *, currency: str, tenant: str | None = None
) -> SourceUsage:
    """Real calls of a source (with `tenant`, that tenant's) in the period, which must lie on
    15-minute buckets. Test and demo data is left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(events), 0)::bigint,"
            " coalesce(sum(cost) FILTER (WHERE currency = %s), 0)"
            f" FROM {USAGE.relation()} cells WHERE source = %s AND data_mode = 'real'"
            " AND (%s::text IS NULL OR tenant = %s) AND bucket_at >= %s AND bucket_at < %s",
            [currency, source, tenant, tenant, *on_buckets(period)],
        )
        requests, cost = cursor.fetchone()
        return SourceUsage(int(requests), cost)
