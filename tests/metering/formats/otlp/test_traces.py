"""One span of OpenTelemetry's traces as a report of a call."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from metering.domain.call_reports import CallReport
from metering.domain.usage import Rejection
from metering.formats.attribute_map import DEFAULT
from metering.formats.otlp import traces
from metering.formats.otlp.spans import UndecodableExport
from tests.metering.formats.otlp.requests import (
    NOW,
    STARTED,
    TRACE,
    a_span,
    as_json,
    export,
    read,
    report,
)

CHAT: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 200,
}


def test_a_span_by_todays_conventions() -> None:
    span = a_span(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "claude-sonnet-4-5",
            "gen_ai.response.model": "claude-sonnet-4-5-20250929",
            "gen_ai.response.id": "msg_01XFD",
            "gen_ai.usage.input_tokens": 26000,
            "gen_ai.usage.cache_read.input_tokens": 20000,
            "gen_ai.usage.cache_creation.input_tokens": 5000,
            "gen_ai.usage.output_tokens": 800,
            "gen_ai.usage.reasoning.output_tokens": 300,
            "user.id": "u_42",
            "tenant.id": "acme",
            "feature": "support.reply",
        },
        id="eee19b7ec3c1b174",
        parent="eee19b7ec3c1b170",
        status={"code": 1},
    )
    request = export(
        span,
        scope="opentelemetry.instrumentation.anthropic",
        version="0.53.0",
        resource={"service.name": "support-bot", "deployment.environment.name": "prod"},
    )
    assert read(request) == [
        CallReport(
            trace_id=TRACE,
            span_id="eee19b7ec3c1b174",
            parent_span_id="eee19b7ec3c1b170",
            is_call=True,
            said_at=datetime(2026, 11, 2, 8, 0, tzinfo=UTC),
            ended=True,
            fields={
                "provider": "anthropic",
                "model": "claude-sonnet-4-5",
                "model_executed": "claude-sonnet-4-5-20250929",
                "provider_request_id": "msg_01XFD",
                "occurred_at": "2026-11-02T07:59:58.180000+00:00",
                "latency_ms": 1820,
                "input_tokens": 26000,
                "cached_input_tokens": 20000,
                "cache_write_tokens": 5000,
                "output_tokens": 800,
                "reasoning_tokens": 300,
                "user_id": "u_42",
                "tenant_id": "acme",
                "endpoint_tag": "support.reply",
                "~~endpoint_tag": "support-bot",
                "environment": "prod",
                "tags": {"service": "support-bot"},
            },
        )
    ]


@pytest.mark.parametrize(
    ("attributes", "provider"),
    [
        ({"gen_ai.provider.name": "azure.ai.openai"}, "azure"),
        ({"gen_ai.system": "az.ai.openai"}, "azure"),
        ({"gen_ai.provider.name": "gcp.vertex_ai"}, "google"),
        ({"gen_ai.provider.name": "gcp.gemini"}, "google"),
        ({"gen_ai.provider.name": "aws.bedrock"}, "aws"),
        ({"gen_ai.provider.name": "x_ai"}, "x-ai"),
        ({"gen_ai.provider.name": "mistral_ai"}, "mistral"),
        ({"gen_ai.system": "OpenAI"}, "openai"),
        ({"llm.provider": "google", "gen_ai.system": "gcp.vertex.agent"}, "google"),
        ({"ai.model.provider": "openai.chat"}, "openai"),
        (
            {"langsmith.metadata.ls_provider": "anthropic", "gen_ai.system": "langchain"},
            "anthropic",
        ),
        ({"gen_ai.system": "openai", "server.address": "acme.openai.azure.com"}, "azure"),
        ({"gen_ai.system": "openai", "server.address": "api.groq.com"}, "groq"),
        ({"gen_ai.system": "openai", "gen_ai.openai.api_base": "https://api.x.ai/v1"}, "x-ai"),
        ({"apportion.provider": "own-cluster", "gen_ai.system": "openai"}, "own-cluster"),
        ({"gen_ai.provider.name": "own-cluster"}, "own-cluster"),
    ],
)
def test_a_provider_has_one_name_here(attributes: dict[str, object], provider: str) -> None:
    told = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "a-model", **attributes}
    [item] = read(
        export(a_span(told)), providers=frozenset({*traces.KNOWN_PROVIDERS, "own-cluster"})
    )
    assert isinstance(item, CallReport)
    assert item.fields["provider"] == provider


def test_a_provider_that_nobody_names_is_supposed_by_the_model() -> None:
    fields = report({"gen_ai.operation.name": "chat", "gen_ai.request.model": "claude-x"}).fields
    assert fields["~~provider"] == "anthropic"
    assert "provider" not in fields
    fields = report({"genkit:metadata:subtype": "model", "genkit:name": "openai/gpt-5"}).fields
    assert (fields["~~provider"], fields["model"]) == ("openai", "gpt-5")
    fields = report({"gen_ai.operation.name": "chat", "gen_ai.request.model": "nobody-s"}).fields
    assert not {"provider", "~~provider"} & fields.keys()


@pytest.mark.parametrize(
    ("attributes", "call"),
    [
        ({"gen_ai.operation.name": "chat"}, True),
        ({"gen_ai.operation.name": "text_completion"}, True),
        ({"gen_ai.operation.name": "generate_content"}, True),
        ({"gen_ai.operation.name": "embeddings"}, True),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 5}, False),
        ({"gen_ai.operation.name": "create_agent"}, False),
        ({"gen_ai.operation.name": "execute_tool"}, False),
        ({"gen_ai.operation.name": "chain"}, False),
        ({"openinference.span.kind": "LLM"}, True),
        ({"openinference.span.kind": "EMBEDDING"}, True),
        ({"openinference.span.kind": "CHAIN", "llm.token_count.prompt": 5}, False),
        ({"openinference.span.kind": "AGENT"}, False),
        ({"openinference.span.kind": "RETRIEVER"}, False),
        ({"langfuse.observation.type": "generation"}, True),
        ({"langfuse.observation.type": "embedding"}, True),
        ({"langfuse.observation.type": "agent"}, False),
        ({"llm.request.type": "chat"}, True),
        ({"llm.request.type": "embedding"}, True),
        ({"traceloop.span.kind": "workflow"}, False),
        ({"langsmith.span.kind": "llm"}, True),
        ({"langsmith.span.kind": "chain"}, False),
        ({"ai.operationId": "ai.generateText.doGenerate"}, True),
        ({"operation.name": "ai.streamText.doStream my-function"}, True),
        ({"ai.operationId": "ai.embedMany.doEmbed"}, True),
        ({"ai.operationId": "ai.generateText", "ai.usage.promptTokens": 5}, False),
        ({"ai.operationId": "ai.toolCall"}, False),
        ({"genkit:type": "action", "genkit:metadata:subtype": "model"}, True),
        ({"genkit:type": "flow"}, False),
        ({"gen_ai.response.model": "gpt-4-0613"}, True),
        ({"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 5}, True),
        ({"gen_ai.usage.input_tokens": 5}, None),
        ({"model_name": "gpt-4o", "agent_name": "a", "gen_ai.usage.input_tokens": 5}, False),
        ({"gen_ai.request.model": "gpt-4o"}, False),
        ({"http.request.method": "GET"}, False),
        ({}, False),
    ],
)
def test_what_a_span_is_is_said_in_many_words(attributes: dict[str, object], call: object) -> None:
    assert report(attributes).is_call is call


def test_whatever_is_no_call_tells_its_place_and_whom_it_is_for() -> None:
    agent = report(
        {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.input_tokens": 5000,
            "tenant.id": "acme",
            "apportion.shares": '{"a": 1}',
        },
        id="00000000000000aa",
        parent="00000000000000bb",
    )
    assert agent.is_call is False
    assert agent.parent_span_id == "00000000000000bb"
    assert agent.fields == {"tenant_id": "acme"}


def test_what_fails_says_as_what_and_not_in_which_words() -> None:
    failed = report(CHAT | {"error.type": "RateLimitError"}, status={"code": 2}).fields
    assert (failed["status"], failed["error_code"]) == ("error", "RateLimitError")
    assert report(CHAT, status={"code": 2}).fields["status"] == "error"
    assert report(CHAT | {"error.type": "429"}).fields["error_code"] == "429"
    wordy = report(CHAT | {"error.type": "the prompt 'tell me about ann' was refused"}).fields
    assert wordy["status"] == "error"
    assert "error_code" not in wordy
    assert "status" not in report(CHAT).fields


@pytest.mark.parametrize(
    ("attributes", "fields"),
    [
        ({"openai.response.service_tier": "priority"}, {"service_tier": "priority"}),
        ({"gen_ai.openai.response.service_tier": "default"}, {"service_tier": "default"}),
        ({"openai.request.service_tier": "flex"}, {"service_tier": "flex"}),
        ({"openai.request.service_tier": "auto"}, {}),
        ({"openai.response.service_tier": "batch"}, {"batch": True}),
        (
            {"openai.request.service_tier": "auto", "openai.response.service_tier": "priority"},
            {"service_tier": "priority"},
        ),
    ],
)
def test_the_tier_that_served_goes_before_the_one_that_was_asked_for(
    attributes: dict[str, object], fields: dict[str, object]
) -> None:
    found = report(CHAT | attributes).fields
    assert {name: found[name] for name in ("service_tier", "batch") if name in found} == fields


@pytest.mark.parametrize(
    ("attributes", "fields"),
    [
        ({"traceloop.association.properties.tenant_id": "acme"}, {"tenant_id": "acme"}),
        ({"langfuse.trace.metadata.tenant": '"acme"'}, {"tenant_id": "acme"}),
        ({"langfuse.observation.metadata.cost_center": "CC-7"}, {"cost_center": "CC-7"}),
        ({"ai.telemetry.metadata.userId": "u-1"}, {"user_id": "u-1"}),
        ({"ai.telemetry.functionId": "summarise"}, {"endpoint_tag": "summarise"}),
        ({"metadata": '{"tenant_id": "acme", "data_mode": "test"}'}, {"tenant_id": "acme"}),
        ({"metadata": {"tenant_id": "acme"}}, {"tenant_id": "acme"}),
        ({"langsmith.metadata.tenant_id": "acme"}, {"tenant_id": "acme"}),
        ({"langfuse.trace.tags": ["tenant:acme"]}, {"tenant_id": "acme"}),
        ({"tag.tags": '["customer=acme", "rag"]'}, {"tenant_id": "acme", "tags": {"rag": "true"}}),
        ({"langsmith.span.tags": "tenant:acme, plan:gold"}, {"tags": {"plan": "gold"}}),
        ({"apportion.tag.team": "growth"}, {"tags": {"team": "growth"}}),
        (
            {"langfuse.observation.prompt.name": "p", "langfuse.observation.prompt.version": 3},
            {"prompt_version": "p@3"},
        ),
        ({"traceloop.prompt.key": "p", "traceloop.prompt.version": "2"}, {"prompt_version": "p@2"}),
        ({"langfuse.trace.name": "chat-with-docs"}, {"~~endpoint_tag": "chat-with-docs"}),
        (
            {"gen_ai.agent.name": "helper"},
            {"~~endpoint_tag": "helper", "tags": {"agent": "helper"}},
        ),
    ],
)
def test_whom_a_call_is_for_stands_in_many_places(
    attributes: dict[str, object], fields: dict[str, object]
) -> None:
    found = report(CHAT | attributes).fields
    assert {name: found.get(name) for name in fields} == fields


def test_the_span_goes_before_the_program_around_it() -> None:
    program = {"tenant.id": "of the program", "service.name": "web", "team": "core"}
    fields = report(CHAT | {"metadata": '{"customer": "of the span"}'}, resource=program).fields
    assert fields["tenant_id"] == "of the span"
    assert fields["tags"] == {"service": "web", "team": "core"}
    assert report(CHAT, resource=program).fields["tenant_id"] == "of the program"


def test_a_source_has_its_own_names() -> None:
    own = DEFAULT.preferring({"tenant_id": ["acct.key"], "cost_center": ["acct.cc"]})
    told = {"acct.key": "a", "metadata.acct.cc": "CC-1", "tenant.id": "b"}
    [item] = read(export(a_span(CHAT | told)), attributes=own)
    assert isinstance(item, CallReport)
    assert (item.fields["tenant_id"], item.fields["cost_center"]) == ("a", "CC-1")


def test_shares_by_weight_become_tokens_of_the_call() -> None:
    fields = report(CHAT | {"apportion.shares": '{"acme": 3, "globex": 1}'}).fields
    assert fields["shares"] == [
        {"tenantId": "acme", "inputTokens": 750, "outputTokens": 150},
        {"tenantId": "globex", "inputTokens": 250, "outputTokens": 50},
    ]
    usage = {"langfuse.observation.usage_details": '{"input": 70, "output": 30}'}
    told = {"langfuse.observation.type": "generation", "apportion.shares": '{"a": 1}', **usage}
    assert report(told).fields["shares"] == [
        {"tenantId": "a", "inputTokens": 70, "outputTokens": 30}
    ]


def test_shares_of_hundreds() -> None:
    weights = {f"tenant-{n}": n for n in range(1, 701)}
    shares = report(CHAT | {"apportion.shares": json.dumps(weights)}).fields["shares"]
    assert len(shares) == 700
    assert sum(share["inputTokens"] for share in shares) == 1000


def refused(span: dict[str, Any]) -> Rejection:
    [item] = read(export(span))
    assert isinstance(item, Rejection)
    return item


def test_shares_that_cannot_be_read_are_not_left_out() -> None:
    found = refused(a_span(CHAT | {"apportion.shares": '{"acme": "many"}'}))
    assert found.reason == "unreadable_shares"
    assert "weight of 'acme'" in found.message


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ({"startTimeUnixNano": str(STARTED // 1000)}, "past_time"),
        ({"startTimeUnixNano": str(STARTED + 90_000_000_000_000)}, "future_time"),
        ({"startTimeUnixNano": str(2**63 - 1)}, "future_time"),
    ],
)
def test_a_time_that_cannot_be_is_refused(times: dict[str, str], reason: str) -> None:
    assert refused(a_span(CHAT, **times)).reason == reason


@pytest.mark.parametrize(
    "ids", [{"traceId": "0" * 32}, {"spanId": "0" * 16}, {"traceId": ""}, {"spanId": "ab"}]
)
def test_a_span_without_an_id_is_refused(ids: dict[str, str]) -> None:
    found = refused(a_span(CHAT) | ids)
    assert found.reason == "invalid_id"
    assert found.place == "resourceSpans[0].scopeSpans[0].spans[0]"


def test_ids_in_base64_are_none_in_json() -> None:
    span = a_span(CHAT) | {"traceId": "W47/95gDgQPSabYzgT/GDA=="}
    [item] = traces.read(as_json(export(span)), "json", received_at=NOW)
    assert isinstance(item, Rejection)
    assert item.reason == "invalid_id"


def test_upper_case_ids_are_the_same_ids() -> None:
    span = a_span(CHAT, id="00000000000000AB") | {"traceId": TRACE.upper()}
    [item] = traces.read(as_json(export(span)), "json", received_at=NOW)
    assert isinstance(item, CallReport)
    assert (item.trace_id, item.span_id) == (TRACE, "00000000000000ab")


def test_a_span_without_times_is_dated_by_its_receipt() -> None:
    [item] = read(export(a_span(CHAT, startTimeUnixNano="0", endTimeUnixNano="0")))
    assert isinstance(item, CallReport)
    assert item.said_at == NOW
    assert item.ended is None
    assert "occurred_at" not in item.fields


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"", "json"),
        (b"[]", "json"),
        (b'{"resourceSpans": [{"scopeSpans": 7}]}', "json"),
        (b'{"resourceSpans": [', "json"),
        (b'{"resourceSpans": [{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}]}", "json"),
        (b'{"resourceSpans": "\xff"}', "json"),
        (b"\x0a\xff\xff\xff", "protobuf"),
        (b'{"resourceSpans": []}', "protobuf"),
    ],
)
def test_what_is_no_export_is_refused_as_a_whole(body: bytes, encoding: traces.Encoding) -> None:
    with pytest.raises(UndecodableExport):
        traces.read(body, encoding, received_at=NOW)


@pytest.mark.parametrize("body", [b"{}", b'{"resourceSpans": null, "unknown": [1]}'])
def test_an_export_of_nothing_is_one(body: bytes) -> None:
    assert list(traces.read(body, "json", received_at=NOW)) == []
    assert list(traces.read(b"", "protobuf", received_at=NOW)) == []


def test_numbers_may_be_text_and_text_numbers() -> None:
    told = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": "174",
        "gen_ai.usage.output_tokens": 31.0,
        "tenant.id": 42,
    }
    fields = report(told).fields
    assert (fields["input_tokens"], fields["output_tokens"]) == (174, 31)
    assert fields["tenant_id"] == "42"


SECRET = "the secret of ann and bob"


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gen_ai.prompt.0.content", "gen_ai.completion.0.content"),
        ("gen_ai.input.messages", "gen_ai.output.messages"),
        ("llm.input_messages.0.message.content", "llm.output_messages.0.message.content"),
        ("ai.prompt.messages", "ai.response.text"),
        ("langfuse.observation.input", "langfuse.observation.output"),
        ("input.value", "output.value"),
        ("traceloop.entity.input", "traceloop.entity.output"),
    ],
)
def test_texts_are_counted_where_nobody_tells_usage_and_go_no_further(
    asked: str, answered: str
) -> None:
    told = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        asked: SECRET,
        answered: SECRET,
        "something.else": SECRET,
    }
    [item] = read(export(a_span(told)))
    assert SECRET not in repr(item)
    assert isinstance(item, CallReport)
    assert item.fields["~~input_tokens"] > 0
    assert item.fields["~~output_tokens"] > 0
    assert not any(name in item.fields for name in ("input_tokens", "usage_quality"))
    with_usage = report(told | {"gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 6})
    assert SECRET not in repr(with_usage)
    assert "~~input_tokens" not in with_usage.fields
    assert with_usage.fields["input_tokens"] == 5


def test_texts_in_events_are_counted_too() -> None:
    events = [
        {"name": name, "attributes": [{"key": "content", "value": {"stringValue": SECRET}}]}
        for name in ("gen_ai.user.message", "gen_ai.choice")
    ]
    item = report({"gen_ai.response.model": "gpt-4-0613"}, events=events)
    assert SECRET not in repr(item)
    assert item.fields["~~input_tokens"] > 0
    assert item.fields["~~output_tokens"] > 0


def test_what_failed_is_not_estimated() -> None:
    told = {"gen_ai.operation.name": "chat", "input.value": SECRET}
    assert "~~input_tokens" not in report(told, status={"code": 2}).fields
