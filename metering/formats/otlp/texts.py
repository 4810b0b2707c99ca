"""The tokens of a call whose provider reported none, by the texts that its span carries.

The texts are counted and let go: nothing but the counts leaves this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from metering.formats.malformed import UNDECODABLE
from metering.formats.otlp.spans import Span
from metering.formats.span_facts import estimates

_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode

_ASKED: Final = (
    *(
        "gen_ai.input.messages",
        "gen_ai.system_instructions",
        "gen_ai.prompt",
        "llm.input_messages.",
    ),
    *(
        "llm.prompts",
        "ai.prompt",
        "ai.value",
        "langfuse.observation.input",
        "traceloop.entity.input",
    ),
    *("input.value", "gen_ai.request.messages", "mlflow.spanInputs", "lk.chat_ctx", "genkit:input"),
    *("gen_ai.content.prompt:", "gen_ai.system.message:", "gen_ai.user.message:"),
    *("gen_ai.assistant.message:", "gen_ai.tool.message:"),
)
_ANSWERED: Final = (
    *("gen_ai.output.messages", "gen_ai.completion", "llm.output_messages.", "ai.response.text"),
    *("ai.response.toolCalls", "ai.response.object", "langfuse.observation.output"),
    *("output.value", "traceloop.entity.output", "mlflow.spanOutputs", "lk.response.text"),
    *("gen_ai.response.text", "genkit:output", "gen_ai.content.completion:", "gen_ai.choice:"),
)
"""Where libraries put what was asked and what was answered: attributes, and attributes of events
(`event:attribute`). One library tells it under one of these; the first family found counts."""

_NO_TEXT: Final = ("role", "finish_reason", "id", "type", "index", "mime_type", "name")


def estimated(span: Span, model: str | None) -> dict[str, int]:
    """Input and output tokens by the span's texts, as fields that hold where nobody tells usage."""
    asked: dict[str, list[object]] = {}
    answered: dict[str, list[object]] = {}
    for name, value in span.texts():
        for families, found in ((_ASKED, asked), (_ANSWERED, answered)):
            family = next((each for each in families if name.startswith(each)), None)
            if family is not None and name.rpartition(".")[2].rpartition(":")[2] not in _NO_TEXT:
                found.setdefault(family, []).append(_parsed(value))
    return estimates(model, _first(_ASKED, asked), _first(_ANSWERED, answered))


def _first(families: tuple[str, ...], found: Mapping[str, list[object]]) -> object:
    """What the first family holds that is there: an object as it is, several texts as a list."""
    values = next((found[family] for family in families if family in found), [])
    return values[0] if len(values) == 1 else values or None


def _parsed(value: object) -> object:
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return _decode(value)
        except (*UNDECODABLE, ArithmeticError):
            return value
    return value
