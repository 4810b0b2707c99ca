"""What a contract has us pay for time, whatever is used: reserved capacity, a month's minimum.

Neither is part of an event's cost. The hours of reserved capacity (`metering.domain.capacity`) and
what is missing to a minimum are explained where a bill is reconciled, and divided as pools.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal, cast, get_args

from metering.domain.money import EXACT, plain
from metering.domain.periods import Month

CommitmentKind = Literal["reserved_capacity", "monthly_minimum"]

KINDS: Final[tuple[CommitmentKind, ...]] = get_args(CommitmentKind)

LARGEST: Final = Decimal(10) ** 15
"""Every price is below it."""


class InvalidCommitment(ValueError):
    """The commitment cannot be right: the message names it and what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """`reserved_capacity`: `units` of capacity for `model`, at `price` for each of them an hour.
    `monthly_minimum`: at least `price` for the provider in every UTC month; it has no model.

    Held from `valid_from` to before `valid_to` (aware; `None`: until further notice). A minimum
    is of whole months.
    """

    kind: CommitmentKind
    provider: str
    price: Decimal
    currency: str
    valid_from: datetime
    valid_to: datetime | None = None
    model: str = ""
    units: int = 1

    def __post_init__(self) -> None:
        ends = [] if self.valid_to is None else [self.valid_to]
        if any(instant.tzinfo is None for instant in (self.valid_from, *ends)):
            raise InvalidCommitment(f"{self.place}: it needs instants with a time zone")
        if self.valid_to is not None and self.valid_from >= self.valid_to:
            raise InvalidCommitment(f"{self.place}: it ends before it starts, so is never held")
        if not self.price.is_finite() or not 0 <= self.price < LARGEST:
            raise InvalidCommitment(f"{self.place}: {self.price} is no amount of at least 0")
        if self.kind == "reserved_capacity":
            if not self.model:
                raise InvalidCommitment(f"{self.place}: name the model that it is reserved for")
            if self.units < 1:
                raise InvalidCommitment(f"{self.place}: {self.units} units reserve nothing")
        elif self.model or self.units != 1:
            raise InvalidCommitment(f"{self.place}: a minimum is the provider's, of no model")
        elif any(not _begins_a_month(instant) for instant in (self.valid_from, *ends)):
            raise InvalidCommitment(
                f"{self.place}: a monthly minimum starts and ends on the first day of a month, UTC"
            )

    @property
    def place(self) -> str:
        named = f"{self.provider}/{self.model}" if self.model else self.provider
        return f"{self.kind.replace('_', ' ')} of {named}"

    @property
    def key(self) -> tuple[str, str, str]:
        """Of commitments with one key, only one can hold at an instant."""
        return (self.kind, self.provider.lower(), self.model.lower())

    def as_json(self) -> dict[str, object]:
        """The commitment as it is kept with the contract's edition that brought it."""
        said: dict[str, object] = {
            "kind": self.kind,
            "provider": self.provider,
            "model": self.model,
            "units": self.units,
            "price": plain(self.price),
            "currency": self.currency,
            "valid_from": self.valid_from.isoformat(),
            "valid_to": self.valid_to and self.valid_to.isoformat(),
        }
        return {key: value for key, value in said.items() if value not in (None, "")}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Commitment:
        ends = value.get("valid_to")
        return cls(
            kind=cast("CommitmentKind", value["kind"]),
            provider=value["provider"],
            model=value.get("model", ""),
            units=value["units"],
            price=Decimal(value["price"]),
            currency=value["currency"],
            valid_from=datetime.fromisoformat(value["valid_from"]),
            valid_to=ends and datetime.fromisoformat(ends),
        )


def missing_to(minimum: Commitment, month: Month, spent: Decimal) -> Decimal:
    """What the month's spend leaves to the minimum; 0 where it is reached, or does not hold."""
    start = month.period.start
    if start < minimum.valid_from or (minimum.valid_to is not None and start >= minimum.valid_to):
        return Decimal(0)
    return max(EXACT.subtract(minimum.price, spent), Decimal(0))


def _begins_a_month(instant: datetime) -> bool:
    utc = instant.astimezone(UTC)
    return utc == datetime(utc.year, utc.month, 1, tzinfo=UTC)
