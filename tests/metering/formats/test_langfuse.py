"""Langfuse's ingestion batches and exported traces as reports of calls."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.call_reports import CallReport
from metering.domain.usage import Rejection
from metering.formats.attribute_map import DEFAULT
from metering.formats.langfuse import parse_export
from metering.formats.span_facts import Interpretation
from tests.metering.formats.joined import counted, spans_of
from tests.metering.formats.langfuse_events import NOW, generation, read, sent

# ------------------------------------------------------------------------------ recorded traces

RECORDED = {
    "autogen-2025-06-06": [("gpt-4o", "openai", 41, 3)],
    "claude-agent-2025-12-22": [
        ("claude-sonnet-4-5-20250929", "anthropic", 5, 53),
        ("claude-sonnet-4-5-20250929", "anthropic", 5, 56),
        ("claude-sonnet-4-5-20250929", "anthropic", 5, 94),
        ("claude-sonnet-4-5-20250929", "anthropic", 19, 29),
    ],
    "crewai-2025-07-11": [("gpt-4o-mini", "openai", 190, 164)],
    "csharp-agent-with-gemini-2026-03-09": [
        ("gemini-2.5-flash", "google", 2497, 200),
        ("gemini-2.5-flash", "google", 2546, 47),
        ("gemini-2.5-flash", "google", 3004, 167),
    ],
    "google-adk-2025-08-28": [
        ("gemini-2.0-flash", "google", 28, 3),
        ("gemini-2.0-flash", "google", 39, 6),
    ],
    "koog-2025-08-26": [("gpt-4o", "openai", 47, 106), ("gpt-4o", "openai", 168, 19)],
    "langgraph-python-2025-08-22": [
        ("gpt-4o-2024-08-06", "openai", 60, 15),
        ("gpt-4o-2024-08-06", "openai", 108, 51),
    ],
    "llamaindex-2025-06-05": [("gpt-4o", "openai", 13, 81)],
    "openai-agents-2025-09-30": [
        ("gpt-4.1-2025-04-14", "openai", 55, 15),
        ("gpt-4.1-2025-04-14", "openai", 85, 29),
    ],
    "pydantic-ai-2025-06-06": [("gpt-4o", "openai", 31, 96)],
    "pydantic-ai-tools-2025-06-06": [("gpt-4o", "openai", 31, 96)],
    "pydantic-ai-tools-2025-12-04": [
        ("gpt-4o-mini-2024-07-18", "openai", 131, 69),
        ("gpt-4o-mini-2024-07-18", "openai", 265, 73),
        ("gpt-4o-mini-2024-07-18", "openai", 417, 53),
        ("gpt-4o-mini-2024-07-18", "openai", 502, 14),
    ],
}
"""What of each trace counts: its leaf calls, as Langfuse itself shows their tokens."""


def recorded(folder: Path, name: str) -> list[CallReport | Rejection]:
    payload = (folder / "langfuse-traces" / f"{name}.trace.json").read_bytes()
    return parse_export(payload, place=name, received_at=NOW)


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_trace_counts_its_leaf_calls(shared_data: Path, name: str) -> None:
    events = counted(recorded(shared_data, name)).values()
    found = sorted((e.model, e.provider, e.input_tokens or 0, e.output_tokens or 0) for e in events)
    assert found == sorted(RECORDED[name])
    assert all(e.usage_quality == "provider_reported" for e in events)
    assert all(e.time_reported and e.latency_ms is not None for e in events)


def test_no_recorded_trace_is_left_out(shared_data: Path) -> None:
    files = (shared_data / "langfuse-traces").glob("*.trace.json")
    assert {file.name.removesuffix(".trace.json") for file in files} == set(RECORDED)


def test_what_stands_on_a_trace_is_said_of_all_of_its_calls(shared_data: Path) -> None:
    (event,) = counted(recorded(shared_data, "autogen-2025-06-06")).values()
    assert event.user_id is None, "what names the user travels beside the event"
    assert event.workflow == "autogen-chat-trace"
    assert event.tags["session"] == "session_abc"
    assert event.tags["autogen"] == "true"
    events = counted(recorded(shared_data, "csharp-agent-with-gemini-2026-03-09")).values()
    assert {e.environment for e in events} == {"staging"}
    assert {e.endpoint_tag for e in events} == {"agentic-clientinsights"}


def test_no_text_of_a_recorded_trace_is_in_its_reports(shared_data: Path) -> None:
    """Names of spans and agents may be; what was asked and answered may not."""
    for name in RECORDED:
        payload = json.loads((shared_data / "langfuse-traces" / f"{name}.trace.json").read_bytes())
        said = repr(recorded(shared_data, name))
        for observation in payload["observations"]:
            for text in (observation["input"], observation["output"]):
                if isinstance(text, str) and len(text) > 20:
                    assert text[:20] not in said
                    assert json.dumps(text)[1:40] not in said


# ------------------------------------------------------------------------------------- messages


def test_a_generation_that_is_sent_whole_is_an_event() -> None:
    (event,) = counted(
        read(
            sent(
                "generation-create",
                generation(
                    promptName="summary",
                    promptVersion=3,
                    environment="production",
                    modelParameters={"service_tier": "flex"},
                    metadata={"tenant_id": "acme", "endpoint_tag": "checkout", "secret": "prompt"},
                ),
            )
        )
    ).values()
    assert (event.provider, event.model) == ("anthropic", "claude-sonnet-4-5-20250929")
    assert (event.input_tokens, event.cached_input_tokens, event.output_tokens) == (
        *(21000, 20000),
        800,
    )
    assert event.occurred_at == datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert (event.latency_ms, event.external_request_id) == (1800, "gen-1")
    assert (event.tenant_id, event.endpoint_tag) == ("acme", "checkout")
    assert (event.prompt_version, event.environment) == ("summary@3", "prod")
    assert (event.service_tier, event.trace_id) == ("flex", "tr-1")
    assert dict(event.tags) == {}


CREATED = sent(
    "generation-create",
    {
        "id": "gen-1",
        "traceId": "tr-1",
        "parentObservationId": "span-1",
        "startTime": "2026-11-20T12:00:00Z",
        "model": "gpt-4o",
        "input": [{"role": "user", "content": "How many tokens has this?"}],
    },
    id="a",
    at="2026-11-20T12:00:00Z",
)
UPDATED = sent(
    "generation-update",
    {
        "id": "gen-1",
        "endTime": "2026-11-20T12:00:02Z",
        "output": "Quite a few.",
        "traceId": "tr-1",
        "usageDetails": {"input": 13, "output": 4},
    },
    id="b",
    at="2026-11-20T12:00:02Z",
)
SPAN = sent(
    "span-create",
    {"id": "span-1", "traceId": "tr-1", "metadata": {"endpoint_tag": "search"}},
    id="c",
)
TRACE = sent(
    "trace-create",
    {
        "id": "tr-1",
        "name": "chat",
        "userId": "u_1",
        "sessionId": "s_1",
        "tags": ["tenant:acme", "beta"],
        "release": "v7",
        "environment": "staging",
    },
    id="d",
    at="2026-11-20T12:00:09Z",
)
SCORE = sent("score-create", {"traceId": "tr-1", "name": "good", "value": 1}, id="e")
MESSAGES = [CREATED, UPDATED, SPAN, TRACE, SCORE]


@given(st.permutations(MESSAGES), st.lists(st.integers(1, 4), max_size=4), st.data())
def test_any_order_and_any_batching_come_to_the_same(
    messages: list[dict[str, Any]], sizes: list[int], data: st.DataObject
) -> None:
    messages = [*messages, *data.draw(st.lists(st.sampled_from(MESSAGES), max_size=3))]
    reports = []
    while messages:
        size = sizes.pop() if sizes else len(messages)
        reports += read(*messages[:size])
        messages = messages[size:]
    assert spans_of(reports) == spans_of(read(*MESSAGES))
    (event,) = counted(reports).values()
    assert (event.input_tokens, event.output_tokens) == (13, 4)
    assert (event.tenant_id, event.endpoint_tag, event.workflow) == ("acme", "search", "chat")
    assert (event.environment, event.latency_ms) == ("staging", 2000)
    assert dict(event.tags) == {"beta": "true", "release": "v7", "session": "s_1"}


def test_a_call_that_never_tells_its_usage_is_estimated_from_both_messages() -> None:
    body = {key: value for key, value in UPDATED["body"].items() if key != "usageDetails"}
    reports = read(CREATED, {**UPDATED, "body": body})
    (event,) = counted(reports).values()
    assert (event.input_tokens, event.output_tokens) == (13, 4)
    assert event.usage_quality == "estimated"
    assert "tokens has this" not in repr(reports)
    (told,) = counted([*reports, *read(UPDATED)]).values()
    assert told.usage_quality == "provider_reported"


def test_a_failed_call_names_its_error_and_nothing_of_its_text() -> None:
    message = "openai.RateLimitError: Error code: 429 - your prompt 'secret' was too long"
    reports = read(
        sent("generation-create", generation(level="ERROR", statusMessage=message, output="x"))
    )
    (event,) = counted(reports).values()
    assert (event.status, event.error_code) == ("error", "RateLimitError")
    assert "secret" not in repr(reports)


@pytest.mark.parametrize(
    ("kind", "body_type", "is_call"),
    [
        ("generation-create", None, True),
        ("embedding-create", None, True),
        ("observation-create", "GENERATION", True),
        ("observation-update", "EMBEDDING", True),
        ("observation-create", "SPAN", False),
        ("observation-update", None, None),
        *((f"{kind}-create", None, False) for kind in ("span", "event", "agent", "tool", "chain")),
    ],
)
def test_generations_and_embeddings_are_calls(
    kind: str,
    body_type: str | None,
    is_call: bool | None,  # noqa: FBT001 - a case
) -> None:
    (report,) = read(sent(kind, generation(type=body_type)))
    assert report.is_call is is_call
    assert ("usage" in report.fields) is (is_call is not False)


def test_a_generation_may_have_the_id_of_its_trace() -> None:
    """LangChain's handler gives a root run's id to its trace as well."""
    whole = read(
        sent("generation-create", generation(id="tr-1"), id="a"),
        sent("trace-create", {"id": "tr-1", "userId": "u"}, id="b", at="2026-11-20T13:00:00Z"),
    )
    assert list(counted(whole)) == ["tr-1"]


def test_what_stands_on_a_root_is_said_of_what_is_beneath_it_only() -> None:
    """Two roots of one trace are under the trace, beside each other."""
    reports = read(
        sent("span-create", {"id": "a", "traceId": "tr-1", "metadata": {"feature": "a"}}, id="1"),
        sent("span-create", {"id": "b", "traceId": "tr-1"}, id="2"),
        sent("generation-create", generation(parentObservationId="b"), id="3"),
        sent("trace-create", {"id": "tr-1", "metadata": {"tenant": "acme"}}, id="4"),
    )
    (event,) = counted(reports).values()
    assert (event.endpoint_tag, event.tenant_id) == (None, "acme")


def test_older_sdks_name_the_observation_otherwise() -> None:
    (report,) = read(sent("generation-update", generation(id=None, generationId="gen-9")))
    assert report.span_id == "gen-9"


def test_a_source_may_name_attributes_of_its_own() -> None:
    how = Interpretation(DEFAULT.preferring({"tenant_id": ["kunde"]}), frozenset({"gpu-farm"}))
    (report,) = read(
        sent("generation-create", generation(metadata={"kunde": "k1", "provider": "gpu-farm"})),
        how=how,
    )
    assert (report.fields["tenant_id"], report.fields["provider"]) == ("k1", "gpu-farm")


@pytest.mark.parametrize(
    "shares",
    [
        '{"acme": 3, "globex": 1}',
        [{"tenantId": "acme", "weight": 3}, {"tenantId": "globex", "weight": 1}],
    ],
)
def test_a_call_that_many_share_is_divided_by_weights_once_its_tokens_are_known(
    shares: Any,
) -> None:
    told = sent("generation-create", generation(usageDetails=None, metadata={"shares": shares}))
    used = sent(
        "generation-update",
        {"id": "gen-1", "traceId": "tr-1", "usageDetails": {"input": 400, "output": 8}},
        id="b",
    )
    (event,) = counted(read(told, used)).values()
    assert [(s.tenant_id, s.input_tokens, s.output_tokens) for s in event.shares] == [
        ("acme", 300, 6),
        ("globex", 100, 2),
    ]


# ------------------------------------------------------------------------------ shapes of usage


@pytest.mark.parametrize(
    ("body", "into", "cached", "out"),
    [
        ({"usage": {"input": 10, "output": 5, "total": 15, "unit": "TOKENS"}}, 10, None, 5),
        ({"usage": {"promptTokens": 10, "completionTokens": 5, "totalTokens": 15}}, 10, None, 5),
        ({"usage": {"input": 10, "output": 5, "inputCost": 0.25, "totalCost": 1.5}}, 10, None, 5),
        (
            {
                "usageDetails": {
                    "prompt_tokens": 10,
                    "completion_tokens": 5,
                    "total_tokens": 15,
                    "prompt_tokens_details": {"cached_tokens": 4},
                    "queue_time": 0.125,
                }
            },
            *(10, 4, 5),
        ),
        (
            {
                "usageDetails": {
                    "input_tokens": 10,
                    "cache_read_input_tokens": 100,
                    "cache_creation_input_tokens": 0,
                    "output_tokens": 5,
                }
            },
            *(110, 100, 5),
        ),
        ({"usageDetails": {}, "usage": {"input": 10, "output": 5}}, 10, None, 5),
        ({"usageDetails": {"input": 7, "output": None}, "usage": {"input": 10}}, 7, None, None),
        ({"type": "EMBEDDING", "usageDetails": {"total": 9}}, 9, None, None),
    ],
)
def test_usage_comes_in_many_shapes(
    body: dict[str, Any], into: int, cached: int | None, out: int | None
) -> None:
    call = generation(**body)
    if "usageDetails" not in body:
        del call["usageDetails"]
    (event,) = counted(read(sent("generation-create", call))).values()
    assert (event.input_tokens, event.cached_input_tokens, event.output_tokens) == (
        *(into, cached),
        out,
    )
    assert event.usage_quality == "provider_reported"
    assert event.usage is not None
    assert "ost" not in event.usage


@pytest.mark.parametrize(
    ("unit", "total", "name", "quantity"),
    [
        ("CHARACTERS", 1200, "input_characters", "1200"),
        ("MILLISECONDS", 1500, "audio_seconds", "1.5"),
        ("IMAGES", 2, "output_images", "2"),
    ],
)
def test_older_usage_may_be_in_other_units(unit: str, total: int, name: str, quantity: str) -> None:
    call = generation(usage={"total": total, "unit": unit}, usageDetails=None)
    (report,) = read(sent("generation-create", call))
    assert report.fields["units"] == {name: quantity}
