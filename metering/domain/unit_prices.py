"""What one unit costs: by the piece, above a threshold, at the least, and over a whole period.

Amounts are exact and in the currency of the price that holds them. What depends on the request
alone (tiers, the minimum) prices events; what depends on the period (free allowances, volumes) is
kept here and applied at reconciliation (`metering.domain.period_prices`), never to an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple, cast

from metering.domain.money import plain

Every = Literal["day", "month"]

_EVERY: Final = ("day", "month")
_INCLUSIVE: Final = "inclusive"
_MARGINAL: Final = "marginal"


class InvalidPrice(ValueError):
    """The price cannot be right: the message names the model or unit and what is wrong."""


@dataclass(frozen=True, slots=True)
class Tier:
    """The price of a request's units once its quantity exceeds `start`; if `inclusive`, from
    `start` itself on."""

    start: int
    price: Decimal
    inclusive: bool = False

    def __post_init__(self) -> None:
        if self.start < 0:
            raise InvalidPrice(f"a tier starts at {self.start}: a threshold is at least 0")
        if self.inclusive and self.start == 0:
            raise InvalidPrice("a tier from 0 on leaves nothing to the base price: make it that")
        _check_amount(self.price)

    @property
    def above(self) -> int:
        """The largest whole quantity that is still below the tier."""
        return self.start - 1 if self.inclusive else self.start


@dataclass(frozen=True, slots=True)
class Allowance:
    """The first `quantity` units of every UTC day or month are free of charge.

    Units of one `group` (searches of several models) share one allowance. An event costs its full
    price all the same: what was free is a credit of the period.
    """

    quantity: Decimal
    every: Every
    group: str = ""

    def __post_init__(self) -> None:
        if not self.quantity.is_finite() or self.quantity <= 0:
            raise InvalidPrice(f"an allowance of {self.quantity} is none: leave it out")
        if self.every not in _EVERY:
            raise InvalidPrice(f"an allowance is for every day or month, not {self.every!r}")


@dataclass(frozen=True, slots=True)
class Volume:
    """The price of what a UTC month uses beyond `start` units (marginal: the units below keep
    theirs)."""

    start: Decimal
    price: Decimal

    def __post_init__(self) -> None:
        if not self.start.is_finite() or self.start <= 0:
            raise InvalidPrice(f"a volume starts at {self.start}: it starts above 0")
        _check_amount(self.price)


class Slice(NamedTuple):
    """Of a request's quantity, the units beyond `above` pay `price` for `per` of them."""

    above: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """`base` buys `per` units; above a tier's start, that tier's price does.

    A tier is reached by the request's *total input tokens* (cached, cache-written, audio and
    image input included) and then prices all of the request's units; where `marginal`, it is
    reached by the unit's own quantity in the request, and only what lies beyond pays its price.
    `minimum` is the least quantity that a request pays for which uses any at all.
    """

    per: int
    base: Decimal
    tiers: tuple[Tier, ...] = ()
    marginal: bool = False
    minimum: Decimal | None = None
    allowance: Allowance | None = None
    volumes: tuple[Volume, ...] = ()

    def __post_init__(self) -> None:
        if self.per < 1:
            raise InvalidPrice(f"a price is per one unit or more, not per {self.per}")
        _check_amount(self.base)
        floors = [tier.above for tier in self.tiers]
        if any(later <= earlier for earlier, later in pairwise(floors)):
            starts = [tier.start for tier in self.tiers]
            raise InvalidPrice(f"tiers start at {starts}: write them in ascending order, each once")
        if self.marginal and not self.tiers:
            raise InvalidPrice("a marginal price has tiers: without any, leave marginal out")
        if self.minimum is not None and not (self.minimum.is_finite() and self.minimum > 0):
            raise InvalidPrice(f"a minimum of {self.minimum} is none: leave it out")
        self._check_period()

    def _check_period(self) -> None:
        if self.allowance is not None and self.volumes:
            raise InvalidPrice("a price has an allowance or volumes: with both, which comes first?")
        if (self.allowance or self.volumes) and (self.tiers or self.minimum is not None):
            raise InvalidPrice(
                "a price by the period has neither tiers nor a minimum by the request: of a "
                "period's total nobody can tell which requests it was"
            )
        volumes = [volume.start for volume in self.volumes]
        if any(later <= earlier for earlier, later in pairwise(volumes)):
            starts_at = ", ".join(plain(start) for start in volumes)
            raise InvalidPrice(
                f"volumes start at {starts_at}: write them in ascending order, each once"
            )

    def at(self, total_input: int) -> Decimal:
        """What `per` units cost in a request of so many input tokens in all (of a marginal
        price: what the first ones cost)."""
        price = self.base
        if not self.marginal:
            for tier in self.tiers:
                if total_input > tier.above:
                    price = tier.price
        return price

    def slices(self) -> tuple[Slice, ...]:
        """The parts of a marginal price in ascending order, the base first; else nothing."""
        if not self.marginal:
            return ()
        return (Slice(0, self.base), *(Slice(tier.above, tier.price) for tier in self.tiers))

    def as_json(self) -> dict[str, object]:
        """`{"per": 1000000, "base": "2.5", "tiers": [[272000, "5"]]}`: amounts as texts, and only
        what the price has: `[200000, "5", "inclusive"]`, `"scope": "marginal"`, `"minimum": "10"`,
        `"allowance": {"quantity": "1500", "every": "day"}`, `"volumes": [["1000000", "2"]]`."""
        said: dict[str, object] = {
            "per": self.per,
            "base": plain(self.base),
            "tiers": [
                [tier.start, plain(tier.price), *([_INCLUSIVE] if tier.inclusive else [])]
                for tier in self.tiers
            ],
            "scope": _MARGINAL if self.marginal else None,
            "minimum": None if self.minimum is None else plain(self.minimum),
            "allowance": self.allowance and _allowance_json(self.allowance),
            "volumes": [[plain(volume.start), plain(volume.price)] for volume in self.volumes],
        }
        return {key: value for key, value in said.items() if value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> UnitPrice:
        """Read what `as_json` wrote. Raises `InvalidPrice` for what it never writes."""
        scope, minimum = value.get("scope", "request"), value.get("minimum")
        if scope not in ("request", _MARGINAL):
            raise InvalidPrice(f"a tier's scope is request or marginal, not {scope!r}")
        return cls(
            value["per"],
            Decimal(value["base"]),
            tuple(_tier(*written) for written in value.get("tiers", ())),
            scope == _MARGINAL,
            None if minimum is None else Decimal(minimum),
            _allowance(value.get("allowance")),
            tuple(Volume(Decimal(start), Decimal(p)) for start, p in value.get("volumes", ())),
        )


def _tier(start: int, price: str, threshold: str = "") -> Tier:
    if threshold not in ("", _INCLUSIVE):
        raise InvalidPrice(f"a tier's threshold is inclusive or not, nothing like {threshold!r}")
    return Tier(start, Decimal(price), threshold == _INCLUSIVE)


def _allowance(value: Mapping[str, str] | None) -> Allowance | None:
    if value is None:
        return None
    every = cast("Every", value["every"])  # checked where it is built
    return Allowance(Decimal(value["quantity"]), every, value.get("group", ""))


def _allowance_json(allowance: Allowance) -> dict[str, str]:
    said = {"quantity": plain(allowance.quantity), "every": allowance.every}
    return {**said, "group": allowance.group} if allowance.group else said


def _check_amount(amount: Decimal) -> None:
    if not amount.is_finite() or amount < 0:
        raise InvalidPrice(f"a price is a decimal of at least 0, not {amount!r}")
