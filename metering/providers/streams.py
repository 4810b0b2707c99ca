"""What a streamed call used: as its provider reported it, else as it can be estimated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from metering.domain.estimation import request_tokens, text_tokens
from metering.providers import (
    anthropic_stream,
    bedrock_stream,
    gemini_stream,
    openai_stream,
)
from metering.providers.counts import Counts, UnreadableUsage
from metering.providers.dialects import read_usage
from metering.providers.streamed import StreamedAnswer

StreamReader = Callable[[Iterable[Mapping[str, object]]], StreamedAnswer]

STREAM_READERS: Final[Mapping[str, StreamReader]] = {
    "openai_chat": openai_stream.read_chat_stream,
    "openai_responses": openai_stream.read_responses_stream,
    "anthropic": anthropic_stream.read_stream,
    "gemini": gemini_stream.read_stream,
    "groq": openai_stream.read_chat_stream,
    "bedrock": bedrock_stream.read_converse_stream,
}
"""By the dialect of the stream; a dialect's usage object is read under the same name."""


class StreamedUsage(NamedTuple):
    """The counts of a streamed call, and whose they are: the provider's, or in part or whole an
    estimate; `missing` where there is nothing to estimate from either."""

    counts: Counts
    quality: Literal["provider_reported", "estimated", "missing"]


def usage_of_stream(
    dialect: str, answer: StreamedAnswer, *, model: str, request: Mapping[str, Any] | None
) -> StreamedUsage:
    """The usage of a call that was read as a stream of the dialect (`STREAM_READERS`).

    A stream that came to its end with a usage object is as its provider reported it. Where it was
    cut off, the output is at least what came; where no count of the input came, it is estimated
    from the request's body, if that is given. `model` chooses the tokenizer's table.
    """
    counts, reported = _reported(dialect, answer)
    if reported and answer.ended and counts.input_tokens is not None:
        return StreamedUsage(counts, "provider_reported")
    output = counts.output_tokens
    if output is None or not answer.ended:
        came = sum(text_tokens(model, text) for text in answer.texts)
        output = max(came, output or 0) if answer.texts or output is not None else None
    input_tokens = counts.input_tokens
    if input_tokens is None and request is not None:
        input_tokens = request_tokens(model, request)
    if input_tokens is None and output is None:
        return StreamedUsage(counts, "missing")
    estimated = msgspec.structs.replace(counts, input_tokens=input_tokens, output_tokens=output)
    return StreamedUsage(estimated, "estimated")


def _reported(dialect: str, answer: StreamedAnswer) -> tuple[Counts, bool]:
    if not answer.usage:
        return Counts(), False
    try:
        return read_usage(answer.usage, declared=dialect).counts, True
    except UnreadableUsage:
        return Counts(), False
