"""The words that bills use for token classes, tiers and tools."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

TIERS: Final = frozenset({"standard", "batch", "flex", "priority", "scale"})

_CLASSES: Final = {
    frozenset(words.split()): token_class
    for words, token_class in {
        "input": "input",
        "uncached input": "input",
        "text input": "input",
        "prompt": "input",
        "cached input": "cache_read",
        "cached text input": "cache_read",
        "cache read": "cache_read",
        "cache read input": "cache_read",
        "cached prompt": "cache_read",
        "cache write": "cache_write",
        "cache write input": "cache_write",
        "input cache write": "cache_write",
        "cache write 1h": "cache_write_1h",
        "cache write 12h": "cache_write_12h",
        "output": "output",
        "text output": "output",
        "reasoning output": "output",
        "completion": "output",
        "audio input": "input_audio",
        "cached audio input": "cache_audio_read",
        "cache audio read": "cache_audio_read",
        "audio output": "output_audio",
        "image input": "input_image",
        "cached image input": "cache_image_read",
        "cache image read": "cache_image_read",
        "image output": "output_image",
    }.items()
}

_TOOLS: Final = {
    ("web", "search"): "web_search",
    ("file", "search"): "file_search",
    ("code", "interpreter"): "code_interpreter",
}
_CALLS: Final = frozenset({"tool", "call", "calls", "session", "sessions", "request", "requests"})

_WORD: Final = re.compile(r"[a-z0-9]+")


class Phrase(NamedTuple):
    """A token class (`None`: the words name none) and the tier (`""`: not said)."""

    token_class: str | None
    tier: str


def read_phrase(text: str) -> Phrase:
    """`"cached input"` is `cache_read`; `"output (batch)"` is `output` in the tier `batch`.
    Order, case, underscores and the word "tokens" do not matter."""
    words = set(_WORD.findall(text.lower())) - {"tokens", "token", "api"}
    tiers = words & TIERS
    tier = tiers.pop() if len(tiers) == 1 else ""
    return Phrase(_CLASSES.get(frozenset(words - TIERS)), tier)


def tool_unit(text: str) -> str:
    """The unit that metering counts a tool's calls in (`web_search`), or `""` for anything else,
    such as what the tool stores."""
    words = _WORD.findall(text.lower())
    rest = set(words[2:])
    return _TOOLS.get((words[0], words[1]), "") if len(words) > 1 and rest <= _CALLS else ""
