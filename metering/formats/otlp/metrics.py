"""OpenTelemetry's metrics → readings of tokens and cost, for comparison with events.

Metrics have no request and no split by cache, and what one reports is gone from no other, so they
are never counted. Read are `gen_ai.client.token.usage` (a histogram, by `gen_ai.token.type`) and
`llm_cost` and its like (a sum or histogram in a currency, by tenant). All others are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from metering.domain.usage import Rejection
from metering.formats.attribute_map import DEFAULT, AttributeMap, plain_text
from metering.formats.genai_names import vocabulary
from metering.formats.malformed import UNDECODABLE
from metering.formats.native import EARLIEST, FUTURE, MAX_TEXT
from metering.formats.otlp import json_encoding, protobuf_encoding
from metering.formats.otlp.models import model_of, provider_of
from metering.formats.otlp.spans import Picker, UndecodableExport, Vocabulary
from metering.formats.otlp.traces import KNOWN_PROVIDERS, Encoding
from metering.formats.problems import name_problem

TOKENS: Final = ("gen_ai.client.token.usage", "gen_ai.client.inference.usage.tokens")
COSTS: Final = ("llm_cost", "llm.cost", "gen_ai.client.cost", "gen_ai.usage.cost")
DEFAULT_CURRENCY: Final = "USD"
MAX_TOTAL: Final = Decimal(10) ** 18
_CUMULATIVE: Final = 2
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_encode: Final = msgspec.json.Encoder(order="sorted", decimal_format="string").encode


class Reading(NamedTuple):
    """One data point: what one series came to in a window (UTC), or, if `cumulative`, since
    `started_at`. `kind` is a type of token, or `cost`; `unit` is `{token}` or a currency."""

    series: bytes
    provider: str
    model: str
    tenant: str
    kind: str
    unit: str
    cumulative: bool
    started_at: datetime
    ended_at: datetime
    total: Decimal


class _Point(NamedTuple):
    place: str
    name: str
    unit: str
    cumulative: bool
    started: int
    ended: int
    total: object
    picked: Picker
    resource: Mapping[str, object]
    told: object
    """All that tells the series from others."""


def read(
    body: bytes,
    encoding: Encoding,
    *,
    received_at: datetime,
    attributes: AttributeMap = DEFAULT,
) -> Iterator[Reading | Rejection]:
    """One item for each data point of the metrics that are read. Raises `UndecodableExport`."""
    words = vocabulary(attributes)
    points = _of_protobuf(body, words) if encoding == "protobuf" else _of_json(body, words)
    return (_reading(point, received_at, attributes) for point in points)


def _reading(point: _Point, received_at: datetime, attributes: AttributeMap) -> Reading | Rejection:
    ended = _instant(point.ended)
    if not EARLIEST <= ended <= received_at + FUTURE:
        return _refused(point, "impossible_time", "timeUnixNano is no time that can be measured")
    total = point.total if isinstance(point.total, Decimal) else None
    if total is None or not 0 <= total <= MAX_TOTAL:
        return _refused(point, "impossible_sum", "its sum is no number from 0 up")
    facts = point.picked.facts
    told = attributes.settle({**point.resource, **point.picked.own})
    model = plain_text(facts.get("model_executed")) or model_of(facts) or ""
    provider, _ = provider_of(facts, model or None, KNOWN_PROVIDERS)
    kind = plain_text(facts.get("token_type")) or "all"
    if point.name in COSTS:
        kind, unit = "cost", point.unit.strip("{}").upper() or DEFAULT_CURRENCY
        unit = unit if len(unit) == len(DEFAULT_CURRENCY) else DEFAULT_CURRENCY
    else:
        unit = "{token}"
    named = {"provider": provider or "", "model": model, "kind": kind, "unit": unit}
    named["tenant"] = str(told.get("tenant_id", ""))
    problem = _name_problem(named)
    if problem is not None:
        return _refused(point, *problem)
    return Reading(
        series=sha256(_encode(point.told)).digest(),
        **named,
        cumulative=point.cumulative,
        started_at=_instant(point.started or point.ended),
        ended_at=ended,
        total=total,
    )


def _name_problem(named: Mapping[str, str]) -> tuple[str, str] | None:
    """Why one of the names can be none, and as what it is refused: as an event's are."""
    for field, name in named.items():
        problem = name_problem(field, name) if name else None
        if problem is not None:
            return problem.reason, problem.message
        if len(name) > MAX_TEXT:
            return "too_long", f"{field} is longer than {MAX_TEXT} characters"
    return None


def _refused(point: _Point, reason: str, message: str) -> Rejection:
    return Rejection(place=point.place, reason=reason, message=f"{point.name}: {message}")


def _instant(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=min(nanoseconds // 1000, 253_402_300_799_000_000))


def _of_protobuf(body: bytes, words: Vocabulary) -> Iterator[_Point]:
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except DecodeError as error:
        raise UndecodableExport("the body is no ExportMetricsServiceRequest in protobuf") from error
    return _protobuf_points(request, words)


def _protobuf_points(request: Any, words: Vocabulary) -> Iterator[_Point]:
    for i, of_resource in enumerate(request.resource_metrics):
        said = of_resource.resource.attributes
        resource = protobuf_encoding.pick(said, words).own
        around = [[pair.key, protobuf_encoding.value_of(pair.value)] for pair in said]
        for j, of_scope in enumerate(of_resource.scope_metrics):
            for k, metric in enumerate(of_scope.metrics):
                kind = metric.WhichOneof("data")
                if metric.name not in (*TOKENS, *COSTS) or kind not in ("histogram", "sum"):
                    continue
                data = getattr(metric, kind)
                for n, point in enumerate(data.data_points):
                    own = [[p.key, protobuf_encoding.value_of(p.value)] for p in point.attributes]
                    total = point.sum if kind == "histogram" else (point.as_int or point.as_double)
                    yield _Point(
                        f"resourceMetrics[{i}].scopeMetrics[{j}].metrics[{k}].dataPoints[{n}]",
                        metric.name,
                        metric.unit,
                        data.aggregation_temporality == _CUMULATIVE,
                        point.start_time_unix_nano,
                        point.time_unix_nano,
                        Decimal(repr(total)),
                        protobuf_encoding.pick(point.attributes, words),
                        resource,
                        [metric.name, sorted(around, key=str), sorted(own, key=str)],
                    )


class _Data(msgspec.Struct, rename="camel"):
    start_time_unix_nano: int | str | None = None
    time_unix_nano: int | str | None = None
    sum: Decimal | None = None
    as_int: int | str | None = None
    as_double: Decimal | None = None
    attributes: list[json_encoding.KeyValue] | None = None


class _Series(msgspec.Struct, rename="camel"):
    aggregation_temporality: int | None = None
    data_points: list[_Data] | None = None


class _Metric(msgspec.Struct):
    name: str = ""
    unit: str | None = None
    histogram: _Series | None = None
    sum: _Series | None = None


class _OfScope(msgspec.Struct):
    metrics: list[_Metric] | None = None


class _OfResource(msgspec.Struct, rename="camel"):
    resource: json_encoding.Attributed | None = None
    scope_metrics: list[_OfScope] | None = None


class _Request(msgspec.Struct, rename="camel"):
    resource_metrics: list[_OfResource] | None = None


_decode: Final = msgspec.json.Decoder(_Request, strict=False).decode


def _of_json(body: bytes, words: Vocabulary) -> Iterator[_Point]:
    try:
        json_encoding.refuse_other_text(body)
        request = _decode(body)
    except (*UNDECODABLE, ArithmeticError) as error:
        raise json_encoding.undecodable(error, "resourceMetrics") from error
    return _json_points(request, words)


def _json_points(request: _Request, words: Vocabulary) -> Iterator[_Point]:
    for i, of_resource in enumerate(request.resource_metrics or ()):
        said = (of_resource.resource.attributes if of_resource.resource else None) or []
        resource = json_encoding.pick(said, words).own
        around = [[pair.key, json_encoding.value_of(pair.value)] for pair in said]
        for j, of_scope in enumerate(of_resource.scope_metrics or ()):
            for k, metric in enumerate(of_scope.metrics or ()):
                data = metric.histogram or metric.sum
                if metric.name not in (*TOKENS, *COSTS) or data is None:
                    continue
                for n, point in enumerate(data.data_points or ()):
                    own = [[p.key, json_encoding.value_of(p.value)] for p in point.attributes or ()]
                    yield _Point(
                        f"resourceMetrics[{i}].scopeMetrics[{j}].metrics[{k}].dataPoints[{n}]",
                        metric.name,
                        metric.unit or "",
                        data.aggregation_temporality == _CUMULATIVE,
                        json_encoding.nanoseconds(point.start_time_unix_nano),
                        json_encoding.nanoseconds(point.time_unix_nano),
                        _total(point, is_histogram=metric.histogram is not None),
                        json_encoding.pick(point.attributes, words),
                        resource,
                        [metric.name, sorted(around, key=str), sorted(own, key=str)],
                    )


def _total(point: _Data, *, is_histogram: bool) -> Decimal | None:
    if is_histogram:
        return point.sum
    if point.as_int is not None:
        return Decimal(point.as_int) if str(point.as_int).lstrip("-").isdecimal() else None
    return point.as_double
