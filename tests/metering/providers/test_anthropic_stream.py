"""Anthropic's streams, as its own engineers recorded and wrote them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from metering.providers import anthropic
from metering.providers.anthropic_stream import read_stream
from metering.providers.streamed import StreamedAnswer


def events(text: str) -> Iterator[Mapping[str, Any]]:
    for line in text.splitlines():
        if line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))


@pytest.mark.parametrize(
    ("name", "model", "counts"),
    [
        ("basic", "claude-3-opus-latest", (11, 6)),
        ("compaction", "claude-opus-4-7", (30, 8)),
        ("fallback_credit", "claude-sonnet-4-5", (25, 8)),
        ("fallback", "claude-sonnet-4-5", (25, 8)),
        ("refusal", "claude-opus-4-7", (20, 0)),
        ("tool_use", "claude-sonnet-4-20250514", (377, 65)),
    ],
)
def test_the_model_that_answered_and_the_last_of_the_counts(
    name: str, model: str, counts: tuple[int, int], shared_data: Path
) -> None:
    fixture = shared_data / "anthropic-sdk-sse" / f"lib__streaming__fixtures__{name}_response.txt"
    answer = read_stream(events(fixture.read_text()))
    assert (answer.model, answer.ended) == (model, True)
    found = anthropic.usage_counts(answer.usage)
    assert (found.input_tokens, found.output_tokens) == counts


def test_every_recorded_answer_of_the_sdk_is_read(shared_data: Path) -> None:
    folder, read = shared_data / "anthropic-sdk-sse", 0
    for file in sorted(folder.glob("*.json")):
        for exchange in json.loads(file.read_text()):
            body = exchange["response"]["body"]
            answer = body if isinstance(body, str) else json.dumps(body)
            if "message_start" in answer:
                streamed = read_stream(events(answer))
                usage: Mapping[str, object] = streamed.usage
                assert streamed.model
            elif "output_tokens" in answer:
                usage = json.loads(answer)["usage"]
            else:
                continue  # an answer of another endpoint, or an error
            counts = anthropic.usage_counts(usage)
            assert counts.input_tokens is not None
            assert counts.output_tokens is not None
            assert counts.doubts == ()
            read += 1
    assert read > 20


def test_a_stream_that_broke_off_has_a_placeholder_for_its_output() -> None:
    start = {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 9}}}
    broken = read_stream([start, {"type": "ping"}, {"type": "content_block_start"}])
    assert broken == StreamedAnswer("m", {"input_tokens": 9}, ended=False)
    assert read_stream([]) == StreamedAnswer(None, {}, ended=False)


def test_a_count_that_is_null_later_takes_nothing_back() -> None:
    answer = read_stream(
        [
            {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 9}}},
            {"type": "message_delta", "usage": {"input_tokens": None, "output_tokens": 4}},
            {"type": "message_delta", "usage": {"output_tokens": 7}},
        ]
    )
    assert answer.usage == {"input_tokens": 9, "output_tokens": 7}
