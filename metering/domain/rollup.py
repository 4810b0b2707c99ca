"""The deltas that an event makes in the rollups, and how they add up within a batch.

Three rollups, each at the grain its readers need: `usage` (15-minute buckets by full attribution,
so that a cycle can be cut in any zone), `cell` (the grain of a provider's bill, by owner) and
`user` (who was active for whom on which day; kept apart because distinct users do not add up).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from functools import lru_cache
from itertools import repeat
from typing import Final, Literal, NamedTuple

from metering.domain.apportionment import apportion_in_order
from metering.domain.cells import Owner, class_and_model
from metering.domain.money import EXACT, from_units, to_units
from metering.domain.units import CLASS_OF_UNIT, UNITS, class_of
from metering.domain.usage import COUNTS, Counts, Share, UsageEvent, counts_of

USAGE_KEY: Final = (
    "bucket_at",
    "source",
    "provider",
    "model",
    "model_executed",
    "service_tier",
    "tenant",
    "cost_centre",
    "endpoint_tag",
    "prompt_version",
    "environment",
    "data_mode",
    "status",
    "served_from",
    "user_kind",
    "pricing",
    "currency",
)
USAGE_SUMS: Final = ("events", *COUNTS, "cost", "latency_ms")
CELL_KEY: Final = (
    "day",
    "provider",
    "provider_project",
    "model",
    "token_class",
    "tier",
    "tenant",
    "cost_centre",
    "pricing",
    "currency",
)
CELL_SUMS: Final = ("events", "quantity", "cost")
USER_KEY: Final = ("day", "tenant", "cost_centre", "user_pseudonym", "user_kind")
USER_SUMS: Final = ("events", "tokens", "cost")

SHARE_SCALE: Final = 18
"""A shared call's cost is divided in units of 10^-18, finer than any price per token that is known
(a finer one is divided in units of its last decimal); so is a quantity that is no whole number
(seconds, say)."""


def _of_side(direction: str) -> frozenset[str]:
    return frozenset(
        CLASS_OF_UNIT.get(unit.name, unit.name)
        for unit in UNITS.values()
        if unit.family == "tokens" and ("direction", direction) in unit.dimensions
    )


INPUT_SIDE: Final = _of_side("input")
OUTPUT_SIDE: Final = _of_side("output")
"""The classes of tokens that go in and that come out, whichever model they are of."""


_new = tuple.__new__  # builds a named tuple in half the time that calling its class takes

ClassCost = tuple[str, int | Decimal, Decimal | None]
"""A class, how much of it was used, and what that should have cost (`None`: unpriced)."""


class Part(NamedTuple):
    """One owner's part of a call: its counts in the order of COUNTS, and per class what it used
    and what that should have cost (`None`: unpriced)."""

    owner: Owner
    events: int
    counts: tuple[int, ...]
    classes: tuple[ClassCost, ...]


def whole(owner: Owner, counts: Counts, classes: tuple[ClassCost, ...]) -> Part:
    """The one part of a plain call."""
    return _new(Part, (owner, 1, tuple([count or 0 for count in counts]), classes))


def parts(
    event: UsageEvent,
    owner: Owner,
    share_owners: tuple[Owner, ...],
    classes: tuple[ClassCost, ...],
) -> tuple[Part, ...]:
    """The owners' parts of a call: one for a plain call; for a shared call one for each share and
    one for what the shares leave to the event's own owner. Each class's quantity and cost are
    divided by token contribution (input classes by input tokens, output classes by output tokens,
    units by both), by largest remainder, so that the parts sum to the call exactly; a whole
    quantity in whole ones. The call itself is counted once, for the event's own owner.
    """
    if not event.shares:
        return (whole(owner, counts_of(event), classes),)
    contribution = _Contribution.of(event.shares, event.input_tokens or 0, event.output_tokens or 0)
    owners = (*share_owners, owner)
    none = [0] * len(owners)
    # Divided a column at a time, and then turned to a row for each owner.
    split_counts = [
        _split_whole(count, contribution.to_count(place)) if count else none
        for place, count in enumerate(counts_of(event))
    ]
    split_classes = [
        zip(
            repeat(name),
            _split_quantity(quantity, contribution.to_class(name)),
            repeat(None) if cost is None else _split_exact(cost, contribution.to_class(name)),
            strict=False,
        )
        for name, quantity, cost in classes
    ]
    rows = zip(
        owners,
        (*(0 for _ in share_owners), 1),
        zip(*split_counts, strict=True),
        zip(*split_classes, strict=True) if classes else repeat(()),
        strict=False,
    )
    return tuple([_new(Part, row) for row in rows])


def unit_parts(
    units: Mapping[str, Decimal], shares: Sequence[Share], input_tokens: int, output_tokens: int
) -> tuple[Mapping[str, Decimal], ...]:
    """The owners' parts of a call's units, in the order of `parts` and divided as it divides their
    classes; by the units' names as they were sent. The tokens are those of the call."""
    if not shares:
        return (units,)
    contribution = _Contribution.of(shares, input_tokens, output_tokens)
    split = {
        name: _split_quantity(quantity, contribution.to_class(class_of(name)))
        for name, quantity in units.items()
    }
    return tuple(
        {name: Decimal(column[i]) for name, column in split.items()} for i in range(len(shares) + 1)
    )


class _Contribution(NamedTuple):
    """Tokens by share, what the shares leave to the event's own owner last."""

    by_input: list[int]
    by_output: list[int]

    @classmethod
    def of(cls, shares: Sequence[Share], input_tokens: int, output_tokens: int) -> _Contribution:
        by_input = [share.input_tokens for share in shares]
        by_output = [share.output_tokens for share in shares]
        by_input.append(input_tokens - sum(by_input))
        by_output.append(output_tokens - sum(by_output))
        return cls(by_input, by_output)

    def to_count(self, place: int) -> list[int]:
        """To the count at that place of COUNTS."""
        return self.by_output if _OF_OUTPUT[place] else self.by_input

    def to_class(self, name: str) -> list[int]:
        side = _side(name)
        if side == "input":
            return self.by_input
        if side == "output":
            return self.by_output
        return [a + b for a, b in zip(self.by_input, self.by_output, strict=True)]


_OF_OUTPUT: Final = ["output" in name or name == "reasoning_tokens" for name in COUNTS]


@lru_cache(maxsize=10_000)
def _side(name: str) -> Literal["input", "output", "both"]:
    token_class, _ = class_and_model(name)
    if token_class in INPUT_SIDE:
        return "input"
    return "output" if token_class in OUTPUT_SIDE else "both"


def _split_whole(count: int, weights: list[int]) -> list[int]:
    if count and not any(weights):
        # Nothing to divide by: it stays with the event's own owner, who comes last.
        return [*([0] * (len(weights) - 1)), count]
    return apportion_in_order(count, weights)


def _split_exact(amount: Decimal, weights: list[int]) -> list[Decimal]:
    # (multiplied, which takes a third of the time of `scaleb`)
    scaled = EXACT.multiply(amount, _SCALED)
    units = int(scaled)
    if units == scaled:
        return [EXACT.multiply(share, _SCALED_BACK) for share in _split_whole(units, weights)]
    exponent = amount.normalize(EXACT).as_tuple().exponent
    assert isinstance(exponent, int), "an amount is finite"
    scale = -exponent
    return [from_units(share, scale) for share in _split_whole(to_units(amount, scale), weights)]


_SCALED: Final = Decimal(1).scaleb(SHARE_SCALE)
_SCALED_BACK: Final = Decimal(1).scaleb(-SHARE_SCALE)


def _split_quantity(quantity: int | Decimal, weights: list[int]) -> list[int] | list[Decimal]:
    if isinstance(quantity, int):
        return _split_whole(quantity, weights)
    if quantity == quantity.to_integral_value():
        return [Decimal(share) for share in _split_whole(int(quantity), weights)]
    return _split_exact(quantity, weights)


class RowKeys(NamedTuple):
    """What an owner's part of a call is keyed by in the rollups, without what differs from call to
    call (time, price, class, user), as tab-separated runs of the keys' columns."""

    usage: str
    """`source` to `user_kind` of USAGE_KEY."""
    executed: str
    """`provider` to `model` of CELL_KEY."""
    owned: str
    """`tier` to `cost_centre` of CELL_KEY."""
    owner: str
    """`tenant` and `cost_centre` of USER_KEY."""
    user_kind: str


def row_keys(event: UsageEvent, owner: Owner, project: str, user_kind: str) -> RowKeys:
    """The keys of the part that the owner has of such a call."""
    e = event
    executed = e.model_executed or e.model
    cost_centre, tenant = owner
    tier = "batch" if e.batch else e.service_tier
    return RowKeys(
        usage=(
            f"{e.source}\t{e.provider}\t{e.model}\t{executed}\t{e.service_tier}\t{tenant}"
            f"\t{cost_centre}\t{e.endpoint_tag or ''}\t{e.prompt_version or ''}\t{e.environment}"
            f"\t{e.data_mode}\t{e.status}\t{e.served_from}\t{user_kind}"
        ),
        executed=f"{e.provider}\t{project}\t{executed}",
        owned=f"{tier}\t{tenant}\t{cost_centre}",
        owner=f"{tenant}\t{cost_centre}",
        user_kind=user_kind,
    )


Sums = tuple[int | Decimal, ...]


class Deltas(defaultdict[str, list[Sums]]):
    """Signed deltas of a batch by cell, to be summed before they go to the database. A cell's key
    is its columns' text, tab-separated."""

    def __init__(self) -> None:
        super().__init__(list)

    def sums(self, sign: Literal[1, -1] = 1) -> list[tuple[str, Sequence[int | Decimal]]]:
        """Each cell's key and its sums; with sign -1 what takes them back."""
        sums: list[tuple[str, Sequence[int | Decimal]]]
        with localcontext(EXACT):  # in which `sum` adds amounts up
            sums = [
                # (most counts of most calls are none, which needs no adding up)
                (key, [sum(column) if any(column) else 0 for column in zip(*added, strict=True)])
                if len(added) > 1
                else (key, added[0])
                for key, added in self.items()
            ]
        if sign == 1:
            return sums
        return [(key, [_negated(value) for value in of_cell]) for key, of_cell in sums]


def _negated(value: int | Decimal) -> int | Decimal:
    # (a minus sign would round a Decimal to the context's precision)
    return value.copy_negate() if isinstance(value, Decimal) else -value
