"""`POST /integrations/litellm`: what the callback posts, in each of its layouts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.metering.api.keys import counts, post, refused, rows, secret, stored
from tests.metering.formats.litellm_records import RECORD

pytestmark = pytest.mark.usefixtures("db")

PATH = "/integrations/litellm"


def record(number: int = 1, **different: Any) -> dict[str, Any]:
    started = {"startTime": "2026-10-03T12:00:00Z", "endTime": "2026-10-03T12:00:01Z"}
    return {**RECORD, "id": f"chatcmpl-{number}", **started, **different}


def test_an_array_one_object_and_lines_are_the_same() -> None:
    key = secret()
    three = [record(number) for number in range(3)]
    assert counts(post(key, three, path=PATH).json()) == {"accepted": 3}
    lines = "\n".join(map(json.dumps, three)).encode()
    assert counts(post(key, lines, path=PATH).json()) == {"duplicates": 3}
    assert counts(post(key, three[0], path=PATH).json()) == {"duplicates": 1}
    assert rows("SELECT DISTINCT provider, model, pricing, cost > 0 FROM usage_event") == [
        ("openai", "gpt-4o", "priced", True)
    ]


def test_the_cost_is_ours_and_not_that_of_the_record() -> None:
    post(secret(), [record(1, response_cost=99), record(2, response_cost=0)], path=PATH)
    # per million: 700 at $2.50, 300 cached at $1.25, 200 at $10
    assert rows("SELECT DISTINCT cost::text FROM usage_event") == [("0.004125",)]


def test_a_cached_answer_costs_nothing() -> None:
    post(secret(), record(1, cache_hit=True), path=PATH)
    assert rows("SELECT served_from, pricing, cost FROM usage_event") == [
        ("caller_cache", "free", 0)
    ]


def test_a_success_without_usage_is_kept_unpriced() -> None:
    sent = record(1, metadata={}, prompt_tokens=0, completion_tokens=0)
    assert counts(post(secret(), sent, path=PATH).json()) == {"accepted": 1}
    assert rows("SELECT usage_quality, pricing, cost FROM usage_event") == [
        ("missing", "unpriced", None)
    ]


def test_what_cannot_be_taken_is_told_and_costs_itself_only() -> None:
    sent = [record(1), record(2, model=""), None, record(3)]
    answer = post(secret(), sent, path=PATH).json()
    assert counts(answer) == {"accepted": 2, "rejected": 2}
    assert [(o["index"], o["reason"], o["place"]) for o in answer["outcomes"]] == [
        (1, "missing_field", "index 1"),
        (2, "not_an_object", "index 2"),
    ]


def test_a_key_is_asked_for() -> None:
    refused(post(None, [], path=PATH), 401, "no-key")
    refused(post(secret("finance"), [], path=PATH), 403, "wrong-scope")
    assert stored() == 0
