"""LangSmith's runs, posted and patched, as reports of calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.call_reports import CallReport
from metering.formats.langsmith.runs import parse_export, parse_run
from tests.metering.formats.joined import counted, spans_of
from tests.metering.formats.langsmith.runs import (
    CALL,
    CHAIN,
    NOW,
    ORDER,
    PATCH,
    POST,
    ROOT,
    USED,
    posted,
    run,
)

# -------------------------------------------------------------------------------- recorded runs

RECORDED = {
    "langsmith_js_wrap_openai_default": ("gpt-4o-mini", 9, 9, None, "provider_reported"),
    "langsmith_js_wrap_openai_reasoning": ("o1-mini", 43, 1901, 960, "provider_reported"),
    "langsmith_js_wrap_openai_stream": ("gpt-4o-mini", 9, 9, None, "provider_reported"),
    "langsmith_js_wrap_openai_stream_no usage": ("gpt-4o-mini", 9, 9, None, "estimated"),
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_batch_is_one_call(shared_data: Path, name: str) -> None:
    payload = (shared_data / "langsmith-runs" / f"{name}.json").read_bytes()
    (event,) = counted(parse_export(payload, place=name, received_at=NOW)).values()
    model, into, out, reasoning, quality = RECORDED[name]
    assert (event.provider, event.model, event.input_tokens) == ("openai", model, into)
    assert (event.output_tokens, event.reasoning_tokens or None) == (out, reasoning)
    assert event.usage_quality == quality
    assert event.model_executed is not None
    assert event.model_executed.startswith(model)
    assert (event.provider_request_id or "").startswith("chatcmpl-")
    assert event.latency_ms is not None
    assert event.occurred_at.year == 2024


def test_no_recorded_batch_is_left_out(shared_data: Path) -> None:
    """The others are streams of Anthropic's agents, which LangSmith's wrapper turns into runs."""
    files = {file.stem for file in (shared_data / "langsmith-runs").glob("*.json")}
    assert files == set(RECORDED)


def test_no_text_of_a_recorded_batch_is_in_its_reports(shared_data: Path) -> None:
    for name in RECORDED:
        payload = (shared_data / "langsmith-runs" / f"{name}.json").read_bytes()
        said = repr(parse_export(payload, place=name, received_at=NOW)).lower()
        assert "howdy" not in said
        assert "bash script" not in said


# ------------------------------------------------------------------------------------- messages

ABOVE = run(
    id=CHAIN,
    parent_run_id=ROOT,
    run_type="chain",
    dotted_order=ORDER.rpartition(".")[0],
    extra={"metadata": {"endpoint_tag": "search"}},
    outputs={"usage_metadata": {"input_tokens": 999, "output_tokens": 999}},
)
TOP = run(
    id=ROOT,
    parent_run_id=None,
    run_type="chain",
    name="agent",
    dotted_order=ORDER.partition(".")[0],
    extra={"metadata": {"user_id": "u_1", "tenant": "acme", "thread_id": "t_1"}},
    tags=["beta"],
)
MESSAGES = [("post", POST), ("patch", PATCH), ("post", ABOVE), ("post", TOP)]


def sent(messages: list[tuple[str, dict[str, Any]]]) -> list[CallReport]:
    by_act = {act: [run for told, run in messages if told == act] for act in ("post", "patch")}
    return posted(*by_act["post"], patch=by_act["patch"])


@given(st.permutations(MESSAGES), st.lists(st.integers(1, 4), max_size=4), st.data())
def test_any_order_and_any_batching_come_to_the_same(
    messages: list[tuple[str, dict[str, Any]]], sizes: list[int], data: st.DataObject
) -> None:
    messages = [*messages, *data.draw(st.lists(st.sampled_from(MESSAGES), max_size=3))]
    reports: list[CallReport] = []
    while messages:
        size = sizes.pop() if sizes else len(messages)
        reports += sent(messages[:size])
        messages = messages[size:]
    assert spans_of(reports) == spans_of(sent(MESSAGES))
    (event,) = counted(reports).values()
    assert (event.input_tokens, event.output_tokens) == (13, 4)
    assert (event.tenant_id, event.endpoint_tag, event.workflow) == ("acme", "search", "agent")
    assert dict(event.tags) == {"beta": "true", "project": "shop", "session": "t_1"}
    assert event.latency_ms == 1000
    assert event.external_request_id == CALL


def test_of_messages_of_one_instant_the_patch_holds() -> None:
    def with_usage(into: int) -> dict[str, Any]:
        return {"outputs": {"usage_metadata": {"input_tokens": into, "output_tokens": 1}}}

    post = {**POST, "end_time": PATCH["end_time"], **with_usage(9)}
    patch = {**PATCH, **with_usage(5)}
    (event,) = counted(posted(post, patch=[patch])).values()
    assert event.input_tokens == 5


def test_a_run_that_never_tells_its_usage_is_estimated_from_both_messages() -> None:
    answer = {"choices": [{"message": {"content": "Quite a few."}}]}
    reports = posted(POST, patch=[{**PATCH, "outputs": answer}])
    (event,) = counted(reports).values()
    assert (event.input_tokens, event.output_tokens) == (13, 4)
    assert event.usage_quality == "estimated"
    assert "tokens has this" not in repr(reports)
    zeros = {"usage_metadata": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}}
    (event,) = counted(posted(POST, patch=[{**PATCH, "outputs": {**answer, **zeros}}])).values()
    assert event.usage_quality == "estimated"


def test_a_failed_run_names_its_error_and_nothing_of_its_text() -> None:
    error = "RateLimitError('Error code: 429 - secret')Traceback (most recent call last): …"
    reports = posted(POST, patch=[{**PATCH, "outputs": None, "error": error}])
    (event,) = counted(reports).values()
    assert (event.status, event.error_code) == ("error", "RateLimitError")
    assert event.usage_quality == "missing"
    assert "secret" not in repr(reports)


def test_a_run_of_a_project_is_for_the_projects_feature_unless_somebody_says() -> None:
    alone = run(trace_id=CALL, parent_run_id=None, dotted_order=None, inputs={}, outputs={})
    ended = {**alone, "end_time": PATCH["end_time"], "outputs": {"usage_metadata": USED}}
    (event,) = counted(posted(ended)).values()
    assert (event.endpoint_tag, event.workflow) == ("shop", "ChatOpenAI")
    ended["tags"] = ["feature:checkout"]
    (event,) = counted(posted(ended)).values()
    assert event.endpoint_tag == "checkout"


def test_a_patch_may_name_its_run_by_its_order_alone() -> None:
    (report,) = posted(patch=[{key: PATCH[key] for key in ("dotted_order", "end_time")}])
    assert (report.span_id, report.trace_id, report.parent_span_id) == (CALL, ROOT, CHAIN)
    assert report.ancestors == (ROOT, CHAIN)
    assert report.fields["occurred_at"] == "2026-11-20T12:00:00.200000Z"


def test_a_run_without_a_trace_is_its_own() -> None:
    """`Client.create_run` and `update_run` send no trace unless they are given one."""
    bare = {"id": CALL, "run_type": "llm", "start_time": "2026-11-20T12:00:00", "name": "x"}
    (post,) = posted(bare)
    patch = parse_run(b'{"end_time": 1}', "patch", place="x", received_at=NOW, run_id=CALL)
    assert isinstance(patch, CallReport)
    assert (post.trace_id, patch.trace_id, patch.span_id) == (CALL, CALL, CALL)


@pytest.mark.parametrize(
    ("run_type", "is_call"),
    [("llm", True), ("embedding", True), ("chain", False), ("tool", False), (None, None)],
)
def test_model_runs_are_calls(
    run_type: str | None,
    is_call: bool | None,  # noqa: FBT001 - a case
) -> None:
    (report,) = posted(run(run_type=run_type, outputs={"usage_metadata": USED}))
    assert report.is_call is is_call
    assert ("usage" in report.fields) is (is_call is not False)


# ------------------------------------------------------------------------------ shapes of usage

LANGCHAIN = {
    "lc": 1,
    "id": ["langchain", "schema", "messages", "AIMessage"],
    "kwargs": {
        "content": "Howdy!",
        "id": "run-123",
        "usage_metadata": USED,
        "response_metadata": {"model_name": "gpt-4o-mini-2024-07-18", "id": "chatcmpl-abcdef"},
    },
}


@pytest.mark.parametrize(
    ("outputs", "metadata"),
    [
        ({"usage_metadata": USED}, {}),
        ({}, {"usage_metadata": USED}),
        ({"output": LANGCHAIN}, {}),
        ({"messages": [{"content": "x"}, LANGCHAIN]}, {}),
        ({"generations": [[{"text": "Howdy!", "message": LANGCHAIN}]]}, {}),
        ({"generations": [{"text": "Howdy!", "message": LANGCHAIN}]}, {}),
        ({"llm_output": {"token_usage": {"prompt_tokens": 13, "completion_tokens": 4}}}, {}),
        ({"usage": {"prompt_tokens": 13, "completion_tokens": 4, "total_tokens": 17}}, {}),
        ({"usage": {"input_tokens": 3, "cache_read_input_tokens": 10, "output_tokens": 4}}, {}),
        ({"usageMetadata": {"promptTokenCount": 13, "candidatesTokenCount": 4}}, {}),
        (
            {"output": {"response_metadata": {"usage": {"input_tokens": 13, "output_tokens": 4}}}},
            {},
        ),
    ],
)
def test_usage_stands_in_many_places(outputs: dict[str, Any], metadata: dict[str, Any]) -> None:
    told = {"ls_provider": "openai", "ls_model_name": "gpt-4o-mini", **metadata}
    (event,) = counted(posted(run(outputs=outputs, extra={"metadata": told}))).values()
    assert (event.input_tokens, event.output_tokens) == (13, 4)
    assert event.usage_quality == "provider_reported"


def test_several_prompts_of_one_run_are_added_up() -> None:
    outputs = {"generations": [[{"message": LANGCHAIN}, {"message": LANGCHAIN}]] * 2}
    (event,) = counted(posted(run(outputs=outputs))).values()
    assert (event.input_tokens, event.output_tokens) == (26, 8)


def test_an_exported_run_tells_its_own_counts() -> None:
    exported = run(
        end_time="2026-11-20T12:00:01.8Z",
        status="success",
        prompt_tokens=26000,
        completion_tokens=800,
        total_tokens=26800,
        prompt_token_details={
            "cache_read": 20000,
            "ephemeral_5m_input_tokens": 3000,
            "ephemeral_1h_input_tokens": 2000,
        },
        total_cost="0.04425",
        extra={"metadata": {"ls_provider": "anthropic", "ls_model_name": "claude-sonnet-4-5"}},
    )
    (event,) = counted(
        parse_export(json.dumps(exported).encode(), place="line 1", received_at=NOW)
    ).values()
    assert (event.provider, event.input_tokens, event.output_tokens) == ("anthropic", 26000, 800)
    assert (event.cached_input_tokens, event.cache_write_tokens) == (20000, 5000)
    assert (event.cache_write_1h_tokens, event.status) == (2000, "success")


def test_langchains_answer_names_model_and_request() -> None:
    (event,) = counted(posted(run(outputs={"generations": [[{"message": LANGCHAIN}]]}))).values()
    assert (event.model, event.model_executed) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")
    assert event.provider_request_id == "chatcmpl-abcdef"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        *(("google_genai", "google"), ("google_vertexai", "google"), ("azure", "azure")),
        *(("amazon_bedrock", "aws"), ("anthropic", "anthropic"), ("mistralai", "mistral")),
        (None, "openai"),
    ],
)
def test_frameworks_words_for_providers_are_known(said: str | None, meant: str) -> None:
    metadata = {"ls_provider": said, "ls_model_name": "gpt-4o-mini"}
    (event,) = counted(
        posted(run(extra={"metadata": metadata}, outputs={"usage_metadata": USED}))
    ).values()
    assert event.provider == meant


def test_a_prompt_of_the_hub_is_its_repository_and_commit() -> None:
    hub = {"lc_hub_repo": "summary", "lc_hub_commit_hash": "0123456789abcdef"}
    (report,) = posted(run(extra={"metadata": hub}))
    assert report.fields["prompt_version"] == "summary@01234567"
