"""What a trace comes to: which of its spans are calls that count, and with what attribution.

All of it is a function of what is known of the trace's spans, so neither the order in which
messages arrive nor how they are batched has a say: a parent that came before its leaves ends as
one that came after them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol

from metering.domain.usage import COUNTS

INHERITED: Final = (
    *("tenant_id", "cost_center", "endpoint_tag", "prompt_version", "environment", "data_mode"),
    "workflow",
)
"""What a call takes over from the spans above it where it is silent, each by itself; tags one by
one, and what names the user as a whole."""

NAMES_OF_USER: Final = ("user_id", "anon_id", "ip_hash", "agent_hash")

USAGE_FIELDS: Final = (*COUNTS, "units", "usage")

NOT_A_CALL: Final = "not_a_call"
IN_ITS_LEAVES: Final = "counted_in_its_leaves"
IN_ITS_PARENT: Final = "counted_in_its_parent"
NO_KIND: Final = "waiting_for_kind"
NO_MODEL: Final = "waiting_for_model"
NO_USAGE: Final = "waiting_for_usage"


class Known(Protocol):
    """What is known of a span (`call_reports.Span`; where one report is all of it, `ToldOnce`)."""

    @property
    def parent(self) -> str | None: ...
    @property
    def ancestors(self) -> Sequence[str]: ...
    @property
    def is_call(self) -> bool | None: ...
    @property
    def ended(self) -> bool: ...
    def fields(self) -> dict[str, Any]: ...
    def supposed(self) -> frozenset[str]: ...


class Call(NamedTuple):
    """A span that is a call and could become an event: its own fields with what it inherits.

    `has_usage` is false where the call is over and nobody has said what it used.
    """

    fields: Mapping[str, Any]
    has_usage: bool


class Silent(NamedTuple):
    """Why a span does not count: it is no call, or waits for what makes it one, or its usage is
    told by another span (`by`)."""

    reason: str
    by: str | None = None


def calls_of(spans: Mapping[str, Known]) -> dict[str, Call | Silent]:
    """Each span of one trace by its id: a call that could count, or why it is none."""
    links = _links(spans)
    tops = _tops(spans, links)
    if not tops and spans.keys().isdisjoint(links.values()):
        return {
            span_id: _call(span, _Said(span.fields(), span.supposed()), ())
            for span_id, span in spans.items()
        }
    fields = _Fields(spans)
    return {
        span_id: _call(
            span, fields.of(span_id), (fields.of(up) for up in (*_above(span_id, links), *tops))
        )
        for span_id, span in spans.items()
    }


def counting(spans: Mapping[str, Known], calls: Mapping[str, Call]) -> dict[str, Silent]:
    """The calls of one trace that do not count beside others of it, and which one has their usage.

    `calls` are those that can be events. Of a chain of calls the lowest that tell usage count; of
    one in which none tells any, the lowest.
    """
    links = _links(spans)
    if calls.keys().isdisjoint(links.values()):
        return {}
    covered: dict[str, Silent] = {}
    above: dict[str, list[str]] = {}
    for span_id in sorted(calls):
        above[span_id] = [up for up in _above(span_id, links) if up in calls]
        for up in above[span_id]:
            if calls[span_id].has_usage:
                covered[up] = _first_of(covered.get(up), span_id, calls)
            elif not calls[up].has_usage:
                covered.setdefault(up, Silent(IN_ITS_LEAVES, span_id))
    for span_id, ups in above.items():
        if span_id in covered or calls[span_id].has_usage:
            continue
        by = next((up for up in ups if calls[up].has_usage), None)
        if by is not None:
            covered[span_id] = Silent(IN_ITS_PARENT, by)
    return {span_id: _lowest(silent, covered) for span_id, silent in covered.items()}


def _first_of(known: Silent | None, leaf: str, calls: Mapping[str, Call]) -> Silent:
    """The first of the leaves that tell usage."""
    if known is not None and known.by is not None and calls[known.by].has_usage:
        return known
    return Silent(IN_ITS_LEAVES, leaf)


def _lowest(silent: Silent, covered: Mapping[str, Silent]) -> Silent:
    """By the call that counts in the end."""
    while silent.by is not None and silent.by in covered:
        silent = silent._replace(by=covered[silent.by].by)
    return silent


class _Said(NamedTuple):
    """The fields of a span, and which of them are only supposed."""

    fields: Mapping[str, Any]
    supposed: frozenset[str]


_NOTHING: Final = _Said({}, frozenset())


class _Fields:
    """The fields of a trace's spans, each worked out once."""

    def __init__(self, spans: Mapping[str, Known]) -> None:
        self._spans = spans
        self._known: dict[str, _Said] = {}

    def of(self, span_id: str) -> _Said:
        """The fields of a span; none of one that nobody has told of."""
        if span_id not in self._known:
            span = self._spans.get(span_id)
            said = _NOTHING if span is None else _Said(span.fields(), span.supposed())
            self._known[span_id] = said
        return self._known[span_id]


def _call(span: Known, said: _Said, above: Iterable[_Said]) -> Call | Silent:
    own = said.fields
    if span.is_call is False:
        return Silent(NOT_A_CALL)
    has_usage = any(own[name] not in (None, {}) for name in USAGE_FIELDS if name in own)
    if span.is_call is None and not has_usage:
        return Silent(NO_KIND)
    if not has_usage and not span.ended:
        return Silent(NO_USAGE)
    if "provider" not in own or "model" not in own:
        return Silent(NO_MODEL)
    return Call(_inheriting(said, above), has_usage)


def _inheriting(own: _Said, above: Iterable[_Said]) -> Mapping[str, Any]:
    """The fields with what the spans above tell: what is told anywhere holds against what is only
    supposed, of either the nearest."""
    telling = [up for up in above if up.fields]
    if not telling:
        return own.fields
    fields = dict(own.fields)
    tags: dict[str, Any] = dict(fields.get("tags", {}))
    has_user = any(name in fields for name in NAMES_OF_USER)
    open_still = set(own.supposed)
    for up in telling:
        theirs = up.fields
        _take_over(fields, open_still, up)
        for tag, value in theirs.get("tags", {}).items():
            tags.setdefault(tag, value)
        if not has_user:
            for name in NAMES_OF_USER:
                if name in theirs:
                    fields[name] = theirs[name]
                    has_user = True
    if tags:
        fields["tags"] = tags
    return fields


def _take_over(fields: dict[str, Any], open_still: set[str], up: _Said) -> None:
    for name in INHERITED:
        if name not in up.fields or (name in fields and name not in open_still):
            continue
        if name not in up.supposed:
            fields[name] = up.fields[name]
            open_still.discard(name)
        elif name not in fields:
            fields[name] = up.fields[name]
            open_still.add(name)


def _links(spans: Mapping[str, Known]) -> dict[str, str]:
    """Each span's parent, as far as anybody told: the span itself, or one below it that knows all
    of its ancestors."""
    links = {
        span_id: parent for span_id, span in spans.items() if (parent := span.parent) is not None
    }
    for span_id in sorted(span_id for span_id, span in spans.items() if span.ancestors):
        chain = [*spans[span_id].ancestors, span_id]
        for parent, child in pairwise(chain):
            links.setdefault(child, parent)
    if not links.keys().isdisjoint(links.values()):
        _cut_circles(links)
    return links


def _cut_circles(links: dict[str, str]) -> None:
    """Of spans that name one another as parents the first has none, so that its usage is not
    taken to be told by itself."""
    walked: set[str] = set()
    for start in sorted(links):
        path: dict[str, None] = {}
        up: str | None = start
        while up is not None and up not in walked and up not in path:
            path[up] = None
            up = links.get(up)
        if up is not None and up in path:
            ways = list(path)
            del links[min(ways[ways.index(up) :])]
        walked.update(path)


def _above(span_id: str, links: Mapping[str, str]) -> Sequence[str]:
    """The spans above one, nearest first."""
    found = []
    up = links.get(span_id)
    while up is not None:
        found.append(up)
        up = links.get(up)
    return found


def _tops(spans: Mapping[str, Known], links: Mapping[str, str]) -> list[str]:
    """The trace's own spans, which speak for all of it: without a parent, and no calls."""
    return sorted(
        span_id
        for span_id, span in spans.items()
        if span_id not in links and span.is_call is not True
    )
