"""Anthropic's stream of events: which model answered, and with what usage.

`message_start` brings the input's counts and a placeholder for the output; every `message_delta`
brings counts so far, of which the last holds (output can fall: a refusal takes it to 0). A
`fallback` block says that another model answers from there on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metering.providers.counts import text
from metering.providers.streamed import StreamedAnswer, Texts, mapping, said


def read_stream(events: Iterable[Mapping[str, object]]) -> StreamedAnswer:
    """Read the events' data in order; events of kinds that are not known say nothing of usage."""
    model = response_id = None
    usage: dict[str, object] = {}
    ended = False
    texts = Texts()
    for event in events:
        match event.get("type"):
            case "message_start":
                message = mapping(event.get("message"))
                model, response_id = text(message, "model"), text(message, "id")
                usage.update(said(mapping(message.get("usage"))))
            case "content_block_start":
                block = mapping(event.get("content_block"))
                texts.add(event.get("index"), block.get("name"))
                if block.get("type") == "fallback":
                    model = text(mapping(block.get("to")), "model") or model
            case "content_block_delta":
                delta = mapping(event.get("delta"))
                for key in ("text", "thinking", "partial_json"):
                    texts.add(event.get("index"), delta.get(key))
            case "message_delta":
                usage.update(said(mapping(event.get("usage"))))
                ended = True
            case _:
                pass
    tier = text(usage, "service_tier")
    return StreamedAnswer(model, usage, ended, tier, response_id, texts.joined())
