"""LiteLLM's records of calls: which call one is, what ran, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from metering.domain.keys import event_key
from metering.domain.usage import Rejection
from tests.metering.events import claim_of
from tests.metering.formats.litellm_records import (
    RECORD,
    USAGE,
    about,
    event,
    parse,
    record,
)


def test_a_call_as_the_callback_posts_it() -> None:
    found = event(RECORD)
    assert (found.event_id, found.external_request_id) == ("chatcmpl-1", "trace-1")
    assert (found.provider, found.model, found.model_executed) == (
        "openai",
        "gpt-4o",
        "gpt-4o-2024-08-06",
    )
    assert (found.input_tokens, found.cached_input_tokens) == (1000, 300)
    assert (found.output_tokens, found.reasoning_tokens) == (200, 50)
    assert found.occurred_at == datetime(2026, 11, 22, 6, 54, 12, 691553, tzinfo=UTC)
    assert found.latency_ms == 501
    assert found.usage_quality == "provider_reported"
    assert found.provider_request_id == "chatcmpl-1"


@pytest.mark.parametrize("name", ["standard_logging_payload", "spend_logs_payload"])
def test_recorded_payloads(shared_data: Path, name: str) -> None:
    sent = json.loads((shared_data / "litellm-logging" / f"{name}.json").read_bytes())
    found = event(sent)
    assert (found.provider, found.model) == ("openai", "gpt-4o")
    assert (found.input_tokens, found.output_tokens) == (10, 20)
    assert found.occurred_at == datetime(2025, 1, 24, 9, 20, 46, 847371, tzinfo=UTC)
    assert found.event_id == sent.get("id", sent.get("request_id"))
    assert found.user_id is None
    assert found.usage_quality == "provider_reported"


def test_the_cost_that_litellm_reckoned_is_not_read() -> None:
    costs = {"response_cost": 99.9, "saved_cache_cost": 1.5, "cost_breakdown": {"total_cost": 7}}
    assert event(record(**costs)) == event(RECORD)


def test_an_answer_that_is_logged_twice_is_one_event() -> None:
    once, again = event(record(stream=True)), event(record(cache_key="k", stream=None))
    assert event_key(once) == event_key(again)
    assert claim_of(once, None) == claim_of(again, None)


def test_attempts_and_fallbacks_are_calls_of_one_request() -> None:
    failed = {
        "status": "failure",
        "model_group": "fast",
        "metadata": {"user_api_key_hash": "88dc28d0"},
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "error_information": {"error_code": "429", "error_message": "said: hello"},
    }
    first = event(record(id="call-1", startTime=1795330452.1, **failed))
    second = event(record(id="call-1", startTime=1795330453.2, **failed))
    answer = event(record(model_group="good", metadata=about(user_api_key_hash="88dc28d0")))
    assert len({event_key(found) for found in (first, second, answer)}) == 3
    assert {found.external_request_id for found in (first, second, answer)} == {"call-1"}
    assert (first.status, first.error_code, first.input_tokens) == ("error", "429", 0)
    assert first.provider_request_id is None
    assert (first.model, first.model_executed) == ("fast", "gpt-4o")
    assert (answer.model, answer.model_executed) == ("good", "gpt-4o")
    assert event(record(id="call-1", startTime=1795330452.1, **failed)) == first, "a resend"


def test_outside_a_proxy_the_trace_holds_the_attempts_together() -> None:
    assert event(RECORD).external_request_id == "trace-1"
    assert event(record(trace_id=None)).external_request_id == "call-1"
    assert event(record(trace_id=None, litellm_call_id=None)).external_request_id == "chatcmpl-1"


def test_what_was_asked_for_first_is_the_model() -> None:
    found = event(record(model_group="good", metadata=about(original_model_group="bad")))
    assert (found.model, found.model_executed) == ("bad", "gpt-4o")


def test_an_answer_of_its_cache_costs_nothing_and_is_work_done() -> None:
    said: object
    for said in (True, "True"):
        found = event(record(cache_hit=said, id="chatcmpl-1_cache_hit1795330453.2"))
        assert (found.served_from, found.provider_request_id) == ("caller_cache", None)
    for said in (None, False, "None", "False", ""):
        assert event(record(cache_hit=said)).served_from == "provider"


@pytest.mark.parametrize(
    ("provider", "model", "ran"),
    [
        ("bedrock", "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock"),
        ("text-completion-openai", "gpt-3.5-turbo-instruct", "openai"),
        ("hosted_vllm", "meta-llama/Llama-3.1-8B", "vllm"),
        ("", "claude-sonnet-4-5", "anthropic"),
        (None, "gpt-4o", "openai"),
    ],
)
def test_who_ran_the_model(provider: str | None, model: str, ran: str) -> None:
    found = event(record(custom_llm_provider=provider, model=model, response={}))
    assert found.provider == ran
    assert found.model == model.removeprefix("bedrock/")


def test_azures_deployment_is_known_by_its_model() -> None:
    known = {"model_map_key": "gpt-4o-2024-08-06", "model_map_value": {"key": "gpt-4o"}}
    found = event(
        record(
            custom_llm_provider="azure",
            model="my-deployment",
            model_group="my-deployment",
            model_map_information=known,
        )
    )
    assert (found.model, found.model_executed) == ("my-deployment", "gpt-4o-2024-08-06")


@pytest.mark.parametrize(
    ("different", "reason", "place"),
    [
        ({"model": "", "status": "failure"}, "no_provider_call", "index 0, model"),
        ({"model": ""}, "missing_field", "index 0, model"),
        (
            {"custom_llm_provider": "", "model": "our-own"},
            "missing_field",
            "index 0, custom_llm_provider",
        ),
        ({"startTime": "yesterday"}, "invalid_time", "index 0, startTime"),
        ({"startTime": -5}, "invalid_time", "index 0, startTime"),
        ({"startTime": 1e30}, "future_time", "index 0"),
        ({"id": "", "litellm_call_id": None, "trace_id": None}, "missing_field", "index 0, id"),
        ({"metadata": {"usage_object": {"prompt_tokens": "ten"}}}, "unreadable_usage", "index 0"),
        ({"metadata": {}, "prompt_tokens": 1.5}, "wrong_type", "index 0, prompt_tokens"),
        ({"metadata": {}, "prompt_tokens": 10**20}, "out_of_range", "index 0"),
        ({"model": "x" * 201, "model_group": "g"}, "too_long", "index 0"),
    ],
)
def test_refusals_name_the_place(different: dict[str, Any], reason: str, place: str) -> None:
    found = parse(record(**different))
    assert isinstance(found, Rejection), found
    assert (found.reason, found.place) == (reason, place)


def test_the_first_payloads_are_refused_with_the_remedy() -> None:
    old = {"id": "1", "usage": "Usage(prompt_tokens=1)", "modelParameters": "{}", "model": "gpt-4o"}
    found = parse(old)
    assert isinstance(found, Rejection)
    assert found.reason == "old_payload"
    assert "generic_api_use_v1" in found.message


def test_what_people_wrote_is_in_nothing_that_comes_of_it() -> None:
    said = "hello from a prompt"
    sent = record(
        messages=[{"content": said}],
        response={"model": "gpt-4o", "choices": [{"message": {"content": said}}]},
        error_str=said,
        error_information={"error_message": said, "traceback": said, "error_code": "500"},
        proxy_server_request={"body": said},
        metadata=about(
            requester_metadata={"note": said},
            prompt_management_metadata={"prompt_id": "p", "prompt_variables": {"x": said}},
            mcp_tool_call_metadata={"arguments": said},
            usage_object={**USAGE, "note": said},
        ),
        classifier_input=said,
    )
    for status in ("success", "failure"):
        assert said not in repr(parse({**sent, "status": status}))
    assert said not in repr(parse({**sent, "model": ""}))
