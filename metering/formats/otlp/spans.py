"""Spans as OTLP tells them, in either encoding: what is named of them, and nothing else.

The decoders (`protobuf_encoding`, `json_encoding`) come to the same values. An attribute that no
vocabulary knows is not even decoded; the texts of prompts and answers can be asked for
(`Span.texts`) while their tokens are counted, and are held by nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Final, NamedTuple

from metering.formats.attribute_map import TAG_PREFIX
from metering.formats.genai_names import COUNTS, Meaning

Vocabulary = Mapping[str, tuple[Meaning, ...]]
Facts = dict[str, object]
"""What was said, by fact (`genai_names`) and by field (`attribute_map`). Values are text, whole
numbers, `Decimal`, truth values, lists and mappings of these."""

NO_TRACE: Final = "0" * 32
NO_SPAN: Final = "0" * 16
_TAG_RANK: Final = 0


OF_EACH: Final = frozenset(
    (
        *(*COUNTS, "cache_inside", "cache_outside"),
        *("response_id", "response_id_of_library", "user_id", "anonymous"),
    )
)
"""Facts in which spans differ that are alike in all others."""


class UndecodableExport(ValueError):
    """The body is no export request; nothing of it can be taken. The message says why."""


class Scope(NamedTuple):
    """The library that made the spans, and its version; both as it names them."""

    name: str
    version: str


class Span(NamedTuple):
    """One span. Ids are lower-case hex, empty where there is none; times are nanoseconds since
    1970, 0 where there is none. `name` is the operation's, in the words of whoever made the span;
    it goes no further. `facts` say what was called (`genai_names`), `own` whom it was for
    (`attribute_map`); `resource` is the latter, of the program that made the span.

    Spans with the same `alike` say the same but for `OF_EACH`; `None` says nothing of it."""

    at: tuple[int, int, int]
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    started: int
    ended: int
    failed: bool
    scope: Scope
    resource: Facts
    facts: Facts
    own: Facts
    texts: Callable[[], Iterator[tuple[str, object]]]
    alike: Hashable = None

    @property
    def place(self) -> str:
        """Where the span stands in its export."""
        i, j, k = self.at
        return f"resourceSpans[{i}].scopeSpans[{j}].spans[{k}]"


class Export(NamedTuple):
    """An export that could be decoded: of how many spans, and the spans in the order of sending,
    which may be asked for more than once."""

    size: int
    spans: Callable[[], Iterator[Span]]


class Picker:
    """Collects what one holder of attributes says: of several names for one fact, the best."""

    __slots__ = ("facts", "own", "ranks")

    def __init__(self) -> None:
        self.facts: Facts = {}
        self.own: Facts = {}
        self.ranks: dict[str, int] = {}

    def take(self, meanings: tuple[Meaning, ...], value: object) -> None:
        """Keep the value where no better name has told the same. Empty ones tell nothing."""
        if value is None or value == "":
            return
        ranks = self.ranks
        for fact, rank, is_own in meanings:
            known = ranks.get(fact)
            if known is None or rank < known:
                ranks[fact] = rank
                if is_own:
                    self.own[fact] = value
                else:
                    self.facts[fact] = value


def meanings_of_tag(name: str) -> tuple[Meaning, ...]:
    """The meaning of `apportion.tag.…`, which no vocabulary lists; nothing for all other names."""
    if not name.startswith(TAG_PREFIX):
        return ()
    return (Meaning(f"tag:{name.removeprefix(TAG_PREFIX)}", _TAG_RANK, is_own=True),)
