"""What makes a decoded event impossible, each with a stable reason code and a remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple, Protocol

from metering.domain.usage import Share

MAX_UNITS: Final = Decimal(10) ** 12
"""No call uses more of a unit than this; more is a mistake of unit or of field."""

UNIT_DECIMALS: Final = 18
MAX_SHARES: Final = 1000

PRIVATE: Final = frozenset({"userId", "anonId", "ipHash", "agentHash"})
"""Fields that name a person: what was sent in them is in no message, which may be logged."""

_UNIT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_INVISIBLE: Final = re.compile(
    "[\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]"
)
"""Characters of no width and marks of writing direction (Unicode's Default_Ignorable and Bidi
controls, as far as they have no place in a name): with them, two names that differ look alike."""


class Problem(NamedTuple):
    """Why an event is refused: a stable code, and what is wrong with the way to mend it."""

    reason: str
    message: str


class Counted(Protocol):
    """Whatever carries the ten counts."""

    @property
    def input_tokens(self) -> int | None: ...
    @property
    def cached_input_tokens(self) -> int | None: ...
    @property
    def cache_write_tokens(self) -> int | None: ...
    @property
    def cache_write_1h_tokens(self) -> int | None: ...
    @property
    def output_tokens(self) -> int | None: ...
    @property
    def reasoning_tokens(self) -> int | None: ...
    @property
    def audio_input_tokens(self) -> int | None: ...
    @property
    def audio_output_tokens(self) -> int | None: ...
    @property
    def image_input_tokens(self) -> int | None: ...
    @property
    def image_output_tokens(self) -> int | None: ...


_PARTS: Final = (
    ("cached_exceeds_input", ("cachedInputTokens",), "inputTokens"),
    ("cache_write_exceeds_input", ("cacheWriteTokens",), "inputTokens"),
    ("cache_exceeds_input", ("cachedInputTokens", "cacheWriteTokens"), "inputTokens"),
    ("cache_write_1h_exceeds_cache_write", ("cacheWrite1hTokens",), "cacheWriteTokens"),
    ("audio_exceeds_input", ("audioInputTokens",), "inputTokens"),
    ("image_exceeds_input", ("imageInputTokens",), "inputTokens"),
    ("media_exceed_input", ("audioInputTokens", "imageInputTokens"), "inputTokens"),
    ("reasoning_exceeds_output", ("reasoningTokens",), "outputTokens"),
    ("audio_exceeds_output", ("audioOutputTokens",), "outputTokens"),
    ("image_exceeds_output", ("imageOutputTokens",), "outputTokens"),
    ("media_exceed_output", ("audioOutputTokens", "imageOutputTokens"), "outputTokens"),
)
"""Parts that a whole must hold. Cached tokens may be audio or image tokens too, so only parts
that exclude one another are added up: read from and written to the cache; sound and pictures."""


def contradiction(c: Counted) -> Problem | None:
    """The first part that exceeds its whole, or has none; `None` for counts that can be true."""
    into, out = c.input_tokens or 0, c.output_tokens or 0
    written = c.cache_write_tokens or 0
    if (
        (c.cached_input_tokens or 0) + written > into
        or (c.cache_write_1h_tokens or 0) > written
        or (c.audio_input_tokens or 0) + (c.image_input_tokens or 0) > into
        or (c.reasoning_tokens or 0) > out
        or (c.audio_output_tokens or 0) + (c.image_output_tokens or 0) > out
    ):
        return _name_contradiction(c)
    return None


def _name_contradiction(c: Counted) -> Problem:
    counts = {
        "inputTokens": c.input_tokens,
        "cachedInputTokens": c.cached_input_tokens,
        "cacheWriteTokens": c.cache_write_tokens,
        "cacheWrite1hTokens": c.cache_write_1h_tokens,
        "outputTokens": c.output_tokens,
        "reasoningTokens": c.reasoning_tokens,
        "audioInputTokens": c.audio_input_tokens,
        "audioOutputTokens": c.audio_output_tokens,
        "imageInputTokens": c.image_input_tokens,
        "imageOutputTokens": c.image_output_tokens,
    }
    for reason, names, whole in _PARTS:
        if sum(counts[name] or 0 for name in names) <= (counts[whole] or 0):
            continue
        said = " + ".join(f"{name} {counts[name] or 0}" for name in names)
        if counts[whole] is None:
            return Problem(
                f"{_snake(whole)}_missing",
                f"{said} is given but {whole} is absent; {whole} includes it, so send both",
            )
        return Problem(
            reason,
            f"{said} is more than {whole} {counts[whole]}; "
            f"{whole} includes {' and '.join(names)}: send the sum of all of them as {whole}",
        )
    raise AssertionError("counts were found contradictory, but no part exceeds its whole")


def _snake(camel: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), camel)


def units_problem(units: Mapping[str, Decimal]) -> Problem | None:
    """Units are named like `web_search` and are finite quantities from 0 to `MAX_UNITS` with at
    most 18 decimals."""
    for name, quantity in units.items():
        if _UNIT_NAME.fullmatch(name) is None:
            return Problem(
                "unit_name",
                f"units: {name!r:.80} is no name of a unit; write it like web_search",
            )
        exponent = quantity.as_tuple().exponent
        if not isinstance(exponent, int) or not (
            quantity == 0 or (0 < quantity <= MAX_UNITS and exponent >= -UNIT_DECIMALS)
        ):
            return Problem(
                "unit_quantity",
                f"units.{name} is {quantity!s:.60}; a quantity lies between 0 and {MAX_UNITS} "
                f"and has at most {UNIT_DECIMALS} decimals",
            )
    return None


def name_problem(field: str, name: str) -> Problem | None:
    """Names hold nothing that cannot be seen, and something that can."""
    shown = "the text" if field in PRIVATE else f"{name!a:.80}"
    if _CONTROL.search(name):
        return Problem(
            "control_character", f"{field}: {shown} holds a control character; remove it"
        )
    found = _INVISIBLE.search(name)
    if found is not None:
        return Problem(
            "invisible_character",
            f"{field}: {shown} holds U+{ord(found[0]):04X}, which cannot be seen; remove it",
        )
    if name.isspace():
        return Problem("empty_field", f"{field} is blank; name it, or leave the field out")
    return None


def shares_problem(shares: Iterable[Share], c: Counted) -> Problem | None:
    """Each tenant has one share, and together they hold no more than the call did."""
    seen: set[str] = set()
    into = out = 0
    for share in shares:
        if name_problem("tenantId", share.tenant_id):
            return Problem(
                "share_tenant",
                f"shares: {share.tenant_id!a:.80} is no tenantId (blank, or with characters "
                "that cannot be seen); every share needs that of its tenant",
            )
        if share.tenant_id in seen:
            return Problem(
                "share_tenant_repeated",
                f"shares: {share.tenant_id!r} has two shares; add them up to one",
            )
        seen.add(share.tenant_id)
        into += share.input_tokens
        out += share.output_tokens
    for said, whole, reason, name in (
        (into, c.input_tokens, "shares_exceed_input", "inputTokens"),
        (out, c.output_tokens, "shares_exceed_output", "outputTokens"),
    ):
        if said > (whole or 0):
            return Problem(
                reason,
                f"shares: their {name} sum to {said}, the call's own {name} is "
                f"{'absent' if whole is None else whole}; shares divide the call, "
                "so they cannot hold more than it did",
            )
    return None
