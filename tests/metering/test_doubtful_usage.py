"""Doubtful reports and answers of several models, through ingestion into the books."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from metering.domain.periods import Month
from metering.domain.usage import Share, UsageEvent
from metering.formats import native
from metering.ingestion import ingest
from metering.verification.event_verification import check_month
from tests.metering.events import NOON, NOW, call

OCTOBER = Month.of(NOON)

ADVISED = {
    "input_tokens": 100,
    "output_tokens": 10,
    "iterations": [
        {"type": "message", "input_tokens": 100, "output_tokens": 10},
        {
            "type": "advisor_message",
            "model": "claude-opus-4-8",
            "input_tokens": 1000,
            "output_tokens": 100,
        },
    ],
}


def advised() -> UsageEvent:
    payload = {
        "externalRequestId": "advised",
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "occurredAt": NOON.isoformat(),
        "tenantId": "acme",
        "usage": ADVISED,
        "shares": [{"tenantId": "other", "inputTokens": 50, "outputTokens": 5}],
    }
    event = native.parse(json.dumps(payload).encode(), place="p", source="app", received_at=NOW)
    assert isinstance(event, UsageEvent)
    return event


@pytest.mark.django_db
def test_what_contradicts_itself_is_kept_unpriced_and_the_books_agree() -> None:
    doubtful = {"input_tokens": 10, "cached_input_tokens": 12, "usage_quality": "inconsistent"}
    share = Share(tenant_id="other", input_tokens=4, output_tokens=0)
    outcomes = ingest(
        [
            call("plain"),
            call("doubtful", **doubtful),
            call("shared", **doubtful, shares=(share,)),
            call("hourly", cache_write_tokens=1, cache_write_1h_tokens=2),
        ],
        now=NOW,
    )
    assert [outcome.outcome for outcome in outcomes] == ["accepted"] * 4
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pricing, cost, pricing_reason, usage_quality FROM usage_event"
            " WHERE external_request_id IN ('doubtful', 'shared')"
        )
        kept = cursor.fetchall()
    assert kept == [("unpriced", None, "input_tokens_exceeded", "inconsistent")] * 2
    assert list(check_month(OCTOBER)) == []


@pytest.mark.django_db
def test_what_another_model_did_stands_in_classes_of_its_own_and_the_books_agree() -> None:
    (outcome,) = ingest([advised()], now=NOW)
    assert outcome.outcome == "accepted"
    with connection.cursor() as cursor:
        cursor.execute("SELECT cost, lines::text FROM usage_event")
        cost, lines = cursor.fetchone()
    assert cost == Decimal("0.00045") + Decimal("0.0075")
    assert [line[:2] for line in json.loads(lines)] == [
        ["input", "100"],
        ["output", "10"],
        ["input@claude-opus-4-8", "1000"],
        ["output@claude-opus-4-8", "100"],
    ]
    assert list(check_month(OCTOBER)) == []


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "cached": ({"inputTokens": 10, "cachedInputTokens": 12, "outputTokens": 1}, "unpriced"),
    "negative": ({"inputTokens": -10}, "unpriced"),
    "negative in usage": ({"usage": {"prompt_tokens": -1, "completion_tokens": 5}}, "unpriced"),
    "half": ({"inputTokens": 10}, "priced"),
    "tier": ({"inputTokens": 10, "outputTokens": 1, "serviceTier": "Hyper"}, "priced"),
    "unit": ({"inputTokens": 10, "outputTokens": 1, "units": {"furlongs": 2}}, "priced"),
    "model": ({"inputTokens": 10, "outputTokens": 1, "model": "nobody-knows-it"}, "unpriced"),
}
"""What a sender may get wrong, and what becomes of the call."""


@pytest.mark.django_db
def test_no_mistake_of_a_sender_is_lost_or_becomes_a_silent_zero() -> None:
    events = []
    for name, (fields, _) in BAD.items():
        payload: dict[str, Any] = {
            "externalRequestId": name,
            "provider": "openai",
            "model": "gpt-4o-mini",
            "occurredAt": NOON.isoformat(),
        } | fields
        raw = json.dumps(payload).encode()
        event = native.parse(raw, place=name, source="app", received_at=NOW)
        assert isinstance(event, UsageEvent), event
        events.append(event)
    assert [each.outcome for each in ingest(events, now=NOW)] == ["accepted"] * len(BAD)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT external_request_id, pricing, cost, pricing_reason, usage_quality"
            " FROM usage_event"
        )
        kept = {name: rest for name, *rest in cursor}
    assert {name: pricing for name, (pricing, *_) in kept.items()} == {
        name: pricing for name, (_, pricing) in BAD.items()
    }
    for name, (pricing, cost, reason, quality) in kept.items():
        assert reason, name
        assert (cost is None) == (pricing == "unpriced"), name
        assert cost is None or cost > 0, name
        assert (quality == "inconsistent") == (name in ("cached", "negative", "negative in usage"))
    assert list(check_month(OCTOBER)) == []
