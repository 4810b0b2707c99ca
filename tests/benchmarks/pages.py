"""How fast the start page is on a month of many calls, against a page with nothing on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from metering.rollups import USAGE
from metering.tasks import fold_rollups
from tests.benchmarks.databases import own_database
from tests.benchmarks.measured import Benchmark, Measured, stopwatch

EVENTS: Final = 2_000_000
"""Ten months of 200,000 calls."""
TAIL: Final = 2_000
"""Of these so many came in since the schedule folded last, two minutes ago: twenty times what two
minutes of such a month bring on average."""
NOW: Final = datetime(2026, 11, 2, tzinfo=UTC)
LOADS: Final = 30

_ROWS: Final = f"""
    INSERT INTO usage_rollup_tail ({", ".join((*USAGE.key, *USAGE.sums))})
    SELECT timestamptz '2026-10-01 00:00Z' + n * 2976 / %(events)s * interval '15 min',
           'bench', 'provider-' || model %% 4, 'model-' || model, 'model-' || model, 'standard',
           'tenant-' || tenant, 'centre-' || tenant %% 7, 'feature-' || n %% 23, '', 'prod',
           'real', 'success', 'provider', 'user',
           CASE WHEN model = 16 THEN 'unpriced' ELSE 'priced' END, 'USD',
           1, 1000, 300, 0, 0, 200, 0, 0, 0, 0, 0,
           CASE WHEN model = 16 THEN 0 ELSE 0.0000015 * (200 + n %% 100) END, 800
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) n,
         LATERAL (SELECT n * 7919 %% 101 %% 17 AS model, n * 104729 %% 211 %% 41 AS tenant) of
"""
"""One row of the usage rollup for each call: nearly as many as the demo's traffic makes."""


def start() -> Iterator[Measured]:
    """The 95th percentile of the start page's loads, and how fast usage is folded on the way.

    The page reads no events, so there are none: the usage rollup's rows are made in its tail, as
    ingestion leaves them, folded as the schedule does it, but for those that came in since.
    """
    settings.ALLOWED_HOSTS = ["testserver"]
    with own_database():
        _append(1, EVENTS - TAIL)
        with stopwatch() as seconds:
            folded = _fold()
            rate = folded / seconds()
        _append(EVENTS - TAIL + 1, EVENTS)
        client = Client()
        client.force_login(User.objects.create_superuser("bench"))
        page = f"{reverse('admin:index')}?month=2026-10"
        empty = reverse("admin:allocation_rule_changelist")
        if f"{EVENTS:,} events" not in client.get(page).content.decode():
            raise RuntimeError("the page does not show the month that was made for it")
        _seconds(client, empty)
        loads = [(_seconds(client, page), _seconds(client, empty)) for _ in range(LOADS)]
    ours, nothing = (_p95([pair[i] for pair in loads]) for i in (0, 1))
    yield Measured("page.start", ours, "ms, p95", EVENTS, "a list with nothing in it", nothing)
    yield Measured("page.start.fold", rate, "rows/s", folded)


def _append(first: int, last: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, {"events": EVENTS + 1, "first": first, "last": last})


def _fold() -> int:
    """Until nothing is left, each time as far as the schedule goes."""
    total = 0
    while folded := fold_rollups():
        total += folded
    return total


def _seconds(client: Client, url: str) -> float:
    with stopwatch() as seconds:
        response = client.get(url)
        took = seconds()
    if response.status_code != 200:
        raise RuntimeError(f"{url} answered {response.status_code}")
    return took


def _p95(seconds: list[float]) -> float:
    """In milliseconds."""
    return sorted(seconds)[int(len(seconds) * 0.95)] * 1000


BENCHMARKS: Final[dict[str, Benchmark]] = {"page.start": start}
