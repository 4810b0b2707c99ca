"""Providers' own responses, as they come in files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from genai_prices.data import providers

from metering.domain.cells import class_and_model
from metering.domain.price_book import PriceBook
from metering.domain.usage import Rejection, UsageEvent
from metering.formats import provider_responses
from metering.pricelists.genai_prices import parse_genai_prices
from metering.pricing.rated_events import rated
from metering.providers.dialects import billed_parts

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1790942400,
    "model": "gpt-4o-2024-08-06",
    "choices": [{"message": {"content": "what a model said"}}],
    "usage": {
        "prompt_tokens": 540,
        "completion_tokens": 180,
        "total_tokens": 720,
        "prompt_tokens_details": {"cached_tokens": 300},
    },
    "service_tier": "default",
}


def parse(sent: object, provider: str = "") -> UsageEvent | Rejection:
    return provider_responses.parse(
        json.dumps(sent).encode(),
        place="line 1",
        source="file",
        received_at=NOW,
        provider=provider,
    )


def event(sent: object, provider: str = "") -> UsageEvent:
    found = parse(sent, provider)
    assert isinstance(found, UsageEvent), found
    return found


def test_a_chat_completion() -> None:
    found = event(CHAT)
    assert (found.event_id, found.provider_request_id) == ("chatcmpl-1", "chatcmpl-1")
    assert (found.provider, found.model) == ("openai", "gpt-4o-2024-08-06")
    assert (found.input_tokens, found.cached_input_tokens, found.output_tokens) == (540, 300, 180)
    assert found.occurred_at == datetime(2026, 10, 2, 12, tzinfo=UTC)
    assert (found.service_tier, found.batch) == ("standard", False)
    assert "said" not in repr(found)


def test_servers_that_speak_the_dialect_need_the_importers_word() -> None:
    sent = {**CHAT, "model": "meta-llama/Llama-3.1-8B-Instruct"}
    found = parse(sent)
    assert isinstance(found, Rejection)
    assert (found.reason, found.place) == ("missing_field", "line 1, provider")
    assert "--provider" in found.message
    assert event(sent, "vllm").provider == "vllm"
    assert event(CHAT, "azure").provider == "azure", "the importer knows better than the name"


def test_the_last_chunk_of_a_stream_is_a_response() -> None:
    chunk = {**CHAT, "object": "chat.completion.chunk", "choices": []}
    assert event(chunk).input_tokens == 540
    unused = parse({**chunk, "usage": None})
    assert isinstance(unused, Rejection)
    assert unused.reason == "no_usage"


def test_openais_responses_and_embeddings() -> None:
    found = event(
        {
            "id": "resp_1",
            "object": "response",
            "created_at": 1790942400.0,
            "model": "gpt-5.4",
            "usage": {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120},
            "metadata": {"tenant_id": "acme", "feature": "summary"},
            "safety_identifier": "jane",
        }
    )
    assert (found.tenant_id, found.endpoint_tag, found.user_id) == ("acme", "summary", "jane")
    vector = event({"id": "emb", "model": "text-embedding-3-small", "usage": {"prompt_tokens": 8}})
    assert (vector.input_tokens, vector.output_tokens) == (8, None)


def test_messages_and_geminis_answers() -> None:
    message = event(
        {
            "id": "msg_1",
            "type": "message",
            "model": "claude-sonnet-4-5",
            "usage": {"input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": 5},
        }
    )
    assert (message.provider, message.input_tokens) == ("anthropic", 110)
    answer = event(
        {
            "responseId": "r-1",
            "modelVersion": "gemini-2.5-pro",
            "createTime": "2026-10-02T12:00:00.5Z",
            "usageMetadata": {"promptTokenCount": 264, "candidatesTokenCount": 80},
        }
    )
    assert (answer.provider, answer.input_tokens, answer.output_tokens) == ("google", 264, 80)


def test_lines_of_a_batch() -> None:
    line = {
        "id": "batch_req_1",
        "custom_id": "row-17",
        "response": {"status_code": 200, "request_id": "r", "body": CHAT},
        "error": None,
    }
    found = event(line)
    assert (found.batch, found.external_request_id, found.event_id) == (
        True,
        "row-17",
        "chatcmpl-1",
    )
    message = {"id": "msg_1", "model": "claude-haiku-4-5", "usage": {"input_tokens": 1}}
    theirs = event({"custom_id": "row-1", "result": {"type": "succeeded", "message": message}})
    assert (theirs.batch, theirs.provider) == (True, "anthropic")
    failed = parse({"id": "batch_req_2", "custom_id": "row-18", "response": None, "error": {}})
    assert isinstance(failed, Rejection)
    assert (failed.reason, failed.key) == ("no_usage", "row-18")


@pytest.mark.parametrize(
    ("different", "reason"),
    [
        ({"model": None}, "missing_field"),
        ({"id": ""}, "missing_field"),
        ({"usage": [1]}, "no_usage"),
        ({"usage": {"nothing": 1}}, "unreadable_usage"),
        ({"created": "soon"}, "invalid_time"),
        ({"created": -1}, "invalid_time"),
        ({"created": 17909424000000}, "future_time"),
    ],
)
def test_what_is_no_response(different: dict[str, Any], reason: str) -> None:
    found = parse({**CHAT, **different})
    assert isinstance(found, Rejection), found
    assert found.reason == reason


def test_a_compound_system_is_billed_by_the_models_that_it_ran(shared_data: Path) -> None:
    """As recorded: the breakdown stands beside the usage, and sums to it."""
    name = "test_groq_model_web_search_tool.yaml"
    [path] = (shared_data / "cassettes").rglob(name)
    exchange = yaml.safe_load(path.read_text())["interactions"][0]
    body = exchange["response"]["parsed_body"]
    found = event(body, "groq")
    assert (found.usage_quality, found.input_tokens) == ("provider_reported", 5296)
    models = [part["model"] for part in body["usage_breakdown"]["models"]]
    assert [part.model for part in billed_parts(found)] == models
    listed = parse_genai_prices(providers, source="genai-prices", effective_at=NOW)
    rating = rated(found, PriceBook(listed.prices, [listed.rules]))
    assert rating.pricing == "priced"
    assert {class_and_model(line.token_class)[1] for line in rating.lines} == set(models)
    assert sum(line.quantity for line in rating.lines) == 5296 + 387


@pytest.mark.parametrize(
    "last",
    [
        {**CHAT, "usage": None, "x_groq": {"id": "req", "usage": CHAT["usage"]}},
        {"type": "response.completed", "response": CHAT, "sequence_number": 9},
    ],
)
def test_the_last_of_a_stream_is_a_response_too(last: dict[str, Any]) -> None:
    found = event(last, "openai")
    assert (found.event_id, found.input_tokens, found.output_tokens) == ("chatcmpl-1", 540, 180)
