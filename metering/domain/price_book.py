"""The price book: every dated price that is known, and which of them bear on a call."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from metering.domain.periods import Period
from metering.domain.price_matching import Matched, PriceList, known_providers
from metering.domain.prices import DailyWindow, Price
from metering.domain.rate_cards import Level, RateCard, card_of

STANDARD_TIERS: Final = frozenset({"", "standard", "default", "auto", "on_demand", "on-demand"})
"""Names under which providers sell the tier that the standard price is for."""

EVERYWHERE: Final = frozenset({"", "global"})
"""Regions that are none: a call to any other went to a regional endpoint."""

CAPACITY_TIERS: Final = frozenset(
    {"provisioned", "provisioned_throughput", "provisioned-throughput", "provisionedmanaged", "ptu"}
)
"""Names of the tier that is paid by the hour (`metering.domain.capacity`), not by the piece."""

CACHED_SCHEDULES: Final = 8192
"""Callers may send any model name; beyond so many different ones the cache starts afresh."""

_Card = RateCard | str


class PricedBy(NamedTuple):
    """What the price of a call hangs on, beside its instant and what it used. `model` is the one
    that executed; `region` where it went."""

    provider: str
    model: str
    service_tier: str = "standard"
    batch: bool = False
    region: str | None = None


class _Schedule(NamedTuple):
    """The cards of one model and tier over time: `spans[i]` from `edges[i - 1]` to `edges[i]`."""

    only: _Card | None
    edges: tuple[datetime, ...]
    spans: tuple[_Span, ...]


class _Span(NamedTuple):
    """The cards between two edges: which holds is a matter of the windows that the instant lies
    in. `cards` has one for each such set, filled when it first occurs."""

    windows: tuple[DailyWindow, ...]
    rows: tuple[Price, ...]
    wanted: _Wanted
    cards: dict[tuple[bool, ...], _Card]

    def card_at(self, instant: datetime) -> _Card:
        held = tuple([window.holds_at(instant) for window in self.windows])
        card = self.cards.get(held)
        if card is None:
            on = {None, *(w for w, holds in zip(self.windows, held, strict=True) if holds)}
            now = [row for row in self.rows if row.conditions.window in on]
            card = self.cards[held] = _card(now, self.wanted)
        return card


class _Wanted(NamedTuple):
    """What a price's conditions are compared with, the part of it that was asked for beyond the
    standard, and the card of a call that ran on reserved capacity."""

    values: Mapping[str, str]
    asked: Mapping[str, tuple[str, ...]]
    on_capacity: RateCard | None


class Considered(NamedTuple):
    """What a look-up goes by: the edition of the list that is in force, the model that it takes
    the call to mean, the call's values that conditions are compared with, and every row of that
    model, whenever it holds."""

    edition: PriceList
    matched: Matched | None
    values: Mapping[str, str]
    rows: tuple[Price, ...]


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
        self._cache: dict[PricedBy, _Schedule] = {}

    def __len__(self) -> int:
        return sum(len(rows) for rows in self._rows.values())

    def look_up(self, call: PricedBy, at: datetime) -> RateCard | str:
        """The prices of such a call at the (aware) instant, or the reason where there is none:
        `unknown_provider`, `unknown_model`, `no_price_at_that_time`, or `currencies_differ`
        (between the standard price and a partial one).

        Tiers and regions compare without regard to case. A tier (or batch) for which the model
        has no price gets the standard price, on a card whose `reason` says so:
        `tier_not_priced:flex`. A region without a price of its own is no doubt: few have one. What
        runs on reserved capacity is paid by the hour, so it is free by the piece, with the reason
        `provisioned_throughput`, unless the list has a price for that tier.
        """
        schedule = self._cache.get(call)
        if schedule is None:
            schedule = self._remember(call)
        if schedule.only is not None:
            return schedule.only
        span = schedule.spans[bisect_right(schedule.edges, at)]
        return span.card_at(at) if span.windows else span.cards[()]

    def stand_ins(
        self,
        call: PricedBy,  # noqa: ARG002 - one list has nobody to stand in for it
        at: datetime,  # noqa: ARG002
    ) -> Iterator[RateCard]:
        """Cards of other public lists, as good for the call's tier as the one that `look_up`
        finds in a public list, for a call that used what that list has no price for."""
        return iter(())

    def throughout(self, call: PricedBy, period: Period) -> RateCard | str | None:
        """What `look_up` answers at every instant of the period; `None` where nobody can say so:
        a price changes within it, or holds at some hours only."""
        schedule = self._cache.get(call) or self._remember(call)
        if schedule.only is not None:
            return schedule.only
        number = bisect_right(schedule.edges, period.start)
        span = schedule.spans[number]
        if span.windows or any(edge < period.end for edge in schedule.edges[number:]):
            return None
        return span.cards[()]

    def _remember(self, call: PricedBy) -> _Schedule:
        if len(self._cache) >= CACHED_SCHEDULES:
            self._cache.clear()
        schedule = self._cache[call] = self._schedule(call)
        return schedule

    def considered(self, call: PricedBy, at: datetime) -> Considered | None:
        """What `look_up` goes by, to explain it; `None` for a book without any edition."""
        if not self._lists:
            return None
        past = [listed for listed in self._lists if listed.effective_at <= at]
        edition = past[-1] if past else self._lists[0]
        matched = edition.match(call.provider, call.model)
        values = _wanted(call, self.currency).values
        if matched is None:
            return Considered(edition, None, values, ())
        rows = self._rows.get((matched.provider, matched.model_id), ())
        return Considered(edition, matched, {} if matched.resold else values, rows)

    def known_providers(self) -> frozenset[str]:
        """Names of providers that have an exact entry here (`price_matching.known_providers`)."""
        return known_providers(self._lists)

    def _schedule(self, call: PricedBy) -> _Schedule:
        wanted = _wanted(call, self.currency)
        matches = [listed.match(call.provider, call.model) for listed in self._lists]
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
        spans = tuple([self._span(call.provider, matches, wanted, start) for start in starts])
        if not any(span.windows for span in spans):
            cards = [span.cards[()] for span in spans]
            if all(card == cards[0] for card in cards):
                return _Schedule(cards[0], (), ())
        return _Schedule(None, ordered, spans)

    def _span(
        self, provider: str, matches: list[Matched | None], wanted: _Wanted, start: datetime | None
    ) -> _Span:
        """The cards from `start` (`None`: the beginning) to the next edge."""
        in_force = 0
        for number, listed in enumerate(self._lists):
            if start is not None and listed.effective_at <= start:
                in_force = number
        match = matches[in_force] if matches else None
        if match is None:
            known = bool(self._lists) and self._lists[in_force].provider_named(provider)
            card: _Card = "unknown_model" if known else "unknown_provider"
            return _Span((), (), wanted, {(): wanted.on_capacity or card})
        rows = tuple(
            row
            for row in self._rows.get((match.provider, match.model_id), ())
            if (row.valid_from is None if start is None else row.holds_at(start))
        )
        windows = tuple({row.conditions.window: None for row in rows if row.conditions.window})
        if match.resold:
            wanted = wanted._replace(values={})
        return _Span(windows, rows, wanted, {} if windows else {(): _card(rows, wanted)})


def _wanted(call: PricedBy, currency: str) -> _Wanted:
    tier = call.service_tier.lower().strip()
    values: dict[str, str] = {}
    asked: dict[str, tuple[str, ...]] = {}
    if call.batch or tier == "batch":
        values["processing"] = "batch"
        asked["batch"] = ("processing",)
    if tier in STANDARD_TIERS:
        values["service_tier"] = "default"
    elif tier in CAPACITY_TIERS:
        values["service_tier"] = "provisioned"
    elif tier != "batch":
        values["service_tier"] = tier
        asked[tier] = ("service_tier",)
    if tier == "fast":
        values["speed"] = "fast"
        asked[tier] = ("service_tier", "speed")
    if call.region is not None:
        values["region"] = call.region.lower().strip()
        if values["region"] not in EVERYWHERE:
            values["endpoint"] = "regional"
    return _Wanted(values, asked, _on_capacity(currency) if tier in CAPACITY_TIERS else None)


def _card(rows: Iterable[Price], wanted: _Wanted) -> _Card:
    """The rows' prices for the call, which all hold at its instant."""
    now = sorted(rows, key=lambda row: row.rank, reverse=True)
    partial = [row for row in now if row.conditions.when and row.conditions.met_by(wanted.values)]
    priced = {key for row in partial for key in row.conditions.when}
    standard = next((row for row in now if not row.conditions.when), None)
    if wanted.on_capacity is not None and "service_tier" not in priced:
        return wanted.on_capacity
    if standard is None:
        return "no_price_at_that_time"
    if any(row.currency != standard.currency for row in partial):
        return "currencies_differ"
    missing = [name for name, keys in wanted.asked.items() if not priced.intersection(keys)]
    reason = ",".join(f"tier_not_priced:{name}" for name in missing) or None
    return card_of(standard, partial, reason)


def _on_capacity(currency: str) -> RateCard:
    """What a call pays by the piece whose capacity is paid by the hour: nothing."""
    return RateCard(
        currency,
        (),
        (Level({}, frozenset(), None),),
        "provisioned_throughput",
        nothing_listed=True,
    )
