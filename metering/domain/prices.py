"""Prices: what one unit of a model's work costs, from when to when and on what conditions.

A `Price` is one dated row of a price list. It may be complete (the standard price) or partial: a
price with a `when` states only what differs for a tier, and the standard price gives the rest.
Amounts are exact, in the row's currency; instants are aware; a tier is chosen by the total input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, tzinfo
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

from metering.domain.unit_prices import InvalidPrice, Tier, UnitPrice
from metering.domain.units import UNITS

__all__ = ["ALWAYS", "Conditions", "DailyWindow", "InvalidPrice", "Price", "Tier", "UnitPrice"]


@dataclass(frozen=True, slots=True)
class DailyWindow:
    """The part of a day from `start` to before `end`, by the clock of `zone` (an IANA name); it
    wraps at midnight if need be.

    `weekdays` are ISO numbers (1 is Monday) in ascending order, all days where there are none. A
    window that wraps belongs to the day on which it starts: from Friday 22:00 to 06:00 it holds
    on Saturday at 05:00. From midnight to midnight it is the whole of its weekdays.
    """

    start: time
    end: time
    zone: str = "UTC"
    weekdays: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.start.tzinfo is not None or self.end.tzinfo is not None:
            raise InvalidPrice("a daily window is written as times without a zone, beside its zone")
        if self.start == self.end and not (self.weekdays and self.start == time(0)):
            raise InvalidPrice(f"a daily window from {self.start} to {self.end} holds no instant")
        if self.weekdays != tuple(sorted({*self.weekdays} & {1, 2, 3, 4, 5, 6, 7})):
            raise InvalidPrice(
                f"weekdays {list(self.weekdays)}: they are numbers from 1 (Monday) to 7, in "
                "ascending order, each once"
            )
        try:
            _zone(self.zone)
        except (ValueError, OSError, KeyError) as error:
            raise InvalidPrice(f"{self.zone!r} is no time zone; write it like Asia/Shanghai") from (
                error
            )

    def __contains__(self, clock: time) -> bool:
        """Whether the zone's clock shows a time of the window, whatever the day."""
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end

    def holds_at(self, instant: datetime) -> bool:
        """Whether the (aware) instant lies in the window."""
        local = instant.astimezone(_zone(self.zone))
        clock = local.time()
        if clock not in self:
            return False
        if not self.weekdays:
            return True
        began_before = self.start > self.end and clock < self.end
        return (
            (local.isoweekday() - 2) % 7 + 1 in self.weekdays
            if began_before
            else (local.isoweekday() in self.weekdays)
        )

    def as_json(self) -> list[object]:
        """`["01:00:00", "04:00:00"]`, and where there is more to say,
        `["01:00:00", "04:00:00", "Asia/Shanghai", [1, 2, 3, 4, 5]]`."""
        clocks: list[object] = [self.start.isoformat(), self.end.isoformat()]
        if self.weekdays:
            return [*clocks, self.zone, list(self.weekdays)]
        return clocks if self.zone == "UTC" else [*clocks, self.zone]

    @classmethod
    def from_json(cls, value: Sequence[Any]) -> DailyWindow:
        start, end, *rest = value
        zone = rest[0] if rest else "UTC"
        weekdays = tuple(rest[1]) if len(rest) > 1 else ()
        return cls(time.fromisoformat(start), time.fromisoformat(end), zone, weekdays)


@lru_cache(maxsize=1024)
def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


@dataclass(frozen=True, slots=True)
class Conditions:
    """On which calls a price bears: every pair of `when` holds of the call (`service_tier`,
    `processing`, `speed`, `region`, `endpoint=regional` for any region but the global one; lower
    case, exact), and its instant lies in the window."""

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
        said = {"when": dict(self.when), "window": self.window and self.window.as_json()}
        return {key: value for key, value in said.items() if value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Conditions:
        window = value.get("window")
        return cls(value.get("when", {}), window and DailyWindow.from_json(window))


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
