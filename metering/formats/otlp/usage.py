"""What a span says was used, in the product's own counts.

`gen_ai.usage.input_tokens` should include what was read from and written to a provider's cache; not
every library keeps to that, and older ones could not. Which is meant is decided, in this order,

1. by arithmetic: cached tokens that are more than the input cannot be inside it, and a total that
   is the sum of input, cache and output shows that they are not;
2. by the library and its version, as far as they are known (`LIBRARIES`);
3. by arithmetic: a total that is input and output shows that the cache is inside;
4. by the provider, where its own counts include the cache: nobody takes it out;
5. by the name: `gen_ai.usage.cache_read.input_tokens` came with the rule that input includes it.

Where nothing decides, the rule's reading is taken and the usage is doubted. Nothing is cut off to
make it fit. The same goes for reasoning and the output. A provider's own usage object inside the
span (Langfuse's, the Vercel AI SDK's, Genkit's) goes before the attributes, and is read in the
provider's dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from metering.domain.usage import COUNTS as NATIVE_COUNTS
from metering.domain.usage import MAX_TOKENS
from metering.formats.genai_names import OBJECTS
from metering.formats.langfuse_usage import usage_fields
from metering.formats.otlp.libraries import cache_is_inside
from metering.formats.otlp.spans import Facts, Span
from metering.formats.otlp.values import object_of
from metering.providers import langsmith
from metering.providers.counts import ImpossibleCount, UnreadableUsage, whole

_MAX_DIGITS: Final = 20


class Usage(NamedTuple):
    """Counts by the native fields' names, and units; `doubts` names what was told against itself
    or left open."""

    fields: dict[str, Any]
    doubts: tuple[str, ...]


class _Told(NamedTuple):
    """The counts of the attributes, not yet interpreted; `written` is all that was written."""

    into: int | None
    out: int | None
    total: int | None
    read: int | None
    written: int | None
    reasoning: int | None


def usage_of(span: Span, provider: str, *, embedding: bool) -> Usage | None:
    """What the span says was used; `None` if it says nothing of it. Nothing is raised."""
    facts = span.facts
    if not _OBJECTS.isdisjoint(facts):
        found = _of_object(facts, embedding=embedding)
        if found is not None:
            return found
    doubts: list[str] = []
    counts: dict[str, int] = {}
    for name in facts.keys() & _COUNTED:
        count = _count(facts[name], doubts)
        if count is not None:
            counts[name] = count
    if "vercel_metadata" in facts:
        _add_provider_metadata(facts, counts)
    if not counts:
        return Usage({}, tuple(doubts)) if doubts else None
    told = _Told(
        counts.get("input"),
        counts.get("output"),
        counts.get("total"),
        counts.get("cache_read"),
        _written(counts),
        counts.get("reasoning"),
    )
    into, out, open_questions = _settled(told, span, provider, embedding=embedding)
    fields: dict[str, Any] = {
        _AS_TOLD[name]: count for name, count in counts.items() if name in _AS_TOLD
    }
    for field, count in (
        ("input_tokens", into),
        ("output_tokens", out),
        ("cache_write_tokens", told.written),
    ):
        if count is not None:
            fields |= {field: count}
    if counts.get("web_search"):
        fields["units"] = {"web_search": str(counts["web_search"])}
    return Usage(fields, (*doubts, *open_questions))


def _written(counts: Mapping[str, int]) -> int | None:
    """All that was written to the cache: the count of it, or its parts where they are more."""
    if "cache_write_5m" not in counts and "cache_write_1h" not in counts:
        return counts.get("cache_write")
    split = counts.get("cache_write_5m", 0) + counts.get("cache_write_1h", 0)
    return max(counts.get("cache_write", 0), split)


_OBJECTS: Final = frozenset(OBJECTS)
_AS_TOLD: Final = {
    "cache_read": "cached_input_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "reasoning": "reasoning_tokens",
    "audio_input": "audio_input_tokens",
    "audio_output": "audio_output_tokens",
    "image_input": "image_input_tokens",
    "image_output": "image_output_tokens",
}
"""Counts that need no interpretation."""

_COUNTED: Final = frozenset(
    (
        *("input", "output", "total", "cache_read", "cache_write", "cache_write_5m"),
        *("cache_write_1h", "reasoning", "audio_input", "audio_output", "image_input"),
        *("image_output", "web_search"),
    )
)


def _settled(
    told: _Told, span: Span, provider: str, *, embedding: bool
) -> tuple[int | None, int | None, tuple[str, ...]]:
    """Input and output with all of their parts, and what stays doubtful."""
    cache, reasoning = (told.read or 0) + (told.written or 0), told.reasoning or 0
    if told.into is None and told.out is None:
        if told.total is None:
            return None, None, ()
        return told.total, (0 if embedding else None), () if embedding else ("total_only",)
    if told.into is None or told.out is None:
        return _missing_side(told, cache, embedding=embedding)
    into, out = told.into, told.out
    inside = cache_is_inside(span, provider) if cache else True
    plain = into + out
    # the likeliest reading first; what cannot be is none
    beside_in = [0, cache] if inside is not False else [cache]
    beside_in = [cache] if cache > into else beside_in
    beside_out = [reasoning] if reasoning > out else [0, reasoning]
    doubts: tuple[str, ...] = ()
    for more_in in beside_in:
        for more_out in beside_out:
            if told.total == plain + more_in + more_out:
                return into + more_in, out + more_out, ()
    more_in, more_out = beside_in[0], beside_out[0]
    if inside is None and len(beside_in) > 1:
        doubts = ("cache_ambiguous",)
    if told.total is not None and told.total != plain:
        missing = told.total - plain - more_in - more_out
        if missing > 0 and not reasoning and provider in _THINKS_ASIDE:
            return into + more_in, out + missing, (*doubts, "output_from_total")
        doubts = (*doubts, "total_does_not_sum")
    return into + more_in, out + more_out, doubts


_THINKS_ASIDE: Final = ("google", "gemini", "vertex", "vertex_ai", "gcp.gemini", "gcp.vertex_ai")
"""Providers whose answers' tokens are told without the thoughts, which only the total shows."""


def _missing_side(
    told: _Told, cache: int, *, embedding: bool
) -> tuple[int | None, int | None, tuple[str, ...]]:
    """One of input and output was not told; the total has it, if there is one."""
    into, out = told.into, told.out
    if into is not None:
        into += cache if cache > into else 0
    rest = None if told.total is None else told.total - (into or 0) - (out or 0)
    if embedding and out is None:
        return into, 0, ()
    if rest is None:
        return into, out, ()
    if rest < 0:
        return into, out, ("total_does_not_sum",)
    return (rest, out, ()) if into is None else (into, rest, ())


def _count(value: object, doubts: list[str]) -> int | None:
    """A count out of a number or a text; `None`, and a doubt, for what is none."""
    if type(value) is int and 0 <= value <= MAX_TOKENS:
        return value
    if isinstance(value, str) and len(value) <= _MAX_DIGITS and value.isdecimal():
        value = int(value)
    if isinstance(value, Decimal):
        value = whole(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS:
        return value
    doubts.append("count_impossible")
    return None


def _of_object(facts: Facts, *, embedding: bool) -> Usage | None:
    """The usage by an object inside the span that says all of it. A provider's own goes along as it
    is, and is read with the event."""
    bucketed = object_of(facts.get("langfuse_usage"))
    if bucketed:
        try:
            return Usage(usage_fields(bucketed, embeds=embedding), ())
        except ImpossibleCount:
            return Usage({}, ("count_impossible",))
        except UnreadableUsage:
            return None
    vercel = object_of(facts.get("vercel_metadata"))
    own = object_of(object_of(vercel.get("anthropic")).get("usage"))
    if own:
        return Usage({"usage": own, "usage_format": "anthropic"}, ())
    genkit = object_of(object_of(facts.get("genkit_output")).get("usage"))
    if genkit:
        return _of_genkit(genkit)
    inside, outside = (
        object_of(facts.get(name)) for name in ("langsmith_inside", "langsmith_outside")
    )
    if inside or outside:
        told = {f"{name}_tokens": facts.get(name) for name in ("input", "output", "total")}
        return _of_langsmith(
            {**told, "input_token_details": inside, "output_token_details": outside}
        )
    return None


def _of_langsmith(usage: Mapping[str, object]) -> Usage | None:
    try:
        counts = langsmith.usage_counts(usage)
    except ImpossibleCount:
        return Usage({}, ("count_impossible",))
    except UnreadableUsage:
        return None
    fields = {name: count for name in NATIVE_COUNTS if (count := getattr(counts, name)) is not None}
    return Usage(fields, counts.doubts)


def _of_genkit(usage: Mapping[str, object]) -> Usage | None:
    """Genkit's own usage object. Its plugins hand on the provider's input, so cached tokens that
    are more than it were left out of it."""
    doubts: list[str] = []
    into, out, total, read, thoughts = (
        _count(usage[name], doubts) if name in usage else None
        for name in (
            *("inputTokens", "outputTokens", "totalTokens", "cachedContentTokens"),
            "thoughtsTokens",
        )
    )
    if into is None and out is None:
        return Usage({}, tuple(doubts)) if doubts else None
    if into is not None and (read or 0) > into:
        into += read or 0
    if out is not None and thoughts:
        beside = thoughts > out or total == (into or 0) + out + thoughts
        out += thoughts if beside else 0
    fields = {
        "input_tokens": into,
        "cached_input_tokens": read,
        "output_tokens": out,
        "reasoning_tokens": thoughts,
    }
    return Usage(
        {name: count for name, count in fields.items() if count is not None}, tuple(doubts)
    )


def _add_provider_metadata(facts: Facts, counts: dict[str, int]) -> None:
    """What the Vercel AI SDK tells of the cache beside its counts."""
    vercel = object_of(facts.get("vercel_metadata"))
    claude = object_of(vercel.get("anthropic"))
    amazon = object_of(object_of(vercel.get("bedrock")).get("usage"))
    doubts: list[str] = []
    for holder, name, fact in (
        (claude, "cacheCreationInputTokens", "cache_write"),
        (claude, "cacheReadInputTokens", "cache_read"),
        (amazon, "cacheReadInputTokens", "cache_read"),
        (amazon, "cacheWriteInputTokens", "cache_write"),
        (amazon, "cacheCreationInputTokens", "cache_write"),
    ):
        if fact not in counts and holder.get(name):
            count = _count(holder[name], doubts)
            if count is not None:
                counts[fact] = count
