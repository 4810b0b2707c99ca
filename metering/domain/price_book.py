"""The price book: every dated price that is known, and which of them bear on a call."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import datetime, time
from typing import Final, NamedTuple

from metering.domain.price_matching import Matched, PriceList, known_providers
from metering.domain.prices import Price, utc_clock
from metering.domain.rate_cards import RateCard, card_of

STANDARD_TIERS: Final = frozenset({"", "standard", "default", "auto", "on_demand", "on-demand"})
"""Names under which providers sell the tier that the standard price is for."""

CACHED_SCHEDULES: Final = 8192
"""Callers may send any model name; beyond so many different ones the cache starts afresh."""

_Card = RateCard | str


class _Schedule(NamedTuple):
    """The cards of one model and tier over time: `slots[i]` from `edges[i - 1]` to `edges[i]`."""

    only: _Card | None
    edges: tuple[datetime, ...]
    slots: tuple[_Day, ...]


class _Day(NamedTuple):
    """The cards over a UTC day: `cards[i]` from `edges[i - 1]` to `edges[i]`."""

    edges: tuple[time, ...]
    cards: tuple[_Card, ...]


class _Call(NamedTuple):
    """What a price's conditions are compared with, and the part of it that was asked for beyond
    the standard."""

    values: Mapping[str, str]
    asked: Mapping[str, tuple[str, ...]]


class PriceBook:
    """An immutable snapshot of prices and of the lists' matching rules.

    `currency` is the one in which costs that need no price row are stated (a reply from the
    caller's own cache costs 0 of it). Looking a price up caches what was found, which no caller
    can see: two threads at worst work the same card out twice.
    """

    __slots__ = ("_cache", "_lists", "_rows", "currency")

    def __init__(
        self, prices: Iterable[Price], lists: Iterable[PriceList], *, currency: str = "USD"
    ) -> None:
        self.currency = currency
        self._lists = tuple(sorted(lists, key=lambda listed: listed.effective_at))
        rows: dict[tuple[str, str], list[Price]] = {}
        for price in prices:
            rows.setdefault((price.provider, price.model_id), []).append(price)
        self._rows = {key: tuple(found) for key, found in rows.items()}
        self._cache: dict[tuple[str, str, str, bool, str | None], _Schedule] = {}

    def __len__(self) -> int:
        return sum(len(rows) for rows in self._rows.values())

    def find(
        self,
        provider: str,
        model: str,
        at: datetime,
        *,
        service_tier: str = "standard",
        batch: bool = False,
        speed: str | None = None,
    ) -> RateCard | None:
        """The prices of a call at the (aware) instant; `None`: there is none."""
        found = self.look_up(provider, model, at, service_tier, batch=batch, speed=speed)
        return None if isinstance(found, str) else found

    def look_up(
        self,
        provider: str,
        model: str,
        at: datetime,
        service_tier: str = "standard",
        *,
        batch: bool = False,
        speed: str | None = None,
    ) -> RateCard | str:
        """As `find`, with the reason where there is no price: `unknown_provider`,
        `unknown_model`, or `no_price_at_that_time`.

        Tiers compare without regard to case. A tier (or batch) for which the model has no price
        gets the standard price, on a card whose `reason` says so: `tier_not_priced:flex`.
        """
        key = (provider, model, service_tier, batch, speed)
        schedule = self._cache.get(key)
        if schedule is None:
            if len(self._cache) >= CACHED_SCHEDULES:
                self._cache.clear()
            call = _call(service_tier, batch=batch, speed=speed)
            schedule = self._cache[key] = self._schedule(provider, model, call)
        if schedule.only is not None:
            return schedule.only
        day = schedule.slots[bisect_right(schedule.edges, at)]
        if not day.edges:
            return day.cards[0]
        return day.cards[bisect_right(day.edges, utc_clock(at))]

    def known_providers(self) -> frozenset[str]:
        """Names of providers that have an exact entry here (`price_matching.known_providers`)."""
        return known_providers(self._lists)

    def _schedule(self, provider: str, model: str, call: _Call) -> _Schedule:
        matches = [listed.match(provider, model) for listed in self._lists]
        rows = [
            row
            for match in set(matches)
            if match is not None
            for row in self._rows.get((match.provider, match.model_id), ())
        ]
        edges = {edge for row in rows for edge in (row.valid_from, row.valid_to) if edge}
        edges |= {listed.effective_at for listed in self._lists[1:]}
        ordered = tuple(sorted(edges))
        starts: tuple[datetime | None, ...] = (None, *ordered)
        slots = tuple(self._day(provider, matches, call, start) for start in starts)
        first = slots[0]
        if all(slot == first for slot in slots) and not first.edges:
            return _Schedule(first.cards[0], (), ())
        return _Schedule(None, ordered, slots)

    def _day(
        self, provider: str, matches: list[Matched | None], call: _Call, start: datetime | None
    ) -> _Day:
        """The cards of the days from `start` (`None`: the beginning) to the next edge."""
        in_force = 0
        for number, listed in enumerate(self._lists):
            if start is not None and listed.effective_at <= start:
                in_force = number
        match = matches[in_force] if matches else None
        if match is None:
            known = bool(self._lists) and self._lists[in_force].provider_named(provider)
            return _Day((), ("unknown_model" if known else "unknown_provider",))
        rows = [
            row
            for row in self._rows.get((match.provider, match.model_id), ())
            if (row.valid_from is None if start is None else row.holds_at(start))
        ]
        clocks = {
            clock
            for row in rows
            if (window := row.conditions.window) is not None
            for clock in (window.start, window.end)
        }
        edges = tuple(sorted(clocks - {time(0)}))
        if match.resold:
            call = call._replace(values={})
        return _Day(edges, tuple(_card(rows, call, clock) for clock in (time(0), *edges)))


def _call(service_tier: str, *, batch: bool, speed: str | None) -> _Call:
    tier = service_tier.lower().strip()
    values: dict[str, str] = {}
    asked: dict[str, tuple[str, ...]] = {}
    if batch or tier == "batch":
        values["processing"] = "batch"
        asked["batch"] = ("processing",)
    if tier in STANDARD_TIERS:
        values["service_tier"] = "default"
    elif tier != "batch":
        values["service_tier"] = tier
        asked[tier] = ("service_tier",)
    if tier == "fast":
        values["speed"] = "fast"
        asked[tier] = ("service_tier", "speed")
    if speed is not None and speed.lower() not in STANDARD_TIERS:
        values["speed"] = speed.lower()
        asked.setdefault(speed.lower(), ("speed",))
    return _Call(values, asked)


def _card(rows: Iterable[Price], call: _Call, clock: time) -> _Card:
    now = [row for row in rows if row.conditions.window is None or clock in row.conditions.window]
    now.sort(key=lambda row: row.rank, reverse=True)
    standard = next((row for row in now if not row.conditions.when), None)
    if standard is None:
        return "no_price_at_that_time"
    partial = [row for row in now if row.conditions.when and row.conditions.met_by(call.values)]
    priced = {key for row in partial for key in row.conditions.when}
    missing = [name for name, keys in call.asked.items() if not priced.intersection(keys)]
    reason = ",".join(f"tier_not_priced:{name}" for name in missing) or None
    return card_of(standard, partial, reason)
