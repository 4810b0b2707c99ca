"""What an import of prices would change, in words and figures a person can check.

A price that changes by more than 100 times is hardly ever one: it is a list that now counts per
thousand what it counted per million. It is named, and waits for somebody to say that it is meant.
So does a price of tokens that there is nothing to hold against, if no tokens cost that anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, NamedTuple

from metering.domain.money import EXACT, plain
from metering.domain.price_changes import PriceChanges
from metering.domain.price_words import conditions_in_words, unit_price_in_words
from metering.domain.prices import Price, UnitPrice
from metering.domain.units import UNITS

LEAP: Final = 100
"""By how many times a price may rise or fall without being asked about."""
LEAST: Final = Decimal("0.001")
MOST: Final = Decimal(1000)
"""Between what a million tokens cost in USD. Of the 25,835 prices of tokens that genai-prices,
LiteLLM's and Langfuse's lists had in October 2026 (from 0.0011 to 600), 17 lay outside, all of them
slips: per thousand for per million, a picture's steps for tokens."""


class Change(NamedTuple):
    """A price that holds `before` an instant and one that holds from it on; `before` is `None` for
    one that is new, `after` for one that ends there."""

    before: Price | None
    after: Price | None
    at: datetime | None

    @property
    def kind(self) -> str:
        if self.before is None:
            return "added"
        return "ended" if self.after is None else "changed"


class Leap(NamedTuple):
    """A price of one unit that would change by more than `LEAP` times; without `before` (0), one
    of tokens that is new and lies outside of what any cost."""

    place: str
    unit: str
    before: Decimal
    after: Decimal

    def __str__(self) -> str:
        said = f"from {plain(self.before)} to" if self.before else "at"
        return f"{self.place}: {self.unit} {said} {plain(self.after)} for a million"


def differences(held: Iterable[Price], changes: PriceChanges) -> list[Change]:
    """The changes one by one: a row that ends where one of the same identity begins is changed."""
    by_id = {row.id: row for row in held}
    begins: dict[tuple[object, ...], Price] = {}
    for row in changes.added:
        begins.setdefault((row.identity, row.valid_from), row)
    found = []
    followed = set()
    for id_, at in changes.ended.items():
        before = by_id[id_]
        key = (before.identity, at)
        found.append(Change(before, begins.get(key), at))
        followed.add(key)
    found += [
        Change(None, row, row.valid_from)
        for row in changes.added
        if (row.identity, row.valid_from) not in followed
        or begins[row.identity, row.valid_from] is not row
    ]
    return sorted(found, key=_order)


def _order(change: Change) -> tuple[object, ...]:
    row = change.after or change.before
    assert row is not None
    return (row.provider, row.model_id, str(row.conditions.as_json()), str(change.at))


def successions(held: Iterable[Price], changes: PriceChanges) -> list[tuple[Price, Price]]:
    """Each row that would be added, with the one of the same identity that it takes over from:
    whose place it takes, else the last before it, held, ended long ago or added as well."""
    by_identity: dict[tuple[object, ...], list[tuple[datetime, bool, Price]]] = {}
    for is_new, rows in ((False, held), (True, changes.added)):
        for row in rows:
            by_identity.setdefault(row.identity, []).append((_began(row), is_new, row))
    found = []
    for row in changes.added:
        before = [each for each in by_identity[row.identity] if each[:2] < (_began(row), True)]
        if before:
            found.append((max(before, key=lambda each: each[:2])[2], row))
    return found


def _began(row: Price) -> datetime:
    return row.valid_from or datetime.min.replace(tzinfo=UTC)


def leaps(pairs: Iterable[tuple[Price, Price]]) -> Iterator[Leap]:
    """The units whose price differs by more than `LEAP` times between a price and its successor,
    at any of their thresholds."""
    for before, after in pairs:
        for unit in before.unit_prices.keys() & after.unit_prices.keys():
            worst = _worst(before.unit_prices[unit], after.unit_prices[unit])
            if worst is not None:
                yield Leap(after.place, unit, *worst)


def unlikely(price: Price) -> Iterator[Leap]:
    """The units of tokens that would cost, at any threshold, what tokens cost nowhere. Free is
    likely; of prices in another currency than USD nothing is said."""
    if price.currency != "USD":
        return
    for unit, said in price.unit_prices.items():
        if UNITS[unit].family == "tokens":
            odd = [each for each in _levels(said) if each and not LEAST <= each <= MOST]
            if odd:
                yield Leap(price.place, unit, Decimal(0), odd[0])


def _worst(before: UnitPrice, after: UnitPrice) -> tuple[Decimal, Decimal] | None:
    ours, theirs = _levels(before), _levels(after)
    pairs = [
        (one, other)
        for one in (ours[0], ours[-1])
        for other in (theirs[0], theirs[-1])
        if one and other
    ]
    if not pairs or any(max(a, b) <= LEAP * min(a, b) for a, b in pairs):
        return None
    return pairs[0]


def _levels(price: UnitPrice) -> Sequence[Decimal]:
    million = Decimal(1_000_000)
    return [
        EXACT.divide(EXACT.multiply(amount, million), Decimal(price.per))
        for amount in (price.base, *(tier.price for tier in price.tiers))
    ]


def in_words(change: Change) -> str:
    """`openai/gpt-4o (standard): input 2.5 USD per 1,000,000 → 2 USD per 1,000,000 from …`."""
    row = change.after or change.before
    assert row is not None
    said = ", ".join(_unit_changes(change))
    if not said and (change.before is None or change.after is None):
        said = "no price of its own, so the standard one"
    said = said or "it ranks otherwise among prices that bear on a call"
    at = f" from {change.at:%Y-%m-%d %H:%M} UTC" if change.at else ""
    return f"{row.provider}/{row.model_id} ({conditions_in_words(row.conditions)}): {said}{at}"


def _unit_changes(change: Change) -> Iterator[str]:
    before = _by_unit(change.before)
    after = _by_unit(change.after)
    for unit in sorted(before.keys() | after.keys()):
        old, new = before.get(unit), after.get(unit)
        name = unit.removesuffix("_tokens")
        if old == new:
            continue
        if old is None:
            yield f"{name} {new}"
        else:
            yield f"{name} {old} ends" if new is None else f"{name} {old} → {new}"


def _by_unit(price: Price | None) -> Mapping[str, str]:
    if price is None:
        return {}
    return {
        unit: unit_price_in_words(said, price.currency) for unit, said in price.unit_prices.items()
    }
