"""Several price books as one: a contract over prices of our own over public lists."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from metering.domain.periods import Period
from metering.domain.price_book import PriceBook
from metering.domain.rate_cards import RateCard

_TELLING: Final = ("currencies_differ", "no_price_at_that_time", "unknown_model")
"""Why there is no price: where the books differ, the first of these that one of them says."""


class LayeredPriceBook(PriceBook):
    """Books, of which the first that has a price for a call is asked: one that prices the call as
    it was made (its tier included) goes before one that has the standard price only. `lists` are
    the names of those that are public lists: of them, one may stand in for another."""

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
        return _first_of(
            book.look_up(provider, model, at, service_tier, batch=batch, speed=speed, region=region)
            for _, book in self.layers
        )

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
        found = []
        for _, book in self.layers:
            card = book.throughout(
                provider, model, period, service_tier, batch=batch, region=region
            )
            if card is None:
                return None
            found.append(card)
            if isinstance(card, RateCard) and card.reason is None:
                break
        return _first_of(found)

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
        chosen = _first_of(card for _, card in found)
        first = next((i for i, (_, card) in enumerate(found) if card is chosen), len(found))
        if isinstance(chosen, str) or found[first][0] not in self.lists:
            return
        for name, card in found[first + 1 :]:
            if name in self.lists and isinstance(card, RateCard) and card.reason == chosen.reason:
                yield card

    def known_providers(self) -> frozenset[str]:
        return frozenset[str]().union(*(book.known_providers() for _, book in self.layers))


def _first_of(answers: Iterable[RateCard | str]) -> RateCard | str:
    """The answer that holds, of the books' in their order. No more are asked for than it takes."""
    second_best: RateCard | None = None
    reasons = set()
    for found in answers:
        if isinstance(found, str):
            reasons.add(found)
        elif found.reason is None:
            return found
        else:
            second_best = second_best or found
    if second_best is not None:
        return second_best
    return next((reason for reason in _TELLING if reason in reasons), "unknown_provider")
