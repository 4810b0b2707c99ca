"""A process that sends a file of usage as OpenTelemetry's spans in protobuf, over connections that
stay open, and prints how many were sent and in how many seconds, as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.benchmarks.sending import Batch, request, send_all

KIND: Final = "application/x-protobuf"
SPANS_OF_A_TRACE: Final = 4
_LARGEST: Final = 2**63 - 1
"""Of protobuf's integers; the month has one absurd count that is sent as a text."""
_ATTRIBUTES: Final = (
    ("provider", "gen_ai.provider.name"),
    ("model", "gen_ai.request.model"),
    ("modelExecuted", "gen_ai.response.model"),
    ("providerRequestId", "gen_ai.response.id"),
    ("inputTokens", "gen_ai.usage.input_tokens"),
    ("cachedInputTokens", "gen_ai.usage.cache_read.input_tokens"),
    ("cacheWriteTokens", "gen_ai.usage.cache_creation.input_tokens"),
    ("outputTokens", "gen_ai.usage.output_tokens"),
    ("reasoningTokens", "gen_ai.usage.reasoning.output_tokens"),
    ("tenantId", "tenant.id"),
    ("userId", "user.id"),
    ("endpointTag", "apportion.endpoint_tag"),
    ("promptVersion", "apportion.prompt_version"),
)
_BESIDE: Final = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.temperature": "0.7",
    "gen_ai.response.finish_reasons": "stop",
    "server.address": "gateway.internal",
    "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "hello"}]}]',
}
"""What instrumentation sends along and nobody counts."""


def main(url: str, key: str, path: str, size: int, connections: int) -> None:
    batches = []
    with Path(path).open("rb") as lines:
        while block := list(islice(lines, size)):
            body = export(list(map(json.loads, block)))
            batches.append(Batch(request(url, "/v1/traces", key, KIND, body), len(block)))
    done = send_all(url, batches, connections, lambda _: 0)
    print(json.dumps(done._asdict()))


def export(events: Sequence[dict[str, Any]]) -> bytes:
    """The events as spans of one program, some to a trace, each under a span of its own that
    another program sends."""
    made = ExportTraceServiceRequest()
    of_resource = made.resource_spans.add()
    for name, value in (("service.name", "bench"), ("deployment.environment.name", "prod")):
        _put(of_resource.resource, name, value)
    of_scope = of_resource.scope_spans.add()
    of_scope.scope.name, of_scope.scope.version = "opentelemetry.instrumentation.openai.v1", "0.53"
    trace = b""
    for number, event in enumerate(events):
        digest = sha256(json.dumps(event, sort_keys=True).encode()).digest()
        trace = digest[:16] if number % SPANS_OF_A_TRACE == 0 else trace
        span = of_scope.spans.add()
        span.trace_id, span.span_id, span.parent_span_id = trace, digest[16:24], trace[:8]
        ended = int(datetime.fromisoformat(event["occurredAt"]).timestamp() * 1000) * 1_000_000
        span.start_time_unix_nano = ended - event.get("latencyMs", 800) * 1_000_000
        span.end_time_unix_nano = ended
        for field, name in _ATTRIBUTES:
            if event.get(field) is not None:
                _put(span, name, event[field])
        for name, value in _BESIDE.items():
            _put(span, name, value)
        if event.get("status") == "error":
            span.status.code = 2
    return bytes(made.SerializeToString())


def _put(holder: Any, name: str, value: object) -> None:
    attribute = holder.attributes.add()
    attribute.key = name
    if isinstance(value, int) and value <= _LARGEST:
        attribute.value.int_value = value
    else:
        attribute.value.string_value = str(value)


main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
