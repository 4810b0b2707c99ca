"""LangSmith's SDK as its users install it, against the product as it is served."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from langsmith import Client, traceable, tracing_context
from langsmith.run_helpers import get_current_run_tree
from langsmith.utils import LangSmithAuthError, LangSmithError
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from metering.api_keys import create
from metering.domain.periods import Month
from metering.verification.event_verification import check_month
from tests.serving import Server

pytestmark = pytest.mark.outside

METADATA = {"ls_provider": "openai", "ls_model_name": "gpt-4o-mini"}
USED = {"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200}
COUNTED = (
    "SELECT tenant, endpoint_tag, model, input_tokens, output_tokens, usage_quality"
    " FROM usage_event e WHERE NOT EXISTS"
    " (SELECT FROM event_disposition d WHERE d.event_key = e.event_key) ORDER BY input_tokens"
)


@pytest.fixture
def key(server: Server) -> str:
    return create("sdk", "ingest", source="shop", now=datetime.now(UTC))[1]


def client_of(server: Server, key: str, **different: Any) -> Client:
    return Client(api_url=f"{server.url}/langsmith", api_key=key, **different)


@pytest.fixture
def client(server: Server, key: str) -> Iterator[Client]:
    client = client_of(server, key)
    yield client
    client.cleanup()


def rows(query: str = COUNTED) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def months_are_right() -> bool:
    month = Month.of(datetime.now(UTC))
    return not [*check_month(month), *check_month(month.previous())]


@traceable(run_type="llm", name="ChatOpenAI", metadata=METADATA)
def ask(question: str, usage: dict[str, Any] | None = USED) -> dict[str, Any]:
    answer: dict[str, Any] = {"choices": [{"message": {"content": f"an answer to {question}"}}]}
    return answer if usage is None else {**answer, "usage_metadata": usage}


@traceable(run_type="chain", name="agent", metadata={"tenant_id": "acme", "feature": "search"})
def agent(questions: list[str]) -> dict[str, Any]:
    answers = [ask(question) for question in questions]
    tree = get_current_run_tree()
    assert tree is not None
    tree.metadata["user_id"] = "u_1"
    return {"answer": len(answers), "usage_metadata": {**USED, "input_tokens": 9999}}


def test_traced_functions_are_counted_by_their_leaf_calls(client: Client) -> None:
    """As the SDK sends by itself: forms, packed by zstd, in the background."""
    with tracing_context(client=client, enabled=True, project_name="shop"):
        agent(["who?", "why?"])
    client.flush()
    assert client.compressed_traces is not None
    told = ("acme", "search", "gpt-4o-mini", 1000, 200, "provider_reported")
    assert rows() == [told, told]
    assert rows("SELECT count(DISTINCT user_pseudonym) FROM usage_event") == [(1,)]
    assert months_are_right()


def test_a_call_without_usage_is_estimated(client: Client) -> None:
    with tracing_context(client=client, enabled=True):
        ask("How many tokens has this?", usage=None)
    client.flush()
    ((_, _, _, into, out, quality),) = rows()
    assert into > 0
    assert out > 0
    assert quality == "estimated"


def test_a_call_that_fails_is_an_error(client: Client) -> None:
    class RateLimitError(Exception):
        pass

    @traceable(run_type="llm", metadata=METADATA)
    def fails() -> None:
        raise RateLimitError("the secret prompt was too long")

    with (
        tracing_context(client=client, enabled=True),
        pytest.raises(RateLimitError),
    ):
        fails()
    client.flush()
    assert rows("SELECT status, error_code, usage_quality FROM usage_event") == [
        ("error", "RateLimitError", "missing")
    ]


def test_runs_may_travel_by_opentelemetry(server: Server, key: str) -> None:
    """With `LANGSMITH_OTEL_ONLY` and `OTEL_EXPORTER_OTLP_ENDPOINT`."""
    exporter = OTLPSpanExporter(f"{server.url}/v1/traces", headers={"x-api-key": key})
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    client = client_of(server, key, tracing_mode="otel", otel_tracer_provider=provider)
    with tracing_context(client=client, enabled=True, project_name="shop"):
        agent(["who?"])
    client.flush()
    provider.force_flush()
    client.cleanup()
    provider.shutdown()
    assert [row[2:5] for row in rows()] == [("gpt-4o-mini", 1000, 200)]


def test_runs_that_travel_both_ways_count_once(server: Server, key: str) -> None:
    """With `LANGSMITH_OTEL_ENABLED`: every run goes to LangSmith's address and to `/v1/traces`."""
    exporter = OTLPSpanExporter(f"{server.url}/v1/traces", headers={"x-api-key": key})
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    client = client_of(server, key, tracing_mode="hybrid", otel_tracer_provider=provider)
    with tracing_context(client=client, enabled=True, project_name="shop"):
        agent(["who?", "why?"])
    client.flush()
    provider.force_flush()
    client.cleanup()
    provider.shutdown()
    (reported,) = rows("SELECT count(*) FROM usage_event WHERE source = 'shop'")
    assert reported == (6,), "two calls, each told twice, and an event of each two"
    assert rows("SELECT sum(events), sum(input_tokens) FROM usage_rollup_tail") == [(2, 2000)]
    assert months_are_right()


OTHERS = {"ls_provider": "azure", "ls_model_name": "gpt-4o-mini"}
IN_PARAMS = {"invocation_params": {"model": "gpt-4o-mini"}}
OPENAI: dict[str, Any] = {
    "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
    "model": "gpt-4o-mini-2024-07-18",
    "usage": {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200},
}


EACH_KIND: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "nobody tells its usage": (METADATA, {}),
    "a framework's id": (METADATA, {"id": "run--1"}),
    "the provider's id and no usage": (METADATA, {"id": OPENAI["id"]}),
    "the provider's answer": (METADATA, {**OPENAI, "id": OPENAI["id"][::-1]}),
    "another provider": (OTHERS, {"usage_metadata": USED}),
    "another provider without usage": (OTHERS, {}),
    "a provider that is set": ({**METADATA, "apportion.provider": "groq"}, {}),
    "the model among the parameters": (IN_PARAMS, {}),
    "the model that answered": (METADATA, {"model": "gpt-4o-mini-2024-07-18"}),
    "it failed": (METADATA, None),
}


def test_each_kind_of_call_that_travels_both_ways_counts_once(server: Server, key: str) -> None:
    exporter = OTLPSpanExporter(f"{server.url}/v1/traces", headers={"x-api-key": key})
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    client = client_of(server, key, tracing_mode="hybrid", otel_tracer_provider=provider)
    for kind, (metadata, answer) in EACH_KIND.items():
        traced = traceable(run_type="llm", metadata={**metadata, "tenant": kind})(answering)
        with tracing_context(client=client, enabled=True):
            for question in ("who?", "why is that so?"):
                with suppress(TimeoutError):
                    traced([{"role": "user", "content": question}], answer)
    client.flush()
    provider.force_flush()
    client.cleanup()
    provider.shutdown()
    counted = dict(rows("SELECT tenant, sum(events) FROM usage_rollup_tail GROUP BY tenant"))
    assert counted == dict.fromkeys(EACH_KIND, 2)
    reported = dict(rows("SELECT tenant, count(*) FROM usage_event GROUP BY tenant"))
    assert min(reported.values()) >= 4, "each was told by both ways"
    assert months_are_right()


def answering(messages: list[dict[str, str]], answer: dict[str, Any] | None) -> dict[str, Any]:
    if answer is None:
        raise TimeoutError
    text = f"an answer to {messages[-1]['content']}"
    return {"choices": [{"message": {"role": "assistant", "content": text}}], **answer}


def times() -> tuple[datetime, datetime]:
    end = datetime.now(UTC) - timedelta(minutes=1)
    return end - timedelta(seconds=1), end


def test_runs_are_created_and_updated_one_by_one(server: Server, key: str) -> None:
    client = client_of(server, key, auto_batch_tracing=False)
    start, end = times()
    id = uuid4()
    client.create_run(
        *("call", {"messages": []}, "llm"),
        id=id,
        start_time=start,
        extra={"metadata": {**METADATA, "tenant": "acme"}},
    )
    assert rows() == []
    for _ in range(2):
        client.update_run(id, end_time=end, outputs={"usage_metadata": USED})
    assert rows() == [("acme", "call", "gpt-4o-mini", 1000, 200, "provider_reported")]
    assert rows("SELECT latency_ms FROM usage_event") == [(1000,)]


def dotted(start: datetime, *ids: UUID) -> str:
    return ".".join(f"{start:%Y%m%dT%H%M%S%f}Z{id}" for id in ids)


def whole(id: UUID, start: datetime, **different: Any) -> dict[str, Any]:
    return {
        "id": str(id),
        "trace_id": str(id),
        "dotted_order": dotted(start, id),
        "name": "call",
        "run_type": "llm",
        "inputs": {"messages": []},
        "start_time": start.isoformat(),
        "session_name": "shop",
        "extra": {"metadata": METADATA},
        **different,
    }


@pytest.mark.parametrize("way", ["multipart_ingest", "batch_ingest_runs"])
def test_runs_are_ingested_in_batches(server: Server, key: str, way: str) -> None:
    client = client_of(server, key, auto_batch_tracing=False)
    start, end = times()
    first, second = uuid4(), uuid4()
    update = {
        "id": str(second),
        "trace_id": str(second),
        "dotted_order": dotted(start, second),
        "end_time": end.isoformat(),
        "outputs": {"usage_metadata": {**USED, "input_tokens": 2000}},
    }
    together = whole(first, start, end_time=end.isoformat(), outputs={"usage_metadata": USED})
    send = getattr(client, way)
    send(update=[dict(update)])  # before its run is known
    send(create=[dict(together), whole(second, start)])
    send(create=[dict(together), whole(second, start)], update=[dict(update)])
    told = ("", "shop", "gpt-4o-mini")
    assert rows() == [
        (*told, 1000, 200, "provider_reported"),
        (*told, 2000, 200, "inconsistent"),
    ]
    assert months_are_right()


def test_attachments_and_feedback_travel_along(server: Server, key: str) -> None:
    client = client_of(server, key)
    start, end = times()
    id = uuid4()
    client.create_run(
        **whole(id, start, end_time=end, start_time=start, outputs={"usage_metadata": USED}),
        attachments={"picture": ("image/png", b"\x89PNG\r\n--x\r\n" * 1000)},
    )
    client.create_feedback(run_id=id, trace_id=id, session_id=uuid4(), key="good", score=1)
    client.flush()
    client.cleanup()
    assert rows() == [("", "shop", "gpt-4o-mini", 1000, 200, "provider_reported")]


def test_refusals_are_said_in_words_the_sdk_knows(server: Server, key: str) -> None:
    start, _ = times()
    with pytest.raises(LangSmithAuthError):
        client_of(server, "nonsense", auto_batch_tracing=False).create_run(
            **whole(uuid4(), start, start_time=start)
        )
    negative = {"usage_metadata": {"input_tokens": -1}}
    with pytest.raises(LangSmithError, match="a count lies between"):
        client_of(server, key, auto_batch_tracing=False).create_run(
            **whole(uuid4(), start, start_time=start, outputs=negative)
        )
    assert rows() == []
