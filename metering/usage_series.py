"""A tenant's usage over time, as its customer reads it: in totals, and by days of its own clock.

Read from the usage rollup, folded and tail in one snapshot; the tenant's share of shared calls is
in the tokens, and a shared call counts as a request of its own owner only. What a call cost is not
read at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from django.db import connection

from metering.charged_usage import LEAVES
from metering.domain.periods import Period
from metering.rollups import USAGE, on_buckets

By = Literal["total", "model", "endpoint"]

_KEY: Final[Mapping[By, str]] = {"total": "''", "model": "model", "endpoint": "endpoint_tag"}
_CLASSES: Final = tuple(name for name, _ in LEAVES)
_SUMS: Final = ", ".join(("sum(events)", *(sql for _, sql in LEAVES)))


class Used(NamedTuple):
    """Requests, and tokens in the disjoint classes of `cells.TOKEN_CLASSES` (those of zero left
    out)."""

    requests: int
    classes: Mapping[str, int]

    @property
    def tokens(self) -> int:
        return sum(self.classes.values())


class StandingUsage(NamedTuple):
    """What was used in calls that a plan treats alike."""

    data_mode: str
    environment: str
    status: str
    served_from: str
    used: Used


class DayUsage(NamedTuple):
    """What was used on one day: `day` counts the edges asked for, from 0. `key` is the requested
    model or the endpoint tag (`""`: none), `""` where the whole day was asked for."""

    day: int
    key: str
    used: Used


@dataclass(frozen=True, slots=True)
class Counting:
    """Which calls are wanted, by what plans go by. Each set names at least one."""

    data_modes: Collection[str]
    environments: Collection[str]
    statuses: Collection[str]
    served_from: Collection[str]


def usage_by_standing(tenant: str, period: Period) -> list[StandingUsage]:
    """All of a tenant's usage in the period, by data mode, environment, status and what served it;
    sorted. Edges lie on 15-minute buckets (`NotOnABucket`)."""
    start, end = on_buckets(period)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT data_mode, environment, status, served_from, {_SUMS}"
            f" FROM {USAGE.relation()} cells"
            " WHERE tenant = %s AND bucket_at >= %s AND bucket_at < %s"
            " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
            [tenant, start, end],
        )
        rows = [
            StandingUsage(mode, environment, status, served, _used(sums))
            for mode, environment, status, served, *sums in cursor
        ]
    return [row for row in rows if row.used != _NOTHING]


def usage_by_day(
    tenant: str,
    edges: Sequence[datetime],
    by: By,
    limit: int,
    *,
    only: Counting | None = None,
    after: tuple[int, str] | None = None,
) -> list[DayUsage]:
    """A tenant's usage by day and key, sorted, at most `limit` rows from `after` (day and key of
    the last row that is known) on.

    `edges` are the instants at which days begin, and the one at which the last ends, on 15-minute
    buckets (`NotOnABucket`): whoever asks knows the clock. Days without usage have no row.
    """
    first = 0 if after is None else after[0]
    start, end = on_buckets(Period(edges[first], edges[-1]))
    conditions = ["tenant = %(tenant)s", "bucket_at >= %(start)s", "bucket_at < %(end)s"]
    wanted: dict[str, Any] = {}
    if only is not None:
        for column, values in (
            ("data_mode", only.data_modes),
            ("environment", only.environments),
            ("status", only.statuses),
            ("served_from", only.served_from),
        ):
            conditions.append(f"{column} = ANY(%({column})s)")
            wanted[column] = sorted(values)
    # `width_bucket` counts from 1 and is given the very instants, so that no second clock (the
    # database's own list of zones) is asked.
    days = (
        "SELECT width_bucket(bucket_at, %(edges)s::timestamptz[]) - 1 AS day,"
        f' {_KEY[by]} COLLATE "C" AS key, {_SUMS} FROM {USAGE.relation()} cells'
        f" WHERE {' AND '.join(conditions)} GROUP BY 1, 2"
        " HAVING sum(events) <> 0 OR sum(input_tokens + output_tokens) <> 0"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT * FROM ({days}) days WHERE (day, key) > (%(day)s, %(key)s)"
            " ORDER BY day, key LIMIT %(limit)s",
            {
                **wanted,
                "tenant": tenant,
                "start": start,
                "end": end,
                "edges": list(edges),
                "day": -1 if after is None else after[0],
                "key": "" if after is None else after[1],
                "limit": limit,
            },
        )
        return [DayUsage(row[0], row[1], _used(row[2:])) for row in cursor]


def _used(sums: Sequence[int]) -> Used:
    requests, *tokens = (int(x) for x in sums)
    return Used(requests, {name: n for name, n in zip(_CLASSES, tokens, strict=True) if n})


_NOTHING: Final = Used(0, {})
