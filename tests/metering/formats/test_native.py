"""The native event: what is read, and what it becomes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.usage import Share, UsageEvent
from metering.formats import native
from tests.metering.formats.native_events import LEAST, NOW, accepted, parse, refused


def test_the_least_event_takes_the_time_of_receipt_and_the_defaults() -> None:
    event = parse(LEAST)
    assert type(event) is UsageEvent
    assert event == UsageEvent(
        source="app",
        external_request_id="req_1",
        provider="openai",
        model="gpt-4o-mini",
        occurred_at=NOW,
        time_reported=False,
        input_tokens=540,
        output_tokens=180,
    )
    assert event.cached_input_tokens is None


def test_the_documented_event_is_read_whole() -> None:
    event = accepted(
        eventId=None,
        attempt=None,
        occurredAt="2026-10-03T14:00:00.123+02:00",
        modelExecuted="gpt-4o-mini-2024-07-18",
        providerRequestId="chatcmpl-1",
        cachedInputTokens=300,
        cacheWriteTokens=0,
        cacheWrite1hTokens=0,
        reasoningTokens=0,
        audioInputTokens=0,
        audioOutputTokens=0,
        imageInputTokens=0,
        imageOutputTokens=0,
        units={"web_search": 1},
        serviceTier="standard",
        batch=False,
        region=None,
        endpointTag="checkout.ai_summary",
        promptVersion="summary_v3",
        tenantId="acme",
        userId="u_5f",
        costCenter=None,
        status="success",
        errorCode=None,
        latencyMs=892,
        dataMode="real",
        environment="prod",
        tags={"team": "growth"},
        shares=[
            {"tenantId": "acme", "inputTokens": 300, "outputTokens": 100},
            {"tenantId": "globex", "inputTokens": 240, "outputTokens": 80},
        ],
        anonId="a",
        ipHash="i",
        agentHash="g",
        traceId="t",
        workflow="w",
        servedFrom="caller_cache",
    )
    assert event.occurred_at == datetime(2026, 10, 3, 12, 0, 0, 123000, tzinfo=UTC)
    assert event.occurred_at.tzinfo is UTC
    assert event.time_reported
    assert event.units == {"web_search": Decimal(1)}
    assert event.shares == (
        Share(tenant_id="acme", input_tokens=300, output_tokens=100),
        Share(tenant_id="globex", input_tokens=240, output_tokens=80),
    )
    assert type(event.shares[0]) is Share
    assert (event.workflow, event.served_from, event.trace_id) == ("w", "caller_cache", "t")


@given(st.lists(st.integers(1, 10**6) | st.decimals("0.001", "1e9"), min_size=1, max_size=300))
def test_weights_divide_all_tokens_of_the_call(weights: list[int | Decimal]) -> None:
    """Hundreds may share a call; what by weights they have sums to it, to the token."""
    shares = [{"tenantId": f"t{n}", "weight": str(weight)} for n, weight in enumerate(weights)]
    event = accepted(inputTokens=1003, outputTokens=7, shares=shares)
    assert [share.tenant_id for share in event.shares] == [each["tenantId"] for each in shares]
    assert sum(share.input_tokens for share in event.shares) == 1003
    assert sum(share.output_tokens for share in event.shares) == 7
    total = sum(map(Decimal, weights))
    for share, weight in zip(event.shares, weights, strict=True):
        assert abs(share.input_tokens - 1003 * Decimal(weight) / total) < 1


def test_every_field_of_an_event_can_be_sent_but_three() -> None:
    ours = set(UsageEvent.__struct_fields__)
    assert ours - set(native.FIELDS.values()) == {"source", "time_reported", "usage_quality"}
    assert native.FIELDS["cacheWrite1hTokens"] == "cache_write_1h_tokens"


def test_a_sender_who_guesses_an_inner_name_sets_nothing() -> None:
    event = accepted(**{"~source": "other", "~timeReported": True, "~usageQuality": "missing"})
    assert (event.source, event.time_reported, event.usage_quality) == ("app", False, "reported")


def test_parts_may_fill_their_whole_and_overlap() -> None:
    event = accepted(
        cachedInputTokens=340, cacheWriteTokens=200, cacheWrite1hTokens=200, audioInputTokens=540
    )
    assert event.cache_write_1h_tokens == 200
    assert accepted(inputTokens=None, cachedInputTokens=0).cached_input_tokens == 0


def test_a_time_may_be_a_day_ahead_and_no_more() -> None:
    edge = NOW + timedelta(hours=24)
    assert accepted(occurredAt=edge.isoformat()).occurred_at == edge
    beyond = edge + timedelta(microseconds=1)
    assert refused(occurredAt=beyond.isoformat()).reason == "future_time"


def test_null_and_empty_text_are_absent() -> None:
    texts = dict.fromkeys(["tenantId", "userId", "region", "eventId", "serviceTier"], "")
    rest = dict.fromkeys(["tags", "units", "shares", "batch", "status", "usage", "servedFrom"])
    assert accepted(**texts, **rest) == parse(LEAST)


def test_units_are_exact_and_written_one_way() -> None:
    payload = json.dumps(LEAST)[:-1] + ', "units": {"audio_seconds": 1.10, "images": 1e2}}'
    event = parse(payload)
    assert isinstance(event, UsageEvent)
    assert {name: str(q) for name, q in event.units.items()} == {
        "audio_seconds": "1.1",
        "images": "100",
    }


def test_units_alone_are_usage() -> None:
    event = accepted(inputTokens=None, outputTokens=None, units={"images": 2})
    assert event.input_tokens is None


@pytest.mark.parametrize(
    ("tier", "stored", "batch"),
    [
        ("default", "standard", False),
        ("on_demand", "standard", False),
        ("Flex", "flex", False),
        ("batch", "standard", True),
    ],
)
def test_tiers_have_one_name(tier: str, stored: str, *, batch: bool) -> None:
    event = accepted(serviceTier=tier)
    assert (event.service_tier, event.batch) == (stored, batch)
