"""Attributes that are known again by their bytes say what they say when they are read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from metering.formats.attribute_map import DEFAULT
from metering.formats.genai_names import vocabulary
from metering.formats.otlp import attribute_memory
from metering.formats.otlp.attribute_memory import Memory
from metering.formats.otlp.spans import Facts, Picker, meanings_of_tag
from tests.metering.formats.otlp.requests import CHAT, a_span, export, read

WORDS = vocabulary(DEFAULT)
NAMES: dict[str, list[Any]] = {
    "gen_ai.operation.name": ["chat", "embeddings", "invoke_agent", ""],
    "gen_ai.provider.name": ["openai", "anthropic"],
    "gen_ai.request.model": ["gpt-4o", "claude-sonnet-4"],
    "gen_ai.response.model": ["gpt-4o-2024-08-06"],
    "gen_ai.usage.input_tokens": [0, 12, 300, 70_000, -1, "12", 2**40],
    "gen_ai.usage.prompt_tokens": [13],
    "gen_ai.usage.cache_read.input_tokens": [0, 5],
    "gen_ai.usage.output_tokens": [0, 7],
    "gen_ai.response.id": ["chatcmpl-1234", "", "x" * 130],
    "langsmith.span.kind": ["llm", "chain"],
    "llm.invocation_parameters": ['{"user": "bob", "model": "gpt-4o-mini"}'],
    "user.id": ["ada", "ada", " ", 7, "ü" * 40],
    "metadata": ['{"user_id": "carl", "team": "growth"}', "x" * 300],
    "tenant.id": ["acme", "globex"],
    "apportion.tag.plan": ["pro", ""],
    "apportion.shares": ['{"acme": 3, "globex": 1}'],
    "error.type": ["timeout"],
    "custom.prompt": ["what nobody named"],
}
attributes = st.lists(
    st.sampled_from(sorted(NAMES)).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(NAMES[name]))
    ),
    max_size=10,
    unique_by=lambda pair: pair[0],
).map(dict)
spans = st.builds(
    a_span,
    attributes,
    status=st.sampled_from([{}, {"code": 2}]),
    endTimeUnixNano=st.sampled_from(["1793606400000000000", "0"]),
)


@given(st.lists(spans, max_size=6), st.sampled_from([{}, {"service.name": "web"}]))
def test_spans_that_are_alike_are_read_as_each_alone(
    sent: list[dict[str, Any]], resource: dict[str, Any]
) -> None:
    """In protobuf with what was remembered, in JSON one by one; `read` holds both together."""
    whole = read(export(*sent, resource=resource))
    assert read(export(*sent, resource=resource)) == whole


def plainly(sent: list[bytes]) -> tuple[Facts, Facts]:
    picker = Picker()
    for each in sent:
        name, value = told(each)
        picker.take(WORDS.get(name) or meanings_of_tag(name), value)
    return picker.facts, picker.own


def told(attribute: bytes) -> tuple[str, object]:
    held = KeyValue.FromString(attribute)
    return held.key, getattr(held.value, held.value.WhichOneof("value") or "", None)


def written(name: str, value: int | str) -> bytes:
    held = KeyValue(key=name)
    if isinstance(value, int):
        held.value.int_value = value
    else:
        held.value.string_value = value
    return bytes(held.SerializeToString())


MODEL = written("gen_ai.request.model", "gpt-4o")
INPUT = written("gen_ai.usage.input_tokens", 12)
SEEN = [MODEL, INPUT, written("user.id", "ada"), written("custom.prompt", "hello")]
STRANGE = {
    "without a name": b"",
    "of one byte's name": b"\x0a\x00",
    "value before name": b"\x12\x02\x18\x05" + INPUT[: 2 + INPUT[1]],
    "a long name": written("gen_ai." + "x" * 200, 1),
    "without a value": INPUT[: 2 + INPUT[1]],
    "an empty value": INPUT[: 2 + INPUT[1]] + b"\x12\x00",
    "a length of two bytes": INPUT[: 2 + INPUT[1]] + b"\x12\x82\x00\x18\x05",
    "two values": INPUT[: 2 + INPUT[1]] + b"\x12\x02\x18\x05\x12\x02\x18\x06",
    "a text and a number": INPUT[: 2 + INPUT[1]] + b"\x12\x05\x0a\x01a\x18\x05",
    "more than name and value": INPUT + b"\x18\x05",
    "the same fact twice": written("gen_ai.usage.prompt_tokens", 13),
    "the same name twice": written("gen_ai.usage.input_tokens", 13),
    "another model": written("model", "other"),
    "a long text": written("user.id", "a" * 200),
    "nothing": written("user.id", ""),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_nobody_writes_is_read_as_it_is(name: str) -> None:
    memory = Memory(WORDS, told)
    for sent in ([*SEEN, STRANGE[name]], [STRANGE[name], *SEEN], [STRANGE[name]], SEEN):
        for _ in range(2):
            facts, own, _ = memory.read(sent)
            assert (facts, own) == plainly(sent)


def test_neither_users_nor_ids_nor_prompts_are_remembered() -> None:
    memory = Memory(WORDS, told)
    secrets = {
        "user.id": "ada@example.com",
        "apportion.anon_id": "visitor 7",
        "gen_ai.response.id": "chatcmpl-secret",
        "gen_ai.input.messages": "what nobody named",
    }
    for _ in range(2):
        memory.read([MODEL, *(written(name, value) for name, value in secrets.items())])
    kept = repr(vars(memory))
    assert "gpt-4o" in kept
    assert not [value for value in secrets.values() if value in kept]


def test_a_memory_that_is_full_starts_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribute_memory, "REMEMBERED", 2)
    memory = Memory(WORDS, told)
    for number in range(9):
        sent = [written("tenant.id", f"t{number}"), written("gen_ai.usage.input_tokens", number)]
        facts, own, _ = memory.read(sent)
        assert (facts["input"], own["tenant_id"]) == (number, f"t{number}")
    kept = (held for held in vars(memory).values() if isinstance(held, dict) and held is not WORDS)
    assert max(map(len, kept)) <= 2


def test_calls_that_are_alike_share_what_was_worked_out_and_not_its_tags() -> None:
    sent = [a_span({**CHAT, "apportion.tag.plan": "pro", "user.id": user}) for user in "ab"]
    first, second = read(export(*sent))
    first.fields["tags"]["plan"] = "changed"  # type: ignore[union-attr]
    assert second.fields["tags"] == {"plan": "pro"}  # type: ignore[union-attr]
    assert [each.fields["user_id"] for each in (first, second)] == ["a", "b"]  # type: ignore[union-attr]
    assert read(export(*sent))[0].fields["tags"] == {"plan": "pro"}  # type: ignore[union-attr]
