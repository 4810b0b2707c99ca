"""What an import of prices would change, in words and figures a person can check.

A price that changes by more than 100 times is hardly ever one: it is a list that now counts per
thousand what it counted per million. It is named, and waits for somebody to say that it is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from metering.domain.money import EXACT, plain
from metering.domain.price_changes import PriceChanges
from metering.domain.prices import Price, UnitPrice

LEAP: Final = 100
"""By how many times a price may rise or fall without being asked about."""


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
    """A price of one unit that would change by more than `LEAP` times."""

    place: str
    unit: str
    before: Decimal
    after: Decimal

    def __str__(self) -> str:
        return (
            f"{self.place}: {self.unit} from {plain(self.before)} to {plain(self.after)} for a"
            f" million"
        )


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


def leaps(pairs: Iterable[tuple[Price, Price]]) -> Iterator[Leap]:
    """The units whose price differs by more than `LEAP` times between a price and its successor,
    at any of their thresholds."""
    for before, after in pairs:
        for unit in before.unit_prices.keys() & after.unit_prices.keys():
            worst = _worst(before.unit_prices[unit], after.unit_prices[unit])
            if worst is not None:
                yield Leap(after.place, unit, *worst)


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
    """`openai/gpt-4o (standard): input 2.5 → 2 per 1000000 from 2026-11-01`."""
    row = change.after or change.before
    assert row is not None
    on = ", ".join(f"{key}={value}" for key, value in row.conditions.when.items())
    window = row.conditions.window
    if window is not None:
        on = ", ".join(filter(None, (on, f"{window.start:%H:%M} to {window.end:%H:%M}")))
    said = "; ".join(_unit_changes(change)) or "other conditions"
    at = f" from {change.at:%Y-%m-%d %H:%M} UTC" if change.at else ""
    return f"{row.provider}/{row.model_id} ({on or 'standard'}): {said}{at}"


def _unit_changes(change: Change) -> Iterator[str]:
    before = _by_unit(change.before)
    after = _by_unit(change.after)
    for unit in sorted(before.keys() | after.keys()):
        old, new = before.get(unit), after.get(unit)
        if old == new:
            continue
        per = (new or old or "").rpartition(" per ")[2]
        name = unit.removesuffix("_tokens")
        match old, new:
            case None, str():
                yield f"{name} {new}"
            case str(), None:
                yield f"{name} {old} ends"
            case _:
                assert old is not None
                yield f"{name} {old.removesuffix(f' per {per}')} → {new}"


def _by_unit(price: Price | None) -> Mapping[str, str]:
    if price is None:
        return {}
    return {unit: _said(said, price.currency) for unit, said in price.unit_prices.items()}


def _said(price: UnitPrice, currency: str) -> str:
    above = "".join(f", {plain(tier.price)} above {tier.start}" for tier in price.tiers)
    return f"{plain(price.base)}{above} {currency} per {price.per}"
