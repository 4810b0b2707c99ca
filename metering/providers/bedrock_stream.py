"""Bedrock's streams, as decoded from Amazon's event stream encoding.

ConverseStream ends with a `metadata` event that holds the usage. InvokeModelWithResponseStream
sends the model maker's own events (`anthropic_stream`), and adds counts of its own to the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metering.providers.counts import text
from metering.providers.streamed import StreamedAnswer, Texts, mapping, said


def read_converse_stream(events: Iterable[Mapping[str, object]]) -> StreamedAnswer:
    """Read ConverseStream's events in order, each an object of one key, its kind. They name no
    model: it is in the request."""
    usage: dict[str, object] = {}
    ended = False
    texts = Texts()
    for event in events:
        metadata = mapping(event.get("metadata"))
        usage.update(said(mapping(metadata.get("usage"))))
        tier = text(mapping(metadata.get("serviceTier")), "type")
        if tier is not None:
            usage["serviceTier"] = tier
        ended = ended or "messageStop" in event
        for kind, key in (("contentBlockStart", "start"), ("contentBlockDelta", "delta")):
            block = mapping(event.get(kind))
            _add_block(texts, block.get("contentBlockIndex"), mapping(block.get(key)))
    return StreamedAnswer(None, usage, ended, text(usage, "serviceTier"), None, texts.joined())


def _add_block(texts: Texts, index: object, said: Mapping[str, object]) -> None:
    texts.add(index, said.get("text"))
    texts.add(index, mapping(said.get("reasoningContent")).get("text"))
    tool = mapping(said.get("toolUse"))
    for key in ("name", "input"):
        texts.add(index, tool.get(key))
