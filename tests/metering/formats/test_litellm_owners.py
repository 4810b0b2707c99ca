"""LiteLLM's records: whom a call is for, and its spend logs."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from metering.domain.usage import UsageEvent
from metering.formats import litellm
from tests.metering.formats.litellm_records import (
    METADATA,
    NOW,
    about,
    event,
    record,
)


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
