"""Gemini's and Vertex's streams: every chunk may bring `usageMetadata`, and the last one holds.

A later chunk may leave out what an earlier one said; what was said holds until it is said anew.
An interrupted stream brings the candidates without the prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metering.providers.counts import text
from metering.providers.streamed import StreamedAnswer, Texts, mapping, mappings, said


def read_stream(chunks: Iterable[Mapping[str, object]]) -> StreamedAnswer:
    """Read the chunks in order, in the wire's camelCase or the SDK's snake_case."""
    model = response_id = None
    usage: dict[str, object] = {}
    ended = False
    texts = Texts()
    for chunk in chunks:
        model = text(chunk, "modelVersion", "model_version") or model
        response_id = response_id or text(chunk, "responseId", "response_id")
        usage.update(said(mapping(chunk.get("usageMetadata", chunk.get("usage_metadata")))))
        for candidate in mappings(chunk.get("candidates")):
            ended = ended or text(candidate, "finishReason", "finish_reason") is not None
            _add_parts(texts, candidate)
    tier = text(usage, "serviceTier", "service_tier")
    return StreamedAnswer(model, usage, ended, tier, response_id, texts.joined())


def _add_parts(texts: Texts, candidate: Mapping[str, object]) -> None:
    choice = candidate.get("index")
    for part in mappings(mapping(candidate.get("content")).get("parts")):
        texts.add(choice, part.get("text"))
        call = mapping(part.get("functionCall", part.get("function_call")))
        texts.add(choice, call.get("name"))
        arguments = call.get("args")
        if isinstance(arguments, Mapping):
            for value in arguments.values():
                texts.add(choice, value)
        code = mapping(part.get("executableCode", part.get("executable_code")))
        texts.add(choice, code.get("code"))
