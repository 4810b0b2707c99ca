"""The terms of a contract: what was agreed on a model, and for how long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final, TypeVar

from metering.domain.commitments import Commitment
from metering.domain.money import plain
from metering.domain.prices import ALWAYS, Conditions, UnitPrice

_HUNDRED: Final = Decimal(100)
_ANY: Final = "*"


class InvalidTerm(ValueError):
    """A term of a contract that cannot be kept; the message names it and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """What was agreed on `model` of `provider` (both as calls name them) from `valid_from` to
    before `valid_to` (`None`: until further notice). A model that ends with `*` means all that
    begin so.

    Either `discount_percent` off the public price of the same model, or of `price_of` (a provider
    and a model), or `own` prices by their conditions, which are then all that holds for units of
    their kinds: with prices for tokens, searches keep the public price.
    """

    provider: str
    model: str
    valid_from: datetime
    valid_to: datetime | None = None
    discount_percent: Decimal | None = None
    price_of: tuple[str, str] | None = None
    currency: str = ""
    own: tuple[tuple[Conditions, Mapping[str, UnitPrice]], ...] | None = None

    def __post_init__(self) -> None:
        if self.valid_from.tzinfo is None or (self.valid_to and self.valid_to.tzinfo is None):
            raise InvalidTerm(f"{self.place}: validity needs instants with a time zone")
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            raise InvalidTerm(f"{self.place}: it ends before it starts")
        if (self.own is None) == (self.discount_percent is None):
            raise InvalidTerm(f"{self.place}: give a discount or prices, one of the two")
        if self.own is not None:
            self._check_own([on for on, _ in self.own])
        if self.discount_percent is not None and not 0 <= self.discount_percent <= _HUNDRED:
            raise InvalidTerm(
                f"{self.place}: a discount of {self.discount_percent} % is none; it is written as "
                "a number from 0 to 100"
            )
        if self.is_pattern and (self.own is not None or self.price_of is not None):
            raise InvalidTerm(
                f"{self.place}: prices are stated model by model; write its full name"
            )

    def _check_own(self, own: Sequence[Conditions]) -> None:
        if not self.currency:
            raise InvalidTerm(f"{self.place}: a price has a currency")
        if ALWAYS not in own:
            raise InvalidTerm(
                f"{self.place}: prices on a condition only; state what holds without one as well"
            )

    @property
    def is_pattern(self) -> bool:
        return self.model.endswith(_ANY)

    @property
    def place(self) -> str:
        return f"term on {self.provider}/{self.model}"

    @property
    def key(self) -> tuple[str, str]:
        return (self.provider.lower(), self.model.lower())

    def as_json(self) -> dict[str, object]:
        """The term as it is kept with the edition that brought it."""
        said: dict[str, object] = {
            "provider": self.provider,
            "model": self.model,
            "valid_from": self.valid_from.isoformat(),
            "valid_to": self.valid_to and self.valid_to.isoformat(),
            "discount_percent": None
            if self.discount_percent is None
            else plain(self.discount_percent),
            "price_of": self.price_of and list(self.price_of),
            "currency": self.currency,
            "own": None
            if self.own is None
            else [
                [on.as_json(), {unit: price.as_json() for unit, price in sorted(prices.items())}]
                for on, prices in self.own
            ],
        }
        return {key: value for key, value in said.items() if value is not None and value != ""}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Term:
        own, ends, discount = value.get("own"), value.get("valid_to"), value.get("discount_percent")
        return cls(
            provider=value["provider"],
            model=value["model"],
            valid_from=datetime.fromisoformat(value["valid_from"]),
            valid_to=ends and datetime.fromisoformat(ends),
            discount_percent=None if discount is None else Decimal(discount),
            price_of=tuple(value["price_of"]) if "price_of" in value else None,
            currency=value.get("currency", ""),
            own=None
            if own is None
            else tuple(
                (
                    Conditions.from_json(on),
                    {unit: UnitPrice.from_json(price) for unit, price in prices.items()},
                )
                for on, prices in own
            ),
        )


Dated = TypeVar("Dated", bound=Term | Commitment)


def terms_in_force(editions: Iterable[Sequence[Dated]]) -> list[Dated]:
    """The terms (or commitments) of a contract's editions, oldest first: what a later one says of
    a model holds from the earliest date that it names for it, in place of what was said before.

    Raises `InvalidTerm` where one edition says two things of a model for one time.
    """
    held: dict[tuple[str, ...], list[Dated]] = {}
    for edition in editions:
        said: dict[tuple[str, ...], list[Dated]] = {}
        for term in edition:
            said.setdefault(term.key, []).append(term)
        for key, terms in said.items():
            terms.sort(key=lambda term: term.valid_from)
            for one, other in pairwise(terms):
                if one.valid_to is None or one.valid_to > other.valid_from:
                    raise InvalidTerm(
                        f"{one.place}: two terms hold at {other.valid_from.isoformat()}; end the "
                        "first where the second begins"
                    )
            first = terms[0].valid_from
            before = held.get(key, [])
            kept = [_until(term, first) for term in before if term.valid_from < first]
            held[key] = [*kept, *terms]
    return [term for terms in held.values() for term in terms]


def _until(term: Dated, end: datetime) -> Dated:
    ends = end if term.valid_to is None else min(term.valid_to, end)
    return replace(term, valid_to=ends)
