"""LangSmith's runs, posted, patched, in batches and in forms, as reports of calls."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.call_reports import CallReport
from metering.domain.usage import Rejection
from metering.formats.batches import UnreadableBatch
from metering.formats.langsmith import parse_batch, parse_export, parse_form, parse_run
from metering.formats.langsmith_form import boundary_of
from tests.metering.formats.joined import counted, spans_of

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ROOT, CHAIN, CALL = (f"0000000{n}-0000-7000-8000-00000000000{n}" for n in range(3))
ORDER = f"20261120T120000000000Z{ROOT}.20261120T120000100000Z{CHAIN}.20261120T120000200000Z{CALL}"
USED = {"input_tokens": 13, "output_tokens": 4, "total_tokens": 17}


def run(**different: Any) -> dict[str, Any]:
    return {
        "id": CALL,
        "trace_id": ROOT,
        "parent_run_id": CHAIN,
        "dotted_order": ORDER,
        "name": "ChatOpenAI",
        "run_type": "llm",
        "session_name": "shop",
        "start_time": "2026-11-20T12:00:00.200000+00:00",
        "extra": {"metadata": {"ls_provider": "openai", "ls_model_name": "gpt-4o-mini"}},
        **different,
    }


def posted(*runs: dict[str, Any], patch: list[dict[str, Any]] | None = None) -> list[CallReport]:
    body = json.dumps({"post": runs, "patch": patch or []}).encode()
    found = parse_batch(body, received_at=NOW)
    assert all(isinstance(item, CallReport) for item in found), found
    return [item for item in found if isinstance(item, CallReport)]


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

POST = run(inputs={"messages": [{"role": "user", "content": "How many tokens has this?"}]})
PATCH = {
    "id": CALL,
    "trace_id": ROOT,
    "parent_run_id": CHAIN,
    "dotted_order": ORDER,
    "end_time": "2026-11-20T12:00:01.200000+00:00",
    "outputs": {"choices": [{"message": {"content": "Quite a few."}}], "usage_metadata": USED},
}
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


# ---------------------------------------------------------------------------------------- forms

BOUNDARY = "8f1d0bd5"


def form(parts: list[tuple[str, bytes]]) -> bytes:
    """A form as LangSmith's client writes one."""
    pieces = [
        (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n'
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        ).encode()
        + content
        + b"\r\n"
        for name, content in parts
    ]
    return b"".join([*pieces, f"--{BOUNDARY}--\r\n".encode()])


def in_parts(act: str, sent: dict[str, Any]) -> list[tuple[str, bytes]]:
    large = ("inputs", "outputs", "extra", "error", "events", "serialized")
    whole = {key: value for key, value in sent.items() if key not in large}
    parts = [(f"{act}.{CALL}", json.dumps(whole).encode())]
    parts += [
        (f"{act}.{CALL}.{key}", json.dumps(sent[key]).encode()) for key in large if key in sent
    ]
    return parts


def read_form(body: bytes) -> list[CallReport | Rejection]:
    return parse_form(body, BOUNDARY.encode(), received_at=NOW)


def test_a_form_says_what_a_batch_says() -> None:
    picture = (f"attachment.{CALL}.picture", b"\x89PNG\r\n\r\n--no boundary\r\n")
    feedback = (f"feedback.{ROOT}", b'{"key": "good", "score": 1}')
    parts = [*in_parts("post", POST), picture, *in_parts("patch", PATCH), feedback]
    assert read_form(form(parts)) == posted(POST, patch=[PATCH])


def test_a_run_may_be_without_its_own_part() -> None:
    (item,) = read_form(form([(f"post.{CALL}.inputs", b"{}")]))
    assert isinstance(item, Rejection)
    assert (item.reason, item.key) == ("missing_part", CALL)


@pytest.mark.parametrize("part", [b"{", b"[]", b'"x"', b'{"id": 5}', b"\xff", b"[" * 100_000])
def test_a_bad_part_costs_its_run_only(part: bytes) -> None:
    other = f"post.{ROOT}"
    items = read_form(form([(other, part), *in_parts("post", POST)]))
    assert [type(item) for item in items] == [Rejection, CallReport]
    assert items[0].key == ROOT if isinstance(items[0], Rejection) else False


@given(st.integers(0, 10_000))
def test_a_form_that_is_cut_off_is_refused_as_a_whole(cut: int) -> None:
    body = form(in_parts("post", POST))
    cut %= len(body) - 4
    with pytest.raises(UnreadableBatch):
        read_form(body[:cut])


@given(st.binary(max_size=80))
def test_garbage_is_no_form(tail: bytes) -> None:
    with suppress(UnreadableBatch):
        assert read_form(f"--{BOUNDARY}".encode() + tail) == []


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('multipart/form-data; charset=utf-8; boundary="a b"', b"a b"),
        ("Multipart/Form-Data;boundary=abc; x=y", b"abc"),
        ("application/json", None),
        ("multipart/form-data", None),
        ("", None),
    ],
)
def test_the_boundary_stands_in_the_content_type(content_type: str, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary


# ----------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"run_type": "llm"}, "missing_field"),
        (run(id=5), "wrong_type"),
        (run(name=[1]), "wrong_type"),
        (run(outputs={"usage_metadata": {"input_tokens": -1}}), "unreadable_usage"),
        (run(outputs={"usage_metadata": {"input_tokens": 1.5}}), "unreadable_usage"),
        (run(outputs={"usage_metadata": {"input_tokens": "13"}}), "unreadable_usage"),
    ],
)
def test_what_is_wrong_with_a_run_is_its_own_matter(sent: dict[str, Any], reason: str) -> None:
    body = json.dumps({"post": [POST, sent]}).encode()
    good, bad = parse_batch(body, received_at=NOW)
    assert isinstance(good, CallReport)
    assert isinstance(bad, Rejection)
    assert (bad.reason, bad.place) == (reason, "post 1")


@pytest.mark.parametrize("count", ["1e400", "9" * 400, "NaN"])
def test_numbers_that_are_no_counts_are_refused(count: str) -> None:
    body = json.dumps({"post": [run(outputs={"usage_metadata": {"input_tokens": "~"}})]})
    if count == "NaN":
        with pytest.raises(UnreadableBatch):
            parse_batch(body.replace('"~"', count).encode(), received_at=NOW)
        return
    (item,) = parse_batch(body.replace('"~"', count).encode(), received_at=NOW)
    assert isinstance(item, Rejection)


def test_a_body_that_is_no_batch_is_refused_as_a_whole() -> None:
    for body in (b"", b"[]", b'{"post": 5}', b'{"post": [', b"\xff", b"[" * 100_000):
        with pytest.raises(UnreadableBatch):
            parse_batch(body, received_at=NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        *("id", "trace_id", "dotted_order", "run_type", "start_time", "end_time", "extra"),
        *("inputs", "outputs", "error", "tags", "session_name", "prompt_tokens"),
        "prompt_token_details",
    ]
)
KEYS = st.sampled_from(
    ["usage_metadata", "generations", "llm_output", "message", "kwargs", "usage", "metadata"]
)
OUTPUTS = st.recursive(
    JSON,
    lambda inner: st.dictionaries(KEYS, inner, max_size=2) | st.lists(inner, max_size=2),
    max_leaves=6,
)


@given(st.dictionaries(NAMES, JSON | OUTPUTS, max_size=8))
def test_whatever_a_run_holds_has_an_answer(sent: dict[str, Any]) -> None:
    payload = json.dumps({"id": CALL, "run_type": "llm", **sent}).encode()
    item = parse_run(payload, "post", place="x", received_at=NOW)
    assert isinstance(item, CallReport | Rejection)


@given(st.binary(max_size=60))
def test_garbage_has_an_answer(payload: bytes) -> None:
    item = parse_run(payload, "patch", place="x", received_at=NOW)
    assert isinstance(item, Rejection)
    assert parse_export(payload, place="x", received_at=NOW)
