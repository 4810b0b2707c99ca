"""OpenTelemetry's metrics as readings: tokens and cost, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from metering.domain.usage import Rejection
from metering.formats.otlp import metrics as wire
from metering.formats.otlp.metrics import Reading
from metering.formats.otlp.spans import UndecodableExport
from metering.formats.otlp.traces import Encoding
from tests.metering.formats.otlp.requests import NOW, STARTED, key_values

USED: dict[str, object] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.token.type": "input",
}


def metrics(
    attributes: Mapping[str, object] = USED,
    *,
    name: str = "gen_ai.client.token.usage",
    unit: str = "{token}",
    kind: str = "histogram",
    temporality: int = 1,
    resource: Mapping[str, object] | None = None,
    **point: Any,
) -> dict[str, Any]:
    """An export of one point, over the minute before eight."""
    said = {
        "startTimeUnixNano": str(STARTED - 60_000_000_000),
        "timeUnixNano": str(STARTED),
        "attributes": key_values(attributes),
        **({"count": "2", "sum": 1500} if kind == "histogram" else {}),
        **point,
    }
    series = {"aggregationTemporality": temporality, "dataPoints": [said]}
    return {
        "resourceMetrics": [
            {
                "resource": {"attributes": key_values(resource or {})},
                "scopeMetrics": [{"metrics": [{"name": name, "unit": unit, kind: series}]}],
            }
        ]
    }


def read(request: object) -> list[Reading | Rejection]:
    return list(wire.read(json.dumps(request).encode(), "json", received_at=NOW))


def one(request: object) -> Reading:
    [found] = read(request)
    assert isinstance(found, Reading), found
    return found


def test_tokens_of_a_minute() -> None:
    found = one(metrics(resource={"tenant.id": "acme"}))
    assert found._replace(series=b"") == Reading(
        series=b"",
        provider="openai",
        model="gpt-4o-mini",
        tenant="acme",
        kind="input",
        unit="{token}",
        cumulative=False,
        started_at=datetime(2026, 11, 2, 7, 59, tzinfo=UTC),
        ended_at=datetime(2026, 11, 2, 8, 0, tzinfo=UTC),
        total=Decimal(1500),
    )


def test_cost_by_tenant_in_a_currency() -> None:
    told = {"tenant": "acme", "gen_ai.request.model": "claude-x"}
    found = one(metrics(told, name="llm_cost", unit="{EUR}", kind="sum", asDouble=1.25))
    assert (found.kind, found.unit, found.total) == ("cost", "EUR", Decimal("1.25"))
    assert (found.tenant, found.provider) == ("acme", "anthropic")
    assert one(metrics(told, name="llm_cost", unit="1", kind="sum", asInt="3")).unit == "USD"


def test_both_encodings_say_the_same() -> None:
    made = ExportMetricsServiceRequest()
    resource = made.resource_metrics.add()
    metric = resource.scope_metrics.add().metrics.add()
    metric.name, metric.unit = "gen_ai.client.token.usage", "{token}"
    metric.histogram.aggregation_temporality = 2
    point = metric.histogram.data_points.add()
    point.start_time_unix_nano, point.time_unix_nano = STARTED - 60_000_000_000, STARTED
    point.count, point.sum = 2, 1500
    for name, value in USED.items():
        attribute = point.attributes.add()
        attribute.key, attribute.value.string_value = name, str(value)
    body = made.SerializeToString()
    [found] = wire.read(body, "protobuf", received_at=NOW)
    assert found == one(metrics(temporality=2))
    assert isinstance(found, Reading)
    assert found.cumulative


def test_series_are_told_apart_by_all_of_their_attributes() -> None:
    one_, same = one(metrics()), one(metrics(dict(reversed(USED.items()))))
    other = one(metrics({**USED, "server.port": 443}))
    assert one_.series == same.series != other.series


def test_other_metrics_are_passed_over(shared_data: Path) -> None:
    assert read(metrics(name="http.server.duration")) == []
    body = (shared_data / "otlp-proto-examples/metrics.json").read_bytes()
    assert list(wire.read(body, "json", received_at=NOW)) == []


@pytest.mark.parametrize(
    "point", [{"sum": -1}, {"sum": None}, {"timeUnixNano": "0"}, {"timeUnixNano": str(2**63 - 1)}]
)
def test_a_point_that_cannot_be_is_refused_alone(point: dict[str, Any]) -> None:
    [found] = read(metrics(**point))
    assert isinstance(found, Rejection)
    assert found.place == "resourceMetrics[0].scopeMetrics[0].metrics[0].dataPoints[0]"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({**USED, "gen_ai.request.model": "gpt\0"}, "control_character"),
        ({**USED, "tenant.id": "ac\u200bme"}, "invisible_character"),
        ({**USED, "gen_ai.token.type": "x" * 201}, "too_long"),
    ],
)
def test_names_that_no_event_can_have_are_refused(told: dict[str, object], reason: str) -> None:
    [found] = read(metrics(told))
    assert isinstance(found, Rejection)
    assert found.reason == reason


@pytest.mark.parametrize("body", [b"", b"[", b"\xff", b'{"resourceMetrics": 7}'])
def test_what_is_no_export_is_refused(body: bytes) -> None:
    with pytest.raises(UndecodableExport):
        wire.read(body, "json", received_at=NOW)


@given(st.binary(max_size=200))
def test_garbage_is_read_or_refused(body: bytes) -> None:
    encodings: tuple[Encoding, ...] = ("json", "protobuf")
    for encoding in encodings:
        try:
            found = list(wire.read(body, encoding, received_at=NOW))
        except UndecodableExport:
            continue
        assert all(isinstance(each, Reading | Rejection) for each in found)
