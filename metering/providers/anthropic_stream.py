"""Anthropic's stream of events: which model answered, and with what usage.

`message_start` brings the input's counts and a placeholder for the output; every `message_delta`
brings counts so far, of which the last holds (output can fall: a refusal takes it to 0). A
`fallback` block says that another model answers from there on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from metering.providers.counts import part, text


class StreamedAnswer(NamedTuple):
    """`usage` is in the anthropic dialect, empty where the stream brought none; `ended` says that
    it came to its end, so that the output's count is no placeholder."""

    model: str | None
    usage: Mapping[str, object]
    ended: bool


def read_stream(events: Iterable[Mapping[str, object]]) -> StreamedAnswer:
    """Read the events' data in order; events of kinds that are not known say nothing of usage."""
    model: str | None = None
    usage: dict[str, object] = {}
    ended = False
    for event in events:
        match event.get("type"):
            case "message_start":
                message = part(event, "message")
                model = text(message, "model")
                usage.update(_said(part(message, "usage")))
            case "content_block_start":
                block = part(event, "content_block")
                if block.get("type") == "fallback":
                    model = text(part(block, "to"), "model") or model
            case "message_delta":
                usage.update(_said(part(event, "usage")))
                ended = True
            case _:
                pass
    return StreamedAnswer(model, usage, ended)


def _said(usage: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in usage.items() if value is not None}
