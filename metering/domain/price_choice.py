"""Why a price row bears on a call, and why others of the same model do not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from difflib import SequenceMatcher
from typing import Final, NamedTuple

from metering.domain.price_book import Considered
from metering.domain.price_matching import PriceList
from metering.domain.price_words import window_in_words
from metering.domain.prices import Price

NEAREST: Final = 3
_ALIKE: Final = 0.5
_HOLDS: Final = (
    "it holds, and what it prices was not used, or has a price in a row that goes before it"
)


class Verdict(NamedTuple):
    """A row that was considered: whether it priced anything of the call, and why (not)."""

    price: Price
    is_used: bool
    why: str


def verdicts(
    considered: Considered,
    at: datetime,
    used: Mapping[int, Sequence[str]],
    *,
    now: Mapping[int, Sequence[str]] | None = None,
    nothing_priced: str = "",
) -> list[Verdict]:
    """Each row of the model, those that priced something first. `used` names the classes that a
    row priced, `now` those that it would price if the call were rated again, `nothing_priced` why
    none of the call was."""
    now = now or {}
    found = [
        Verdict(
            row,
            row.id in used,
            _why(row, considered.values, at, used)
            or _left_aside(now.get(row.id, ()), nothing_priced),
        )
        for row in considered.rows
    ]
    return sorted(found, key=lambda each: (not each.is_used, -each.price.rank, each.price.id))


def _why(
    row: Price, values: Mapping[str, str], at: datetime, used: Mapping[int, Sequence[str]]
) -> str:
    """Empty for a row that holds and priced nothing."""
    if row.id in used:
        return f"it holds at that instant for such a call and prices {', '.join(used[row.id])}"
    if row.valid_from is not None and at < row.valid_from:
        return f"it holds only from {_instant(row.valid_from)} on"
    if row.valid_to is not None and at >= row.valid_to:
        return f"it held until {_instant(row.valid_to)}"
    for key, value in row.conditions.when.items():
        if values.get(key) != value:
            is_said = f"the call's is {values[key]}" if key in values else "the call says none"
            return f"it is for {key.replace('_', ' ')} {value}; {is_said}"
    window = row.conditions.window
    if window is not None and not window.holds_at(at):
        return f"it holds from {window_in_words(window)} only"
    return ""


def _left_aside(would_price: Sequence[str], nothing_priced: str) -> str:
    """Why a row that holds priced nothing."""
    if would_price:
        again = ", ".join(would_price)
        return f"it priced nothing when the call was rated; rated again, it prices {again}"
    return f"it holds, and nothing is priced: {nothing_priced}" if nothing_priced else _HOLDS


def _instant(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


class Candidate(NamedTuple):
    """A model that has a price and whose name is near one that has none."""

    provider: str
    model_id: str
    alike: float


def nearest(provider: str, model: str, lists: Iterable[PriceList]) -> list[Candidate]:
    """The few listed models that may have been meant, the likeliest first: models of the same
    provider go before others'. The provider's own of that very name is none of them: it has no
    price at the time, or nobody would ask."""
    wanted = model.lower()
    found: dict[tuple[str, str], Candidate] = {}
    for listed in lists:
        own = listed.provider_named(provider)
        for each in listed.providers:
            is_own = own is not None and each.id == own.id
            for candidate in each.models:
                if is_own and candidate.id.lower() == wanted:
                    continue
                matcher = SequenceMatcher(None, candidate.id.lower(), wanted, autojunk=False)
                least = _ALIKE if is_own else 0.9
                if matcher.real_quick_ratio() < least or matcher.quick_ratio() < least:
                    continue
                alike = matcher.ratio() if is_own else matcher.ratio() - 0.3
                if matcher.ratio() >= least:
                    found[each.id, candidate.id] = Candidate(each.id, candidate.id, alike)
    return sorted(found.values(), key=lambda each: (-each.alike, each.provider, each.model_id))[
        :NEAREST
    ]
