"""Calls models with the real `openai` and `anthropic` clients, instrumented as applications do it
by the libraries that are named, and exports what is told of the calls.

    python -m tests.outside.instrumented_child calls|background [LIBRARY …]

`PROVIDER_URL` is the provider; OpenTelemetry's own environment variables say where to export to. A
header of each call says what is to be answered (`tests.outside.recorded_provider`).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, Final

from anthropic import Anthropic, BadRequestError
from openai import AsyncOpenAI, AuthenticationError, OpenAI
from opentelemetry.baggage import set_baggage
from opentelemetry.context import attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.processor.baggage import ALLOW_ALL_BAGGAGE_KEYS, BaggageSpanProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import get_tracer, set_tracer_provider

LIBRARIES: Final = {
    "official": "opentelemetry.instrumentation.genai",
    "openllmetry": "opentelemetry.instrumentation",
    "openinference": "openinference.instrumentation",
}
PROMPT: Final = "what nobody may keep"
SAID: Final[Any] = [{"role": "user", "content": PROMPT}]


def main(made: str, libraries: list[str]) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BaggageSpanProcessor(ALLOW_ALL_BAGGAGE_KEYS))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    set_tracer_provider(provider)
    for library in libraries:
        for client in ("openai", "anthropic"):
            module = import_module(f"{LIBRARIES[library]}.{client}")
            name = {"openai": "OpenAIInstrumentor", "anthropic": "AnthropicInstrumentor"}[client]
            getattr(module, name)().instrument(tracer_provider=provider)
    address = os.environ["PROVIDER_URL"]
    openai = OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
    if made == "background":
        in_the_background(openai)
    else:
        chats(openai)
        responses(openai)
        asyncio.run(asynchronous(AsyncOpenAI(base_url=f"{address}/v1", api_key="none")))
        messages(Anthropic(base_url=address, api_key="none", max_retries=0))
        agent(openai)
    provider.shutdown()


def answer(cassette: str, number: int = 0) -> dict[str, Any]:
    return {"extra_headers": {"X-Recorded": f"{cassette}#{number}"}}


def chats(client: OpenAI) -> None:
    create = client.chat.completions.create
    with tenant_by_baggage("baggage-inc"):
        create(
            model="gpt-4o-mini",
            messages=SAID,
            user="jane@example.com",
            **answer("test_cached_tokens", 1),
        )
    create(model="o3-mini", messages=SAID, **answer("test_max_completion_tokens[o3-mini]"))
    for _ in create(
        model="gpt-5",
        messages=SAID,
        stream=True,
        stream_options={"include_usage": True},
        **answer("test_openai_moderation_stream"),
    ):
        pass
    with suppress(AuthenticationError):
        create(
            model="gpt-4o",
            messages=SAID,
            **answer("test_error_status_code_and_exception_events_with_invalid_api_key"),
        )
    client.embeddings.create(
        model="text-embedding-ada-002",
        input=PROMPT,
        encoding_format="float",
        **answer("_langchain"),
    )


def responses(client: OpenAI) -> None:
    for number in (0, 1):  # writes the cache, then reads it
        client.responses.create(
            model="gpt-5.6-sol",
            input=PROMPT,
            **answer("test_openai_responses_prompt_cache_e2e", number),
        )
    for _ in client.responses.create(
        model="gpt-5",
        input=PROMPT,
        stream=True,
        **answer("test_openai_responses_moderation_stream"),
    ):
        pass


def in_the_background(client: OpenAI) -> None:
    """A call that runs on its own, and is asked for until it is done, and once more."""
    cassette = "test_background_mode_vcr"
    begun = client.responses.create(
        model="gpt-4o", input=PROMPT, background=True, **answer(cassette)
    )
    for number in (1, 2, 2):
        client.responses.retrieve(begun.id, **answer(cassette, number))


async def asynchronous(client: AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=SAID, **answer("test_cached_tokens", 0)
    )
    raw.parse()
    await client.close()


def messages(client: Anthropic) -> None:
    create = client.messages.create
    said: Any = {"max_tokens": 1024, "messages": SAID}
    cached = "test_anthropic_prompt_caching_stream_with_events_with_no_content"
    with get_tracer("application").start_as_current_span(
        "request", attributes={"tenant.id": "attribute-inc"}
    ):
        create(model="claude-sonnet-4-5", **said, **answer("test_anthropic_cache_count_tokens", 1))
    create(model="claude-3-5-haiku-20241022", **said, **answer("TestTokenCounts.test_anthropic"))
    for _ in create(model="claude-3-5-sonnet-20240620", **said, stream=True, **answer(cached, 0)):
        pass
    with client.messages.stream(
        model="claude-3-5-sonnet-20240620", **said, **answer(cached, 1)
    ) as stream:
        stream.get_final_message()
    client.messages.count_tokens(
        model="claude-sonnet-4-5",
        messages=SAID,
        **answer("test_anthropic_cache_count_tokens", 0),
    )
    with suppress(BadRequestError):
        create(
            model="claude-opus-4-6",
            **said,
            **answer("test_anthropic_explicit_effort_xhigh_unsupported_model_errors"),
        )


def agent(client: OpenAI) -> None:
    """An agent as frameworks tell of it: with the usage of the call that it made."""
    with get_tracer("framework").start_as_current_span(
        "invoke_agent",
        attributes={
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "poet",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.usage.input_tokens": 9,
            "gen_ai.usage.output_tokens": 9,
        },
    ):
        client.chat.completions.create(
            model="gpt-4o-mini", messages=SAID, **answer("TestTokenCounts.test_openai")
        )


@contextmanager
def tenant_by_baggage(tenant: str) -> Iterator[None]:
    """Whoever is called within the block learns of the tenant by OpenTelemetry's baggage."""
    token = attach(set_baggage("tenant.id", tenant))
    yield
    detach(token)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
