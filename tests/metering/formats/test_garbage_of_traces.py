"""Whatever a message of a tracing library holds, its format answers: with reports that the rest of
the way can take, or with a rejection that says where; or it refuses the body as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.domain.call_reports import CallReport, first_said, told_by, told_once
from metering.domain.traces import Call, calls_of, counting
from metering.domain.usage import Rejection, UsageEvent
from metering.formats import langfuse
from metering.formats.batches import UnreadableBatch
from metering.formats.langsmith import runs
from metering.formats.otlp import metrics, traces
from metering.formats.otlp.spans import UndecodableExport
from metering.formats.reported_calls import event_of, problem_of
from tests.metering.formats.anything import spoilings
from tests.metering.formats.langfuse_events import generation, sent
from tests.metering.formats.langsmith.runs import PATCH, POST, USED, run
from tests.metering.formats.otlp.requests import a_span, export
from tests.metering.formats.otlp.test_metrics import USED as METRIC
from tests.metering.formats.otlp.test_metrics import metrics as metrics_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
Read = Callable[[bytes], Iterable[object]]

CHAT = {
    "choices": [
        {"message": {"role": "assistant", "content": "Quite.", "tool_calls": [{"function": {}}]}}
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {}},
    "id": "chatcmpl-123",
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
}
ATTRIBUTES: Mapping[str, object] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.system": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 5,
    "gen_ai.usage.cache_read.input_tokens": 2,
    "langfuse.observation.usage_details": '{"input": 10, "output": 5}',
    "gen_ai.usage.input_token_details": '{"cache_read": 2}',
    "ai.response.providerMetadata": '{"openai": {"cachedPromptTokens": 2}}',
    "genkit:output": '{"usage": {"inputTokens": 5}}',
    "metadata": '{"tenant_id": "acme"}',
    "langfuse.trace.tags": ["team:growth", "beta"],
    "apportion.shares": '{"acme": 3, "globex": 1}',
    "apportion.service_tier": "flex",
    "langfuse.prompt.name": "summary",
    "gen_ai.input.messages": '[{"role": "user", "content": "hello"}]',
    "user.id": "ada",
    "error.type": "RateLimitError",
}
SPANS = export(
    a_span(ATTRIBUTES),
    a_span({"traceloop.span.kind": "workflow", "user.id": 7}, id="00000000000000aa"),
    resource={"service.name": "shop", "deployment.environment.name": "prod"},
)
GENERATION = sent(
    "generation-create",
    generation(
        usage={"input": 1, "output": 2, "unit": "TOKENS"},
        metadata={"tenant_id": "acme", "ls_provider": "openai", "tags": ["a:b"]},
        modelParameters={"service_tier": "flex"},
        tags=["team:growth"],
        promptName="summary",
        promptVersion=3,
        userId="ada",
        level="ERROR",
        statusMessage="RateLimitError: 429",
        input=[{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        output=CHAT,
    ),
)
TRACE = sent("trace-create", {"id": "tr-1", "name": "shop", "userId": "ada", "tags": ["x:y"]})
EXPORT = {
    "trace": {"id": "tr-1", "userId": "ada", "metadata": {"tenant_id": "acme"}},
    "observations": [{**GENERATION["body"], "type": "GENERATION"}],
}
RUN = run(
    inputs={"messages": [[{"lc": 1, "kwargs": {"content": "hello"}}]], "model": "gpt-4o-mini"},
    outputs={**CHAT, "usage_metadata": {**USED, "input_token_details": {"cache_read": 3}}},
    extra={
        "metadata": {"ls_provider": "openai", "session_id": "s", "tags": ["a:b"]},
        "invocation_params": {"model": "gpt-4o-mini", "service_tier": "flex"},
    },
    tags=["tenant:acme"],
    end_time="2026-11-20T12:00:01.200000+00:00",
    error="RateLimitError('429')",
    status="error",
    prompt_tokens=10,
    completion_tokens=5,
    total_tokens=15,
    prompt_token_details={"cache_read": 3},
)
GENERATIONS = run(
    outputs={
        "generations": [[{"text": "Quite.", "message": {"kwargs": {"usage_metadata": USED}}}]],
        "llm_output": {"token_usage": CHAT["usage"], "model_name": "gpt-4o-mini", "id": "x"},
    }
)
MEASURED = metrics_of(METRIC)


def _of_langfuse(body: bytes) -> list[object]:
    return [each.item for each in langfuse.parse_batch(body) if each.item is not None]


READERS: Mapping[str, tuple[Read, Any]] = {
    "spans": (lambda body: traces.read(body, "json", received_at=NOW), SPANS),
    "metrics": (lambda body: metrics.read(body, "json", received_at=NOW), MEASURED),
    "langfuse": (_of_langfuse, {"batch": [GENERATION, TRACE], "metadata": {}}),
    "a langfuse export": (
        lambda body: langfuse.parse_export(body, place="line 1", received_at=NOW),
        EXPORT,
    ),
    "langsmith": (
        lambda body: runs.parse_batch(body, received_at=NOW),
        {"post": [POST, RUN], "patch": [PATCH, GENERATIONS]},
    ),
    "a langsmith run": (
        lambda body: [runs.parse_run(body, "patch", place="line 1", received_at=NOW)],
        RUN,
    ),
    "a langsmith export": (
        lambda body: runs.parse_export(body, place="line 1", received_at=NOW),
        GENERATIONS,
    ),
}
by_reader = pytest.mark.parametrize("name", READERS)


def found(name: str, body: bytes) -> list[object]:
    """What is read; nothing of a body that is refused as a whole."""
    try:
        return list(READERS[name][0](body))
    except (UnreadableBatch, UndecodableExport):
        return []


def expect(items: Iterable[object]) -> None:
    """Rejections say what is wrong and where; reports go all the way to events."""
    reports = []
    for item in items:
        if isinstance(item, Rejection):
            assert item.reason
            assert item.message
            assert item.place
        elif isinstance(item, CallReport):
            if problem_of(item, source="app", received_at=NOW) is None:
                reports.append(item)
        else:
            assert isinstance(item, metrics.Reading)
    spans = {each.span_id: told_by(each) for each in reports}
    calls = {span: call for span, call in calls_of(spans).items() if isinstance(call, Call)}
    counting(spans, calls)
    for report in reports:
        assert told_once(report, report.fields).fields() == told_by(report).fields()
    for span_id, call in calls.items():
        event = event_of(
            call,
            source="app",
            trace_id="t",
            scope="t",
            span_id=span_id,
            version=1,
            first_said_at=first_said(spans[span_id]),
        )
        assert isinstance(event, UsageEvent | Rejection)


@by_reader
def test_a_good_message_is_read(name: str) -> None:
    items = found(name, json.dumps(READERS[name][1]).encode())
    assert items
    assert not any(isinstance(item, Rejection) for item in items)
    expect(items)


@by_reader
@given(data=st.data())
def test_a_good_message_with_anything_in_any_place(name: str, data: st.DataObject) -> None:
    expect(found(name, data.draw(spoilings(READERS[name][1]))))


@by_reader
@given(body=st.binary(max_size=100))
def test_bytes(name: str, body: bytes) -> None:
    expect(found(name, body))


@given(data=st.data())
def test_a_form_with_anything_in_any_place(data: st.DataObject) -> None:
    """LangSmith's forms tell a run in parts."""
    whole = dict(RUN)
    parts = {f".{part}": whole.pop(part) for part in ("inputs", "outputs", "extra", "error")}
    boundary = b"-b0undary"
    body = b""
    for part, good in ({"": whole} | parts).items():
        value = data.draw(spoilings({"": good})) if data.draw(st.booleans()) else None
        text = json.dumps(good).encode() if value is None else value.partition(b":")[2][:-1]
        head = f'Content-Disposition: form-data; name="post.{RUN["id"]}{part}"\r\n'
        head += "Content-Type: application/json\r\n\r\n"
        body += b"--" + boundary + b"\r\n" + head.encode() + text + b"\r\n"
    try:
        expect(runs.parse_form(body + b"--" + boundary + b"--\r\n", boundary, received_at=NOW))
    except UnreadableBatch:
        return
