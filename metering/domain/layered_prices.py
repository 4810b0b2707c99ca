"""Several price books as one: a contract over prices of our own over public lists."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from metering.domain.periods import Period
from metering.domain.price_book import EVERYWHERE, PriceBook
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

    def look_up(
        self,
        provider: str,
        model: str,
        at: datetime,
        service_tier: str = "standard",
        *,
        batch: bool = False,
        speed: str | None = None,
        region: str | None = None,
    ) -> RateCard | str:
        answers = (
            (
                name,
                book.look_up(
                    provider, model, at, service_tier, batch=batch, speed=speed, region=region
                ),
            )
            for name, book in self.layers
        )
        return self._first_of(answers, region)

    def throughout(
        self,
        provider: str,
        model: str,
        period: Period,
        service_tier: str = "standard",
        *,
        batch: bool = False,
        region: str | None = None,
    ) -> RateCard | str | None:
        found: list[tuple[str, RateCard | str]] = []
        for name, book in self.layers:
            card = book.throughout(
                provider, model, period, service_tier, batch=batch, region=region
            )
            if card is None:
                return None
            found.append((name, card))
            if isinstance(card, RateCard) and self._settles(name, card, region):
                break
        return self._first_of(found, region)

    def stand_ins(
        self,
        provider: str,
        model: str,
        at: datetime,
        service_tier: str = "standard",
        *,
        batch: bool = False,
        region: str | None = None,
    ) -> Iterator[RateCard]:
        found = [
            (name, book.look_up(provider, model, at, service_tier, batch=batch, region=region))
            for name, book in self.layers
        ]
        chosen = self._first_of(found, region)
        first = next((i for i, (_, card) in enumerate(found) if card is chosen), len(found))
        if isinstance(chosen, str) or found[first][0] not in self.lists:
            return
        for name, card in found[first + 1 :]:
            if name in self.lists and isinstance(card, RateCard) and card.reason == chosen.reason:
                yield card

    def known_providers(self) -> frozenset[str]:
        return frozenset[str]().union(*(book.known_providers() for _, book in self.layers))

    def _first_of(
        self, answers: Iterable[tuple[str, RateCard | str]], region: str | None
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
            elif self._settles(name, found, region) and (whole is None or found.by_region):
                return found
            else:
                whole = whole or found
        best = whole or second_best
        if best is not None:
            return best
        return next((reason for reason in _TELLING if reason in reasons), "unknown_provider")

    def _settles(self, name: str, card: RateCard, region: str | None) -> bool:
        """Whether nothing that a later book says could hold instead."""
        if card.reason is not None:
            return False
        is_anywhere = region is None or region.lower().strip() in EVERYWHERE
        return is_anywhere or card.by_region or name not in self.lists
