"""Texts on spans, counted where nobody tells usage, and kept nowhere."""

from __future__ import annotations

import pytest

from metering.domain.call_reports import CallReport
from tests.metering.formats.otlp.requests import (
    a_span,
    export,
    read,
    report,
)

SECRET = "the secret of ann and bob"


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gen_ai.prompt.0.content", "gen_ai.completion.0.content"),
        ("gen_ai.input.messages", "gen_ai.output.messages"),
        ("llm.input_messages.0.message.content", "llm.output_messages.0.message.content"),
        ("ai.prompt.messages", "ai.response.text"),
        ("langfuse.observation.input", "langfuse.observation.output"),
        ("input.value", "output.value"),
        ("traceloop.entity.input", "traceloop.entity.output"),
    ],
)
def test_texts_are_counted_where_nobody_tells_usage_and_go_no_further(
    asked: str, answered: str
) -> None:
    told = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        asked: SECRET,
        answered: SECRET,
        "something.else": SECRET,
    }
    [item] = read(export(a_span(told)))
    assert SECRET not in repr(item)
    assert isinstance(item, CallReport)
    assert item.fields["~~input_tokens"] > 0
    assert item.fields["~~output_tokens"] > 0
    assert not any(name in item.fields for name in ("input_tokens", "usage_quality"))
    with_usage = report(told | {"gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 6})
    assert SECRET not in repr(with_usage)
    assert "~~input_tokens" not in with_usage.fields
    assert with_usage.fields["input_tokens"] == 5


def test_texts_in_events_are_counted_too() -> None:
    events = [
        {"name": name, "attributes": [{"key": "content", "value": {"stringValue": SECRET}}]}
        for name in ("gen_ai.user.message", "gen_ai.choice")
    ]
    item = report({"gen_ai.response.model": "gpt-4-0613"}, events=events)
    assert SECRET not in repr(item)
    assert item.fields["~~input_tokens"] > 0
    assert item.fields["~~output_tokens"] > 0


def test_what_failed_is_not_estimated() -> None:
    told = {"gen_ai.operation.name": "chat", "input.value": SECRET}
    assert "~~input_tokens" not in report(told, status={"code": 2}).fields
