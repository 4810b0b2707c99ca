"""A record of LiteLLM's and what differs from it, and how it is read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

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
