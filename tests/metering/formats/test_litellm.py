"""LiteLLM's records of calls: as it writes them, as its providers make them differ."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from metering.domain.keys import claim_digest, event_key
from metering.domain.usage import Rejection, UsageEvent
from metering.formats import litellm

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

USAGE: dict[str, Any] = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "total_tokens": 1200,
    "prompt_tokens_details": {"cached_tokens": 300},
    "completion_tokens_details": {"reasoning_tokens": 50},
}
METADATA: dict[str, Any] = {"usage_object": USAGE, "user_api_key_hash": None}
RECORD: dict[str, Any] = {
    "id": "chatcmpl-1",
    "litellm_call_id": "call-1",
    "trace_id": "trace-1",
    "call_type": "acompletion",
    "cache_hit": None,
    "status": "success",
    "custom_llm_provider": "openai",
    "startTime": 1795330452.691553,
    "endTime": 1795330453.193131,
    "response_time": 0.5015778541564941,
    "model": "gpt-4o",
    "model_group": "",
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "total_tokens": 1200,
    "response_cost": 0.00022500000000000002,
    "request_tags": [],
    "end_user": "",
    "metadata": METADATA,
    "model_parameters": {},
    "messages": [{"role": "user", "content": "hello"}],
    "response": {"model": "gpt-4o-2024-08-06", "choices": [{"message": {"content": "hi"}}]},
}


def parse(sent: object) -> UsageEvent | Rejection:
    payload = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    return litellm.parse(payload, place="index 0", source="proxy", received_at=NOW)


def record(**different: Any) -> dict[str, Any]:
    return {**RECORD, **different}


def event(sent: dict[str, Any]) -> UsageEvent:
    found = parse(sent)
    assert isinstance(found, UsageEvent), found
    return found


def about(**metadata: Any) -> dict[str, Any]:
    return {**METADATA, **metadata}


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


# ---------------------------------------------------------------- usage


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        # Anthropic's, as LiteLLM brings it: the input includes the cache
        (
            {
                "prompt_tokens": 26_000,
                "completion_tokens": 800,
                "total_tokens": 26_800,
                "cache_read_input_tokens": 20_000,
                "cache_creation_input_tokens": 5_000,
                "prompt_tokens_details": {
                    "cached_tokens": 20_000,
                    "cache_creation_tokens": 5_000,
                    "cache_creation_token_details": {
                        "ephemeral_5m_input_tokens": 3_000,
                        "ephemeral_1h_input_tokens": 2_000,
                    },
                },
            },
            (26_000, 20_000, 5_000, 2_000, 800),
        ),
        # the same, passed through without the cache in the input: more was read than came in
        (
            {
                "prompt_tokens": 1_000,
                "completion_tokens": 800,
                "total_tokens": 1_800,
                "cache_read_input_tokens": 20_000,
                "cache_creation_input_tokens": 5_000,
            },
            (26_000, 20_000, 5_000, None, 800),
        ),
        # a split that LiteLLM itself leaves at 0 beside its aggregate
        (
            {
                "prompt_tokens": 27_506,
                "completion_tokens": 690,
                "cache_creation_input_tokens": 12_229,
                "cache_read_input_tokens": 14_942,
                "prompt_tokens_details": {
                    "cache_creation_token_details": {
                        "ephemeral_5m_input_tokens": 0,
                        "ephemeral_1h_input_tokens": 0,
                    }
                },
            },
            (27_506, 14_942, 12_229, 0, 690),
        ),
        # Anthropic's own object, where no transformation took place
        (
            {
                "input_tokens": 1_000,
                "output_tokens": 800,
                "cache_read_input_tokens": 500,
                "cache_creation_input_tokens": 100,
            },
            (1_600, 500, 100, None, 800),
        ),
        # an embedding: LiteLLM leaves the total at 0
        (
            {"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 0},
            (10, None, None, None, 0),
        ),
    ],
)
def test_the_input_includes_what_the_cache_read_and_wrote(
    usage: dict[str, Any], counts: tuple[int | None, ...]
) -> None:
    provider = "openai" if usage.get("total_tokens") == 0 else "anthropic"
    found = event(record(metadata=about(usage_object=usage), custom_llm_provider=provider))
    assert (
        found.input_tokens,
        found.cached_input_tokens,
        found.cache_write_tokens,
        found.cache_write_1h_tokens,
        found.output_tokens,
    ) == counts
    assert found.usage_quality == "provider_reported"


def test_searches_and_pictures_are_units() -> None:
    usage = {
        **USAGE,
        "server_tool_use": {"web_search_requests": 2},
        "output_image_count": 3,
    }
    assert event(record(metadata=about(usage_object=usage))).units == {
        "web_search": Decimal(2),
        "images": Decimal(3),
    }


def test_without_a_usage_object_the_totals_count() -> None:
    found = event(record(metadata={}))
    assert (found.input_tokens, found.output_tokens) == (1000, 200)
    assert (found.usage, found.usage_quality) == (None, "reported")


def test_a_successful_call_without_usage_is_missing_not_free() -> None:
    found = event(record(metadata={}, prompt_tokens=0, completion_tokens=0))
    assert (found.input_tokens, found.output_tokens) == (None, None)
    assert (found.usage, found.usage_quality) == (None, "missing")
    zeros = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), 0)
    assert event(record(metadata=about(usage_object=zeros))).usage_quality == "missing"


@pytest.mark.parametrize("kind", ["alist_batches", "aretrieve_file", "acreate_batch"])
def test_what_runs_no_model_is_no_usage(kind: str) -> None:
    found = parse(record(call_type=kind, metadata={}, prompt_tokens=0, completion_tokens=0))
    assert isinstance(found, Rejection)
    assert found.reason == "no_usage"


def test_a_batch_that_was_read_back_with_its_usage_counts_as_a_batch() -> None:
    assert event(record(call_type="aretrieve_batch")).batch is True


# ---------------------------------------------------------------- which call it is


def test_an_answer_that_is_logged_twice_is_one_event() -> None:
    once, again = event(record(stream=True)), event(record(cache_key="k", stream=None))
    assert event_key(once) == event_key(again)
    assert claim_digest(once, None) == claim_digest(again, None)


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


# ---------------------------------------------------------------- whom it is for


def test_who_is_said_in_tags_metadata_headers_and_keys() -> None:
    found = event(
        record(
            request_tags=["tenant:acme", "feature=summary", "beta", "User-Agent: curl/8"],
            end_user="jane",
            metadata=about(
                requester_metadata={"prompt_version": "v3", "messages": "hello"},
                spend_logs_metadata={"cost_center": "CC-1", "environment": "staging"},
                requester_custom_headers={"x-data-mode": "test"},
                user_api_key_team_id="team-1",
                user_api_key_team_alias="Growth",
                user_api_key_user_id="owner",
                user_api_key_user_email="jane@example.com",
            ),
        )
    )
    assert (found.tenant_id, found.endpoint_tag, found.user_id) == ("acme", "summary", "jane")
    assert (found.prompt_version, found.cost_center) == ("v3", "CC-1")
    assert (found.environment, found.data_mode) == ("staging", "test")
    assert found.tags == {"beta": "true", "team": "Growth"}


def test_without_a_word_it_is_the_keys_team_and_user() -> None:
    found = event(
        record(metadata=about(user_api_key_team_id="team-1", user_api_key_user_id="owner"))
    )
    assert (found.tenant_id, found.user_id) == ("team-1", "owner")
    assert event(record(model_parameters={"user": "user-42"})).user_id == "user-42"
    assert event(record(metadata=about(user_api_key_user_id="default_user_id"))).user_id is None


def test_a_source_may_name_what_it_uses_itself() -> None:
    found = litellm.parse(
        json.dumps(record(metadata=about(requester_metadata={"konzern": "acme"}))).encode(),
        place="index 0",
        source="proxy",
        received_at=NOW,
        attributes=litellm.ATTRIBUTES.preferring({"tenant_id": ["konzern"]}),
    )
    assert isinstance(found, UsageEvent)
    assert found.tenant_id == "acme"


def test_shares_by_weight_divide_the_call() -> None:
    shares = {"shares": {"acme": 3, "globex": 1}}
    found = event(record(metadata=about(spend_logs_metadata=shares)))
    assert {share.tenant_id: share.input_tokens for share in found.shares} == {
        "acme": 750,
        "globex": 250,
    }


def test_a_spend_log_writes_its_objects_as_text() -> None:
    found = event(
        {
            "request_id": "chatcmpl-9",
            "startTime": "2026-10-03T12:00:00.250Z",
            "request_duration_ms": 820,
            "model": "gpt-4o",
            "model_group": "",
            "custom_llm_provider": "openai",
            "team_id": "team-1",
            "user": "owner",
            "end_user": "jane",
            "request_tags": '["feature:summary"]',
            "cache_hit": "True",
            "metadata": json.dumps({**METADATA, "status": "success"}),
        }
    )
    assert (found.tenant_id, found.user_id, found.endpoint_tag) == ("team-1", "jane", "summary")
    assert (found.latency_ms, found.served_from, found.input_tokens) == (820, "caller_cache", 1000)
    assert found.occurred_at == datetime(2026, 10, 3, 12, 0, 0, 250_000, tzinfo=UTC)


# ---------------------------------------------------------------- refusals


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
