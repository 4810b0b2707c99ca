"""Several price books as one: a contract over prices of our own over public lists."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from metering.domain.periods import Period
from metering.domain.price_book import EVERYWHERE, PriceBook, PricedBy
from metering.domain.rate_cards import RateCard

_TELLING: Final = ("currencies_differ", "no_price_at_that_time", "unknown_model")
"""Why there is no price: where the books differ, the first of these that one of them says."""


class LayeredPriceBook(PriceBook):
    """Books, of which the first that has a price for a call is asked: one that prices the call as
    it was made (its tier included) goes before one that has the standard price only. `lists` are
    the names of those that are public lists: of them, one may stand in for another, and one that
    has a price for the region that a call went to goes before one that has none."""

    __slots__ = ("layers", "lists")

    def __init__(
        self,
        layers: Sequence[tuple[str, PriceBook]],
        *,
        lists: Collection[str] = (),
        currency: str = "USD",
    ) -> None:
        super().__init__((), (), currency=currency)
        self.layers: Final = tuple(layers)
        self.lists: Final = frozenset(lists)

    def __len__(self) -> int:
        return sum(len(book) for _, book in self.layers)

    def look_up(self, call: PricedBy, at: datetime) -> RateCard | str:
        return self._first_of(((name, book.look_up(call, at)) for name, book in self.layers), call)

    def throughout(self, call: PricedBy, period: Period) -> RateCard | str | None:
        found: list[tuple[str, RateCard | str]] = []
        for name, book in self.layers:
            card = book.throughout(call, period)
            if card is None:
                return None
            found.append((name, card))
            if isinstance(card, RateCard) and self._settles(name, card, call):
                break
        return self._first_of(found, call)

    def stand_ins(self, call: PricedBy, at: datetime) -> Iterator[RateCard]:
        found = [(name, book.look_up(call, at)) for name, book in self.layers]
        chosen = self._first_of(found, call)
        first = next((i for i, (_, card) in enumerate(found) if card is chosen), len(found))
        if isinstance(chosen, str) or found[first][0] not in self.lists:
            return
        for name, card in found[first + 1 :]:
            if name in self.lists and isinstance(card, RateCard) and card.reason == chosen.reason:
                yield card

    def known_providers(self) -> frozenset[str]:
        return frozenset[str]().union(*(book.known_providers() for _, book in self.layers))

    def _first_of(
        self, answers: Iterable[tuple[str, RateCard | str]], call: PricedBy
    ) -> RateCard | str:
        """The answer that holds, of the books' in their order. No more are asked for than it
        takes: of a call to a region, public lists are until one has a price for that."""
        whole: RateCard | None = None
        second_best: RateCard | None = None
        reasons = set()
        for name, found in answers:
            if isinstance(found, str):
                reasons.add(found)
            elif found.reason is not None:
                second_best = second_best or found
            elif self._settles(name, found, call) and (whole is None or found.by_region):
                return found
            else:
                whole = whole or found
        best = whole or second_best
        if best is not None:
            return best
        return next((reason for reason in _TELLING if reason in reasons), "unknown_provider")

    def _settles(self, name: str, card: RateCard, call: PricedBy) -> bool:
        """Whether nothing that a later book says could hold instead."""
        if card.reason is not None:
            return False
        is_anywhere = call.region is None or call.region.lower().strip() in EVERYWHERE
        return is_anywhere or card.by_region or name not in self.lists
