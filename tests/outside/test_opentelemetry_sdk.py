"""The OpenTelemetry SDK and its OTLP exporter as their users install them, against the product as
it is served."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode, set_span_in_context

from metering.api_keys import create, revoke
from metering.rollups import USAGE
from tests.serving import Server

pytestmark = pytest.mark.outside

CALL: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.cache_read.input_tokens": 300,
    "gen_ai.usage.output_tokens": 200,
}
RESOURCE = Resource.create(
    {"service.name": "support-bot", "deployment.environment.name": "production"}
)


@pytest.fixture
def key(server: Server) -> str:
    return create("otel", "ingest", source="bot", now=datetime.now(UTC))[1]


def rows(query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def counted() -> tuple[int, int]:
    """Calls and input tokens that count."""
    [(events, tokens)] = rows(
        "SELECT coalesce(sum(events), 0), coalesce(sum(input_tokens), 0)"
        f" FROM {USAGE.relation()} cells"
    )
    return int(events), int(tokens)


@contextmanager
def tracing(
    server: Server, key: str, *, processor: Callable[..., Any] = BatchSpanProcessor, **more: Any
) -> Iterator[Any]:
    """A tracer whose spans are exported to the server; all of them by the end of the block."""
    exporter = OTLPSpanExporter(
        f"{server.url}/v1/traces", headers={"Authorization": f"Bearer {key}"}, **more
    )
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(processor(exporter))
    try:
        yield provider.get_tracer("own-instrumentation", "1.0")
    finally:
        provider.shutdown()


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_several_batches_come_to_their_calls(
    server: Server, key: str, compression: Compression
) -> None:
    with tracing(server, key, compression=compression) as tracer:
        for number in range(1200):  # the SDK sends 512 at a time
            with tracer.start_as_current_span("chat", attributes=CALL) as span:
                span.set_attribute("gen_ai.response.id", f"chatcmpl-{number:05}")
                span.set_attribute("tenant.id", f"tenant-{number % 7}")
    assert counted() == (1200, 1_200_000)
    assert rows(
        "SELECT DISTINCT provider, model, environment, endpoint_tag, pricing, cached_input_tokens,"
        " cost > 0 FROM usage_event"
    ) == [("openai", "gpt-4o-mini", "prod", "support-bot", "priced", 300, True)]


def test_agents_are_not_counted_beside_their_calls(server: Server, key: str) -> None:
    """Each span is exported as it ends: leaves before what is above them."""
    with tracing(server, key, processor=SimpleSpanProcessor) as tracer:
        agent = {**CALL, "gen_ai.operation.name": "invoke_agent", "tenant.id": "acme"}
        with tracer.start_as_current_span("agent", attributes=agent):
            for number in range(3):
                with tracer.start_as_current_span("outer", attributes=CALL):
                    inner = {**CALL, "gen_ai.response.id": f"chatcmpl-{number:05}"}
                    with tracer.start_as_current_span("chat", attributes=inner):
                        pass
    assert counted() == (3, 3000)
    assert rows(
        f"SELECT tenant FROM {USAGE.relation()} cells GROUP BY tenant HAVING sum(events) <> 0"
    ) == [("acme",)]


def test_a_parent_that_is_told_before_its_leaves_gives_way(server: Server, key: str) -> None:
    with tracing(server, key, processor=SimpleSpanProcessor) as tracer:
        outer = tracer.start_span("outer", attributes=CALL)
        context = set_span_in_context(outer)
        outer.end()
        assert counted() == (1, 1000)
        inner = tracer.start_span("chat", context=context, attributes=CALL)
        inner.end()
    assert counted() == (1, 1000)
    assert rows("SELECT count(*) FROM usage_event") == [(2,)]


def test_a_resend_counts_once(server: Server, key: str) -> None:
    exporter = OTLPSpanExporter(f"{server.url}/v1/traces", headers={"X-API-Key": key})
    kept: list[Any] = []

    class Twice(SimpleSpanProcessor):
        def on_end(self, span: Any) -> None:
            kept.append(span)

    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(Twice(exporter))
    tracer = provider.get_tracer("own")
    for _ in range(5):
        with tracer.start_as_current_span("chat", attributes=CALL) as span:
            span.set_status(Status(StatusCode.OK))
    for _ in range(3):
        assert exporter.export(kept).name == "SUCCESS"
    provider.shutdown()
    assert counted() == (5, 5000)


def test_the_exporter_hears_of_a_key_that_is_no_good(server: Server, key: str) -> None:
    revoke("otel", now=datetime.now(UTC))
    exporter = OTLPSpanExporter(f"{server.url}/v1/traces", headers={"X-API-Key": key})
    provider = TracerProvider()
    tracer = provider.get_tracer("own")
    span: Any
    with tracer.start_as_current_span("chat", attributes=CALL) as span:
        pass
    assert exporter.export([span]).name == "FAILURE"
    assert counted() == (0, 0)


def test_langfuses_address_takes_the_same_exporter(server: Server, key: str) -> None:
    credentials = b64encode(f"pk-lf-1:{key}".encode()).decode()
    exporter = OTLPSpanExporter(
        f"{server.url}/langfuse/api/public/otel/v1/traces",
        headers={"Authorization": f"Basic {credentials}"},
    )
    provider = TracerProvider()
    tracer = provider.get_tracer("langfuse-sdk", "3.0.0")
    told = {
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": "gpt-4o-mini",
        "langfuse.observation.usage_details": '{"input": 700, "output": 200}',
        "langfuse.trace.tags": ["tenant:acme"],
    }
    span: Any
    with tracer.start_as_current_span("generation", attributes=told) as span:
        pass
    assert exporter.export([span]).name == "SUCCESS"
    assert rows("SELECT provider, tenant, input_tokens FROM usage_event") == [
        ("openai", "acme", 700)
    ]
