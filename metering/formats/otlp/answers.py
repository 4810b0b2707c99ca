"""What a receiver of OTLP answers, in the encoding of the request: full success, partial success,
or `google.rpc.Status`."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from metering.formats.otlp.traces import Encoding

Signal = Literal["spans", "data points"]

MEDIA_TYPES: Final[dict[str, Encoding]] = {
    "application/x-protobuf": "protobuf",
    "application/json": "json",
}
CONTENT_TYPE: Final = {encoding: kind for kind, encoding in MEDIA_TYPES.items()}

_CODES: Final = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 413: 3, 415: 3, 429: 8, 503: 14}
"""HTTP's statuses in gRPC's codes: INVALID_ARGUMENT, UNAUTHENTICATED, PERMISSION_DENIED, …"""
_UNKNOWN: Final = 2
_CONTINUES: Final = 0x80
_encode: Final = msgspec.json.Encoder().encode


def success(encoding: Encoding, signal: Signal, rejected: int, message: str) -> bytes:
    """The answer to what was taken. Of full success it says nothing at all; `rejected` items were
    not taken and shall not be sent again. A message without any is a warning."""
    if not rejected and not message:
        return b"" if encoding == "protobuf" else b"{}"
    if encoding == "json":
        name = "rejectedSpans" if signal == "spans" else "rejectedDataPoints"
        return _encode({"partialSuccess": {name: str(rejected), "errorMessage": message}})
    if signal == "spans":
        spans = ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
        return bytes(ExportTraceServiceResponse(partial_success=spans).SerializeToString())
    points = ExportMetricsPartialSuccess(rejected_data_points=rejected, error_message=message)
    return bytes(ExportMetricsServiceResponse(partial_success=points).SerializeToString())


def status(encoding: Encoding, http_status: int, message: str) -> bytes:
    """A `google.rpc.Status` that says why nothing was taken."""
    code = _CODES.get(http_status, _UNKNOWN)
    if encoding == "json":
        return _encode({"code": code, "message": message})
    said = message.encode()
    return b"\x08" + _varint(code) + b"\x12" + _varint(len(said)) + said


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= _CONTINUES:
        out.append(number % _CONTINUES | _CONTINUES)
        number //= _CONTINUES
    out.append(number)
    return bytes(out)
