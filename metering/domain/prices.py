"""Prices: what one unit of a model's work costs, from when to when and on what conditions.

A `Price` is one dated row of a price list. It may be complete (the standard price) or partial: a
price with a `when` states only what differs for a tier, and the standard price gives the rest.
Amounts are exact, in the row's currency; instants are aware; a tier is chosen by the total input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from decimal import Decimal
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

from metering.domain.money import plain
from metering.domain.units import UNITS


class InvalidPrice(ValueError):
    """The price cannot be right: the message names the model or unit and what is wrong."""


@dataclass(frozen=True, slots=True)
class Tier:
    """The price of *all* of the request's units once its total input tokens exceed `start`."""

    start: int
    price: Decimal

    def __post_init__(self) -> None:
        if self.start < 0:
            raise InvalidPrice(f"a tier starts at {self.start}: a threshold is at least 0")
        _check_amount(self.price)


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """`base` buys `per` units; in a request above a tier's start, that tier's price does.

    The comparison is strict (a request of exactly `start` input tokens is below the tier), and
    the total counts cached, cache-written, audio and image input.
    """

    per: int
    base: Decimal
    tiers: tuple[Tier, ...] = ()

    def __post_init__(self) -> None:
        if self.per < 1:
            raise InvalidPrice(f"a price is per one unit or more, not per {self.per}")
        _check_amount(self.base)
        starts = [tier.start for tier in self.tiers]
        if any(later <= earlier for earlier, later in pairwise(starts)):
            raise InvalidPrice(f"tiers start at {starts}: write them in ascending order, each once")

    def at(self, total_input: int) -> Decimal:
        """What `per` units cost in a request of so many input tokens in all."""
        price = self.base
        for tier in self.tiers:
            if total_input > tier.start:
                price = tier.price
        return price

    def as_json(self) -> dict[str, object]:
        """`{"per": 1000000, "base": "2.5", "tiers": [[272000, "5"]]}`: amounts as texts."""
        tiers = [[tier.start, plain(tier.price)] for tier in self.tiers]
        return {"per": self.per, "base": plain(self.base), **({"tiers": tiers} if tiers else {})}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> UnitPrice:
        tiers = tuple(Tier(start, Decimal(price)) for start, price in value.get("tiers", ()))
        return cls(value["per"], Decimal(value["base"]), tiers)


@dataclass(frozen=True, slots=True)
class DailyWindow:
    """The part of every UTC day from `start` to before `end`; it wraps at midnight if need be."""

    start: time
    end: time

    def __post_init__(self) -> None:
        if self.start.tzinfo is not None or self.end.tzinfo is not None:
            raise InvalidPrice("a daily window is written in UTC, as times without a zone")
        if self.start == self.end:
            raise InvalidPrice(f"a daily window from {self.start} to {self.end} holds no instant")

    def __contains__(self, clock: time) -> bool:
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end


@dataclass(frozen=True, slots=True)
class Conditions:
    """On which calls a price bears: every pair of `when` holds of the call (`service_tier`,
    `processing`, `speed`, …; lower case, exact), and its instant lies in the window."""

    when: Mapping[str, str] = field(default_factory=dict)
    window: DailyWindow | None = None

    def __post_init__(self) -> None:
        for key, value in self.when.items():
            if key != key.lower() or value != value.lower() or not key:
                raise InvalidPrice(f"condition {key!r}: {value!r} is compared in lower case")
        object.__setattr__(self, "when", MappingProxyType(dict(sorted(self.when.items()))))

    def met_by(self, call: Mapping[str, str]) -> bool:
        """Whether the call's own values fulfil `when`; the window is another question."""
        return all(call.get(key) == value for key, value in self.when.items())

    def as_json(self) -> dict[str, object]:
        """`{"when": {"processing": "batch"}}`, `{"window": ["01:00:00", "04:00:00"]}`, `{}`."""
        window = self.window and [self.window.start.isoformat(), self.window.end.isoformat()]
        said = {"when": dict(self.when), "window": window}
        return {key: value for key, value in said.items() if value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Conditions:
        window = value.get("window")
        return cls(
            value.get("when", {}),
            window and DailyWindow(*(time.fromisoformat(clock) for clock in window)),
        )


ALWAYS: Final = Conditions()


@dataclass(frozen=True, slots=True)
class Price:
    """One dated row: the unit prices of `model_id` at `provider` from `valid_from` (`None`: as far
    back as anyone can know) to before `valid_to` (`None`: until further notice).

    Of two prices that bear on a call for one unit, the one of higher `rank` holds; a price with a
    `when` goes before the standard price. No unit prices at all in a standard price means that
    the list names the model and charges nothing. `source` is the list and its version.
    """

    id: int
    provider: str
    model_id: str
    unit_prices: Mapping[str, UnitPrice]
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    currency: str = "USD"
    conditions: Conditions = ALWAYS
    rank: int = 0
    source: str = ""

    def __post_init__(self) -> None:
        for instant in (self.valid_from, self.valid_to):
            if instant is not None and instant.tzinfo is None:
                raise InvalidPrice(f"{self.place}: validity needs instants with a time zone")
        if self.valid_from and self.valid_to and self.valid_from >= self.valid_to:
            raise InvalidPrice(
                f"{self.place}: valid from {self.valid_from} to {self.valid_to} is never valid"
            )
        unknown = self.unit_prices.keys() - UNITS.keys()
        if unknown:
            raise InvalidPrice(
                f"{self.place}: {', '.join(sorted(unknown))} is no known unit; "
                "add it to metering/domain/units.py"
            )
        object.__setattr__(self, "unit_prices", MappingProxyType(dict(self.unit_prices)))

    @property
    def identity(self) -> tuple[object, ...]:
        """What the row prices: of two rows with one identity, only one can hold at an instant."""
        on = self.conditions
        return (self.provider, self.model_id, tuple(on.when.items()), on.window)

    @property
    def content(self) -> tuple[object, ...]:
        """What the row says about it, whenever it holds."""
        return (frozenset(self.unit_prices.items()), self.currency, self.rank)

    @property
    def place(self) -> str:
        return f"price of {self.provider}/{self.model_id}"

    def holds_at(self, instant: datetime) -> bool:
        """Whether the instant lies in the validity; the daily window is another question."""
        if self.valid_from is not None and instant < self.valid_from:
            return False
        return self.valid_to is None or instant < self.valid_to


def utc_clock(instant: datetime) -> time:
    """The time of day that a UTC clock shows at the (aware) instant."""
    return (instant if instant.tzinfo is UTC else instant.astimezone(UTC)).time()


def _check_amount(amount: Decimal) -> None:
    if not amount.is_finite() or amount < 0:
        raise InvalidPrice(f"a price is a decimal of at least 0, not {amount!r}")
