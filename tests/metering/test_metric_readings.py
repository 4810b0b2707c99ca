"""Metrics beside events: kept, compared, and never counted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from metering.domain.periods import Month
from metering.ingestion import ingest
from metering.metric_readings import Compared, compare
from metering.models import MetricReading
from tests.metering.api.keys import post, rows, secret
from tests.metering.events import NOON, NOW, call
from tests.metering.formats.otlp.test_metrics import USED, metrics

pytestmark = pytest.mark.usefixtures("db")

OCTOBER = Month.parse("2026-10").period


def at(minute: int) -> str:
    return str(int((NOON + timedelta(minutes=minute)).timestamp()) * 1_000_000_000)


def send(key: str, request: dict[str, Any]) -> Any:
    return post(key, request, path="/v1/metrics")


def test_metrics_are_kept_and_not_counted() -> None:
    key = secret()
    for _ in range(2):
        response = send(key, metrics(startTimeUnixNano=at(0), timeUnixNano=at(1)))
        assert (response.status_code, response.content) == (200, b"{}")
    assert MetricReading.objects.count() == 1
    assert rows("SELECT count(*) FROM usage_event") == [(0,)]


def test_windows_add_up_and_running_totals_grow() -> None:
    ingest([call(source="test", input_tokens=1000, output_tokens=200)], now=NOW)
    key = secret()
    for minute in range(3):
        window: dict[str, Any] = {"startTimeUnixNano": at(minute), "timeUnixNano": at(minute + 1)}
        send(key, metrics({**USED, "host": "a"}, sum=100, **window))
        running: dict[str, Any] = {"startTimeUnixNano": at(0), "timeUnixNano": at(minute + 1)}
        send(key, metrics({**USED, "host": "b"}, temporality=2, sum=(minute + 1) * 300, **running))
    assert compare(OCTOBER) == [
        Compared("test", "gpt-4o-mini", "input", "{token}", Decimal(1200), Decimal(1000))
    ]


def test_what_a_running_total_was_before_the_month_is_not_of_it() -> None:
    key = secret()
    start = datetime(2026, 9, 30, tzinfo=UTC)
    for day, total in ((1, 500), (2, 700)):
        ended = start + timedelta(hours=day * 12 + 11)
        times: dict[str, Any] = {
            "startTimeUnixNano": str(int(start.timestamp()) * 10**9),
            "timeUnixNano": str(int(ended.timestamp()) * 10**9),
        }
        send(key, metrics(temporality=2, sum=total, **times))
    assert [each.metrics for each in compare(OCTOBER)] == [Decimal(200)]


def test_the_command_shows_both() -> None:
    send(secret(), metrics(sum=100, startTimeUnixNano=at(0), timeUnixNano=at(1)))
    out = StringIO()
    call_command("compare_metrics", "2026-10", "--json", stdout=out)
    [found] = json.loads(out.getvalue())["compared"]
    assert (found["metrics"], found["events"], found["difference"]) == ("100", "0", "100")
    out = StringIO()
    call_command("compare_metrics", "2026-10", stdout=out)
    assert "metrics 100, events 0" in out.getvalue()


def test_a_key_of_one_tenant_tells_of_that_tenant() -> None:
    send(secret(tenant="globex"), metrics({**USED, "tenant": "acme"}))
    assert MetricReading.objects.get().tenant == "globex"


def test_a_point_that_cannot_be_is_a_partial_success() -> None:
    answer = send(secret(), metrics(sum=-1)).json()["partialSuccess"]
    assert answer["rejectedDataPoints"] == "1"
    assert MetricReading.objects.count() == 0


def test_refusals_are_those_of_traces() -> None:
    assert post(secret(), b"{", path="/v1/metrics").status_code == 400
    assert post(None, b"{}", path="/v1/metrics").status_code == 401
