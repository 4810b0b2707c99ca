"""Anthropic's usage object. Its `input_tokens` leaves out what the cache read and wrote, so the
input is the sum of three counts; `thinking_tokens` are inside `output_tokens`.

One answer may be the work of several requests (`iterations`): steps of a server-side tool loop and
compactions by the answering model, an advisor on another model, attempts that one model declined
before another answered. The top level covers the answering model, and leaves compactions out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from metering.providers.counts import (
    BilledPart,
    Counts,
    UnreadableUsage,
    added,
    count,
    part,
    parts,
    text,
    units,
)

_Usage = Mapping[str, object]

_INPUT_PARTS: Final = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)
_NO_REGION: Final = ("not_available", "global")


def usage_counts(usage: _Usage) -> Counts:
    """Read a `usage` object; of a stream, its last one (they are cumulative, not increments).

    Where the split of the cache write by time to live does not sum to its aggregate, the
    aggregate counts and the split is doubted. Where `iterations` of the answering model hold
    more than the top level does (a compaction is not in it), the iterations count; what other
    models did is in `billed_parts` only. Web fetches cost nothing beside their tokens, so they are
    no unit.
    """
    if count(usage, "input_tokens") is None and count(usage, "output_tokens") is None:
        raise UnreadableUsage(
            "usage: neither input_tokens nor output_tokens is there, as the anthropic dialect "
            "has them; name the dialect in usageFormat"
        )
    found = _tokens(_own_steps(usage) or [usage])
    tools = part(usage, "server_tool_use")
    fast = text(usage, "speed") == "fast"
    return Counts(
        input_tokens=found.input_tokens,
        cached_input_tokens=found.cached_input_tokens,
        cache_write_tokens=found.cache_write_tokens,
        cache_write_1h_tokens=found.cache_write_1h_tokens,
        output_tokens=found.output_tokens,
        reasoning_tokens=count(part(usage, "output_tokens_details"), "thinking_tokens"),
        units=units(web_search=count(tools, "web_search_requests")),
        doubts=found.doubts,
        service_tier="fast" if fast else text(usage, "service_tier"),
        region=_region(usage),
        model_executed=_steps(usage).answering,
    )


def billed_parts(usage: _Usage) -> tuple[BilledPart, ...]:
    """The requests that the answer was made of, where that matters to its price: other models
    worked on it, or each of several requests has its own context length. Empty: one request."""
    steps = _steps(usage)
    own = _own_steps(usage)
    if not steps.others and len(own) < 2:  # noqa: PLR2004 - one is the answer itself
        return ()
    found = [BilledPart(None, _tokens([step])) for step in own or [usage]]
    for step in steps.others:
        declined = steps.answering is not None and step.get("type") != "advisor_message"
        found.append(BilledPart(text(step, "model") or "", _tokens([step]), declined))
    return tuple(found)


class _Steps(NamedTuple):
    """The iterations, parted; `answering` is the model that answered for one that declined."""

    own: list[_Usage]
    others: list[_Usage]
    answering: str | None


def _steps(usage: _Usage) -> _Steps:
    iterations = parts(usage, "iterations")
    answering = None
    named = None
    for step in iterations:
        if step.get("type") != "advisor_message":
            named = text(step, "model") or named
        if step.get("type") == "fallback_message":
            answering = text(step, "model") or answering
    own: list[_Usage] = []
    others: list[_Usage] = []
    for step in iterations:
        model, kind = text(step, "model"), step.get("type")
        if kind == "advisor_message":
            mine = False
        elif answering is not None and kind == "message":
            mine = model == answering
        else:
            mine = model in (None, named)
        (own if mine else others).append(step)
    return _Steps(own, others, answering)


def _own_steps(usage: _Usage) -> list[_Usage]:
    """The answering model's requests, if they hold all that the top level does."""
    own = _steps(usage).own
    if not own or any(
        (_sum(own, key) or 0) < (count(usage, key) or 0) for key in (*_INPUT_PARTS, "output_tokens")
    ):
        return []
    return own


def _tokens(sources: list[_Usage]) -> Counts:
    split, hour, aggregate = _cache_writes(sources)
    written = split if aggregate is None else aggregate
    doubted = split is not None and aggregate is not None and split != aggregate
    return Counts(
        input_tokens=added(
            _sum(sources, "input_tokens"), _sum(sources, "cache_read_input_tokens"), written
        ),
        cached_input_tokens=_sum(sources, "cache_read_input_tokens"),
        cache_write_tokens=written,
        cache_write_1h_tokens=hour,
        output_tokens=_sum(sources, "output_tokens"),
        doubts=("cache_ttl_split_does_not_sum",) if doubted else (),
    )


def _region(usage: _Usage) -> str | None:
    geo = text(usage, "inference_geo")
    return None if geo in _NO_REGION else geo


def _sum(sources: list[_Usage], key: str) -> int | None:
    return added(*[count(source, key) for source in sources])


def _cache_writes(
    sources: list[_Usage],
) -> tuple[int | None, int | None, int | None]:
    """The sum of the split by time to live, its one-hour part, and the aggregate."""
    splits = [part(source, "cache_creation") for source in sources]
    minutes = _sum(splits, "ephemeral_5m_input_tokens")
    hour = _sum(splits, "ephemeral_1h_input_tokens")
    return added(minutes, hour), hour, _sum(sources, "cache_creation_input_tokens")
