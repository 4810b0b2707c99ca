"""Spans as calls: of which provider, what a span is, how it ended and what served it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from metering.domain.call_reports import CallReport
from metering.formats.otlp import traces
from tests.metering.formats.otlp.requests import (
    CHAT,
    TRACE,
    a_span,
    export,
    read,
    report,
)


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
                "~~environment": "prod",
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
        (
            {"langsmith.metadata.apportion.provider": "own-cluster", "gen_ai.system": "openai"},
            "own-cluster",
        ),
        (
            {"langfuse.observation.metadata.apportion.provider": "groq", "gen_ai.system": "openai"},
            "groq",
        ),
        ({"langsmith.metadata.ls_provider": "azure", "gen_ai.system": "openai"}, "azure"),
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
        ({"gen_ai.operation.name": "fetch_response", "gen_ai.response.model": "gpt-4o"}, False),
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
        ({"anthropic.response.service_tier": "priority"}, {"service_tier": "priority"}),
        ({"llm.invocation_parameters": '{"service_tier": "flex"}'}, {"service_tier": "flex"}),
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


@pytest.mark.parametrize("name", ["messages.count_tokens", "models.countTokens", "CountTokens"])
def test_counting_tokens_is_no_call_whatever_a_library_calls_it(name: str) -> None:
    told = {"openinference.span.kind": "LLM", "llm.model_name": "claude-sonnet-4-5"}
    assert report(told, name=name).is_call is False
    assert report(told, name=f"{name}.and_more").is_call is True


def test_the_model_that_was_asked_for_stands_in_the_requests_parameters() -> None:
    """OpenInference tells the model that answered beside them; of what failed, there is none."""
    asked = {
        "openinference.span.kind": "LLM",
        "llm.system": "openai",
        "llm.invocation_parameters": '{"model": "gpt-4o-mini", "user": "u_42"}',
    }
    names = ("provider", "model", "model_executed", "user_id")

    def told(**more: object) -> list[object]:
        fields = report({**asked, **more}).fields
        return [fields.get(name) for name in names]

    answered = {"llm.model_name": "gpt-4o-mini-2024-07-18", "llm.token_count.prompt": 9}
    assert told(**answered) == ["openai", "gpt-4o-mini", "gpt-4o-mini-2024-07-18", "u_42"]
    assert told() == ["openai", "gpt-4o-mini", None, "u_42"]
    assert told(**{"user.id": "known", "llm.model_name": "gpt-4o-mini"})[2:] == [None, "known"]
    assert told(**{"llm.invocation_parameters": "no object", **answered})[1] == (
        "gpt-4o-mini-2024-07-18"
    )


def test_what_a_providers_own_client_tells_is_known_as_that() -> None:
    fields = report(CHAT, id="eee19b7ec3c1b174", scope="com.anthropic.sdk.python").fields
    assert fields["external_request_id"] == f"client:{TRACE}/eee19b7ec3c1b174"
    assert "external_request_id" not in report(CHAT, scope="own").fields
