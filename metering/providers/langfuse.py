"""Langfuse's `usageDetails`: tokens in buckets by name, which are disjoint by its documentation.

`input` is then without what was read from or written to the cache, `output` without reasoning. Not
every sender keeps to that: some put details beside a total that holds them already, some name one
bucket twice. Each way of reading the buckets comes to a total; where the sender gives the total, it
proves which way is meant. Where nothing fits it, the documented reading counts and is doubted.

Names are free, so a bucket is known by the words of its name: `input_cached_tokens`,
`cache_read_input_tokens` and `prompt_details.cache_read` are all read from the cache.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from itertools import product
from typing import Final, NamedTuple

from metering.domain.usage import MAX_TOKENS
from metering.providers.counts import (
    Counts,
    ImpossibleCount,
    UnreadableUsage,
    added,
    shown,
    units,
    whole,
)

_WORD: Final = re.compile(r"[a-z]+[0-9]*[a-z]?|[0-9]+[a-z]+|[0-9]+")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_IGNORED: Final = frozenset({"tokens", "token", "count", "details", "detail", "usage"})
_INPUT: Final = frozenset({"input", "prompt", "cache", "cached", "ephemeral"})
_OUTPUT: Final = frozenset({"output", "completion", "candidates", "response"})
_REASONING: Final = frozenset({"reasoning", "thinking", "thoughts", "thought"})
_WRITTEN: Final = frozenset({"creation", "create", "created", "write", "written", "ephemeral"})
_CACHE: Final = frozenset({"cache", "cached", "ephemeral"})
_SEARCHES: Final = frozenset({"search", "searches"})
_DOTTED: Final = re.compile(r"_?details\.")


class _Bucket(NamedTuple):
    """What a bucket counts: a leaf of the input or the output, the total, or a unit. `inside`: its
    name is that of a detail of the total beside it."""

    leaf: str
    inside: bool = False


class _Sides(NamedTuple):
    """The buckets of one usage object by leaf; `given` is the total that was sent."""

    leaves: Mapping[str, int]
    given: int | None
    details_inside: bool
    doubts: tuple[str, ...]


class _Reading(NamedTuple):
    """One way to read the buckets: totals that hold all their parts."""

    into: int | None
    out: int | None
    written: int | None

    @property
    def total(self) -> int:
        return (self.into or 0) + (self.out or 0)


_INPUT_PARTS: Final = ("cached", "audio_in", "image_in", "text_in", "other_in")
_OUTPUT_PARTS: Final = ("reasoning", "audio_out", "image_out", "text_out", "other_out")
_WRITES: Final = ("written", "written_5m", "written_1h")


def usage_counts(usage: Mapping[str, object]) -> Counts:
    """Read the buckets. Raises `UnreadableUsage` where one of them is no whole number, or where
    none of them is known.

    A total alone (as embeddings report) is the input. Rejected prediction tokens and other buckets
    of the output are part of it, as they are billed.
    """
    sides = _sides(usage)
    if not sides.leaves and sides.given is None:
        raise UnreadableUsage(
            "the usage names no bucket of tokens that is known; call them input, output, total, or"
            " by a detail of these"
        )
    found, doubts = _decided(sides)
    doubts = (*sides.doubts, *doubts)
    if found.into is None and found.out is None and sides.given is not None:
        found = found._replace(into=sides.given)
        doubts = (*doubts, "total_only")
    leaf = sides.leaves.get
    return Counts(
        input_tokens=found.into,
        cached_input_tokens=leaf("cached"),
        cache_write_tokens=found.written,
        cache_write_1h_tokens=leaf("written_1h"),
        output_tokens=found.out,
        reasoning_tokens=leaf("reasoning"),
        audio_input_tokens=leaf("audio_in"),
        audio_output_tokens=leaf("audio_out"),
        image_input_tokens=leaf("image_in"),
        image_output_tokens=leaf("image_out"),
        units=units(web_search=leaf("web_search")),
        doubts=doubts,
    )


def _sides(usage: Mapping[str, object]) -> _Sides:
    leaves: dict[str, int] = {}
    doubts: list[str] = []
    inside = False
    for name, value in usage.items():
        bucket = _bucket(name)
        if bucket is None or value is None:
            continue
        count = _count(name, value)
        inside = inside or (bucket.inside and count > 0)
        known = leaves.setdefault(bucket.leaf, count)
        if known != count:  # one leaf under two names
            leaves[bucket.leaf] = max(known, count)
            doubts.append("counts_differ")
    given = leaves.pop("total", None)
    return _Sides(leaves, given, inside, tuple(doubts))


def _count(name: str, value: object) -> int:
    found = whole(value) if isinstance(value, Decimal) else value
    if not isinstance(found, int) or isinstance(found, bool):
        raise UnreadableUsage(f"usage: {name:.60} is {shown(value)}; a count is a whole number")
    if not 0 <= found <= MAX_TOKENS:
        raise ImpossibleCount(
            f"usage: {name:.60} is {value!s:.30}; a count lies between 0 and {MAX_TOKENS}"
        )
    return found


@lru_cache(maxsize=4096)
def _bucket(name: str) -> _Bucket | None:
    words = frozenset(_WORD.findall(_CAMEL.sub("_", name).lower())) - _IGNORED
    inside = _DOTTED.search(name) is not None
    if words == {"total"}:
        return _Bucket("total")
    if "web" in words and words & _SEARCHES:
        return _Bucket("web_search")
    if words & _REASONING:
        return _Bucket("reasoning", inside)
    if words & _OUTPUT:
        rest = words - _OUTPUT
        return _Bucket(f"{_modality(rest)}_out" if rest else "output", inside)
    if not words & _INPUT or "miss" in words or "cost" in words:
        return None
    if words & _CACHE:
        return _Bucket(_cache(words), inside)
    rest = words - _INPUT
    return _Bucket(f"{_modality(rest)}_in" if rest else "input", inside)


def _modality(words: frozenset[str]) -> str:
    return next((kind for kind in ("audio", "image", "text") if kind in words), "other")


def _cache(words: frozenset[str]) -> str:
    if not words & _WRITTEN:
        return "cached"
    return "written_1h" if "1h" in words else "written_5m" if "5m" in words else "written"


_PLAIN: Final = frozenset({"input", "output"})


def _decided(sides: _Sides) -> tuple[_Reading, tuple[str, ...]]:
    """The reading that the total proves, else the documented one; and what is doubtful in it."""
    if sides.given is None:
        return next(_readings(sides)), ()
    if sides.leaves.keys() <= _PLAIN:  # there is nothing that could be beside or inside
        readings = [next(_readings(sides))]
    else:
        readings = list(dict.fromkeys(_readings(sides)))
    documented = readings[0]
    proven = [reading for reading in readings if reading.total == sides.given]
    if not proven:
        if documented.into is None and documented.out is None:
            return documented, ()
        return documented, ("total_does_not_sum",)
    if len(proven) > 1:
        return proven[0], ("buckets_ambiguous",)
    return proven[0], ()


def _readings(sides: _Sides) -> Iterator[_Reading]:
    """Every reading that can be true, the likeliest first: details beside `input` and `output`, or
    inside them; writes to the cache beside their split by time to live, or summing it up."""
    leaf = sides.leaves.get
    split = added(leaf("written_5m"), leaf("written_1h"))
    sums_up = split is not None and (leaf("written") or 0) >= split > 0
    likeliest = not sides.details_inside
    for beside_in, beside_out, summed in product(
        (likeliest, not likeliest), (likeliest, not likeliest), (sums_up, not sums_up)
    ):
        written = leaf("written")
        if split is not None:
            written = max(written or 0, split) if summed else (written or 0) + split
        into = _whole(leaf("input"), (*map(leaf, _INPUT_PARTS), written), beside=beside_in)
        out = _whole(leaf("output"), tuple(map(leaf, _OUTPUT_PARTS)), beside=beside_out)
        yield _Reading(into, out, written)


def _whole(plain: int | None, parts: tuple[int | None, ...], *, beside: bool) -> int | None:
    """The count with all of its parts. Parts that are more than the plain count cannot be inside
    it, whatever was meant."""
    held = added(*parts)
    if held is None or plain is None:
        return added(plain, held)
    return plain + held if beside or held > plain else plain
