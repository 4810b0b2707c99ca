"""How fast the start page is on a month of many calls, against a page with nothing on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from metering.file_ingestion import ingest_file
from metering.usage_files import open_usage
from tests.benchmarks.databases import own_database
from tests.benchmarks.ingest import usage_file
from tests.benchmarks.measured import Benchmark, Measured, stopwatch

EVENTS: Final = 200_000
NOW: Final = datetime(2026, 11, 2, tzinfo=UTC)
LOADS: Final = 40


def start() -> Iterator[Measured]:
    """The 95th percentile of the start page's loads, with rollups as an import leaves them."""
    settings.ALLOWED_HOSTS = ["testserver"]
    with own_database(), usage_file(EVENTS) as path:
        ingest_file(open_usage(path, source="bench", received_at=NOW), now=NOW)
        client = Client()
        client.force_login(User.objects.create_superuser("bench"))
        page = f"{reverse('admin:index')}?month=2026-10"
        empty = reverse("admin:allocation_rule_changelist")
        for url in (page, empty):
            _seconds(client, url)
        loads = [(_seconds(client, page), _seconds(client, empty)) for _ in range(LOADS)]
    ours, nothing = (_p95([pair[i] for pair in loads]) for i in (0, 1))
    yield Measured("page.start", ours, "ms, p95", EVENTS, "a list with nothing in it", nothing)


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
