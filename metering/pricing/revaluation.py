"""Valuing what is stored anew: how a difference is stored, whatever it comes from.

Nothing that happened changes. Where an event comes to another cost or another owner, a row of
`event_revision` says so, with its number, author and reason, and the rollups get the signed
difference, in one transaction. A month that is closed is never touched. Whatever is cut off is
done by doing it again. Several may value at once: an event's next revision can be written once,
and who comes second looks at the events again. Nobody changes meanwhile what counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Final, NamedTuple

from django.db import transaction
from psycopg.errors import UniqueViolation

from metering import bulk, stored_events
from metering.dispositions import share_changes, why_it_must_stay
from metering.domain.cells import Owner
from metering.domain.money import EXACT
from metering.domain.periods import Month, Period
from metering.event_rows import VALUED, instant_text, value_digest, valued_text
from metering.event_shares import DividedEvent, store_shares
from metering.rollups import append_changes
from metering.stored_events import StoredEvent

BATCH: Final = 8_000
"""Events that are changed in one transaction."""
_TRIES: Final = 10
"""Each time another run has changed some of the batch first: there are not so many runs."""
_COLUMNS: Final = (
    *("event_key", "revision", "occurred_at", "made_at", "author", "reason"),
    *(name for name, _ in VALUED),
    "value_digest",
)
_ZERO: Final = Decimal(0)


class MonthClosed(ValueError):
    """The month must stay as it is; the message says why, and what to do instead."""


class Moved(NamedTuple):
    """What differs alike: a model's events that went from one pricing and owner to another. The
    currency is that of the cost afterwards; `currency_before` that of the cost before."""

    provider: str
    model: str
    pricing_before: str
    pricing_after: str
    owner_before: Owner
    owner_after: Owner
    currency: str
    currency_before: str


@dataclass
class Sums:
    """How many events went that way, and what they cost before and after (unpriced: nothing)."""

    events: int = 0
    cost_before: Decimal = _ZERO
    cost_after: Decimal = _ZERO

    def add(self, other: Sums) -> None:
        self.events += other.events
        self.cost_before = EXACT.add(self.cost_before, other.cost_before)
        self.cost_after = EXACT.add(self.cost_after, other.cost_after)


Differences = dict[Moved, Sums]


class Total(NamedTuple):
    """What events that differ cost in one currency, before and after."""

    currency: str
    before: Decimal
    after: Decimal


def totals(costs: Iterable[tuple[str, Decimal, str, Decimal]]) -> list[Total]:
    """The totals of costs, each by currency and amount before and by currency and amount after."""
    sums: dict[str, list[Decimal]] = {}
    for currency_before, before, currency, after in costs:
        side = sums.setdefault(currency_before, [_ZERO, _ZERO])
        side[0] = EXACT.add(side[0], before)
        side = sums.setdefault(currency, [_ZERO, _ZERO])
        side[1] = EXACT.add(side[1], after)
    return [Total(currency, *each) for currency, each in sorted(sums.items())]


@dataclass
class Revalued:
    """What a run looked at, and the differences that it found (and, unless it was a trial,
    stored). `run` is the number of the act that it is kept under, if it is."""

    month: Month
    looked_at: int = 0
    differences: Differences = field(default_factory=dict)
    run: int | None = None

    @property
    def changed(self) -> int:
        return sum(sums.events for sums in self.differences.values())

    @property
    def totals(self) -> list[Total]:
        return totals(
            (moved.currency_before, sums.cost_before, moved.currency, sums.cost_after)
            for moved, sums in self.differences.items()
        )

    def add(self, other: Revalued) -> None:
        """Take in what was found of another portion."""
        self.looked_at += other.looked_at
        self.add_differences(other.differences)

    def add_differences(self, differences: Differences) -> None:
        for moved, sums in differences.items():
            self.differences.setdefault(moved, Sums()).add(sums)


Valuer = Callable[[Sequence[StoredEvent]], Iterator[StoredEvent]]
"""The events as they should be valued, in their order; those that stay as they are, unchanged."""

Pair = tuple[StoredEvent, StoredEvent]


@dataclass(frozen=True)
class Act:
    """Who changes something, why (each a line of text) and when. `within` is told of the
    differences of each batch in the transaction that stores them, and so may refuse it;
    `is_trial`: nothing is stored."""

    author: str
    reason: str
    at: datetime
    within: Callable[[Differences], None] | None = None
    is_trial: bool = False

    def __post_init__(self) -> None:
        for name in ("author", "reason"):
            object.__setattr__(self, name, " ".join(getattr(self, name).split()))


def why_closed(month: Month) -> str | None:
    """Why the month must stay as it is; `None` while it is open."""
    with transaction.atomic():
        return why_it_must_stay(month)


def must_be_open(month: Month) -> None:
    """Raises `MonthClosed`."""
    why = why_closed(month)
    if why is not None:
        raise MonthClosed(f"{why}; correct it in the next open month")


def change(found: Revalued, do: Callable[[], Differences], act: Act) -> None:
    """Have events of the month valued anew: `do` stores what differs in the transaction that it is
    called in, and is called again if another run came before it. Raises `MonthClosed`."""
    for attempt in count(1):
        try:
            differences = _in_a_transaction(found.month, do, act)
        except UniqueViolation:
            # Another run has stored the next revision of one of them: look at them again.
            if attempt == _TRIES:
                raise
            continue
        found.add_differences(differences)
        return


def _in_a_transaction(month: Month, do: Callable[[], Differences], act: Act) -> Differences:
    with transaction.atomic():
        why = why_it_must_stay(month)
        if why is not None:
            raise MonthClosed(f"{why}; what was changed until then is kept")
        share_changes()
        differences = do()
        if differences and act.within is not None and not act.is_trial:
            act.within(differences)
    return differences


Change = Callable[[Period, Sequence[str]], Differences]
"""Values these events of the period anew, and stores what differs, in the transaction that it is
called in."""


def change_each(found: Revalued, period: Period, keys: Sequence[str], do: Change, act: Act) -> None:
    """Change these events of the period (within the month), a batch a transaction. Raises
    `MonthClosed`."""
    ordered = sorted(keys)
    for first in range(0, len(ordered), BATCH):
        change(found, partial(do, period, ordered[first : first + BATCH]), act)


def by(valuer: Valuer, act: Act) -> Change:
    """Changes events as the valuer says."""

    def do(period: Period, keys: Sequence[str]) -> Differences:
        events = stored_events.within(period, keys)
        valued = zip(events, valuer(events), strict=True)
        pairs = [(before, after) for before, after in valued if before != after]
        if not act.is_trial:
            _store(pairs, act)
        return _differences(pairs)

    return do


def _differences(pairs: Sequence[Pair]) -> Differences:
    found: Differences = {}
    for before, after in pairs:
        event = before.event
        moved = Moved(
            event.provider,
            event.model_executed or event.model,
            before.rating.pricing,
            after.rating.pricing,
            Owner(before.cost_centre, before.tenant),
            Owner(after.cost_centre, after.tenant),
            after.rating.currency,
            before.rating.currency,
        )
        sums = found.get(moved)
        if sums is None:
            sums = found[moved] = Sums()
        sums.events += 1
        sums.cost_before = EXACT.add(sums.cost_before, before.rating.cost or _ZERO)
        sums.cost_after = EXACT.add(sums.cost_after, after.rating.cost or _ZERO)
    return found


def _store(pairs: Sequence[Pair], act: Act) -> None:
    if not pairs:
        return
    made_at = instant_text(act.at.astimezone(UTC))
    said = f"{act.author}\t{act.reason}"
    lines = []
    for _, after in pairs:
        valued = valued_text(after, after.pseudonym)
        digest = value_digest(after.key, after.revision, valued)
        at = instant_text(after.event.occurred_at)
        lines.append(
            f"{after.key}\t{after.revision}\t{at}\t{made_at}\t{said}\t{valued}\t\\x{digest.hex()}\n"
        )
    bulk.copy_text("event_revision", _COLUMNS, "".join(lines).replace("\\", "\\\\"))
    store_shares(
        DividedEvent(
            after.key,
            after.revision,
            instant_text(after.event.occurred_at),
            after.rating,
            after.parts,
        )
        for _, after in pairs
        if after.event.shares
    )
    append_changes(
        [(before, before.pseudonym) for before, _ in pairs],
        [(after, after.pseudonym) for _, after in pairs],
    )
