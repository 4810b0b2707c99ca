"""OpenAI's streams, and those of the many servers that speak its dialect.

A chat's chunks bring usage only if `stream_options.include_usage` asks for it: in a last chunk
without choices, or (`continuous_usage_stats`) in every chunk, so far; the last holds. Groq brings
it under `x_groq` in its last chunk, unasked. The responses API brings it with the event that ends
the response, however it ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from metering.providers.counts import text
from metering.providers.streamed import StreamedAnswer, Texts, mapping, mappings, said

_ENDS: Final = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
)
_DELTAS: Final = frozenset(
    {
        *("response.output_text.delta", "response.refusal.delta"),
        *("response.function_call_arguments.delta", "response.reasoning_text.delta"),
        *("response.custom_tool_call_input.delta", "response.code_interpreter_call_code.delta"),
    }
)


def read_chat_stream(chunks: Iterable[Mapping[str, object]]) -> StreamedAnswer:
    """Read `chat.completion.chunk`s (or a completion's) in order."""
    model = tier = response_id = None
    usage: dict[str, object] = {}
    ended = False
    texts = Texts()
    for chunk in chunks:
        model = text(chunk, "model") or model
        tier = text(chunk, "service_tier") or tier
        response_id = response_id or text(chunk, "id")
        choices = list(mappings(chunk.get("choices")))
        groq = mapping(chunk.get("x_groq"))
        found = said(mapping(chunk.get("usage")) or mapping(groq.get("usage")))
        if found:
            usage = found
            if groq.get("usage_breakdown") is not None:
                usage["usage_breakdown"] = groq["usage_breakdown"]
            ended = ended or not choices
        for choice in choices:
            ended = ended or choice.get("finish_reason") is not None
            _add_choice(texts, choice)
    return StreamedAnswer(model, usage, ended, tier, response_id, texts.joined())


def _add_choice(texts: Texts, choice: Mapping[str, object]) -> None:
    index, delta = choice.get("index"), mapping(choice.get("delta"))
    for key in ("reasoning_content", "reasoning", "content", "refusal"):
        texts.add((index, "text"), delta.get(key))
    texts.add((index, "text"), choice.get("text"))
    for call in mappings(delta.get("tool_calls")):
        function = mapping(call.get("function"))
        for key in ("name", "arguments"):
            texts.add((index, call.get("index")), function.get(key))


def read_responses_stream(events: Iterable[Mapping[str, object]]) -> StreamedAnswer:
    """Read the responses API's events in order; a response that is incomplete or failed has used
    what it says all the same."""
    model = tier = response_id = None
    usage: dict[str, object] = {}
    ended = False
    texts = Texts()
    for event in events:
        kind = text(event, "type")
        response = mapping(event.get("response"))
        model = text(response, "model") or model
        tier = text(response, "service_tier") or tier
        response_id = response_id or text(response, "id")
        usage.update(said(mapping(response.get("usage"))))
        if kind in _ENDS:
            ended = True
        elif kind in _DELTAS:
            texts.add((event.get("output_index"), event.get("content_index")), event.get("delta"))
    return StreamedAnswer(model, usage, ended, tier, response_id, texts.joined())
