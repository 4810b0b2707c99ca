"""The deltas that an event makes in the rollups, and how they add up within a batch.

Three rollups, each at the grain its readers need: `usage` (15-minute buckets by full attribution,
so that a cycle can be cut in any zone), `cell` (the grain of a provider's bill, by owner) and
`user` (who was active for whom on which day; kept apart because distinct users do not add up).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import reduce
from typing import Final, Literal, NamedTuple

from metering.domain.apportionment import apportion_in_order
from metering.domain.cells import Owner, class_and_model
from metering.domain.money import EXACT, from_units, to_units
from metering.domain.units import CLASS_OF_UNIT, UNITS, class_of
from metering.domain.usage import COUNTS, Share, UsageEvent, counts_of

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


ClassCost = tuple[str, int | Decimal, Decimal | None]
"""A class, how much of it was used, and what that should have cost (`None`: unpriced)."""


class Part(NamedTuple):
    """One owner's part of a call: its counts in the order of COUNTS, and per class what it used
    and what that should have cost (`None`: unpriced)."""

    owner: Owner
    events: int
    counts: tuple[int, ...]
    classes: tuple[ClassCost, ...]


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
    counts = tuple([count or 0 for count in counts_of(event)])
    if not event.shares:
        return (Part(owner, 1, counts, classes),)
    contribution = _Contribution.of(event.shares, event.input_tokens or 0, event.output_tokens or 0)
    none = [0] * (len(share_owners) + 1)
    split_counts = [
        _split_whole(count, contribution.to_count(name)) if count else none
        for name, count in zip(COUNTS, counts, strict=True)
    ]
    split_classes = [
        (
            name,
            _split_quantity(quantity, contribution.to_class(name)),
            None if cost is None else _split_exact(cost, contribution.to_class(name)),
        )
        for name, quantity, cost in classes
    ]
    return tuple(
        Part(
            part_owner,
            1 if i == len(share_owners) else 0,
            part_counts,
            tuple(
                [
                    (name, quantities[i], None if costs is None else costs[i])
                    for name, quantities, costs in split_classes
                ]
            ),
        )
        for i, (part_owner, part_counts) in enumerate(
            zip((*share_owners, owner), zip(*split_counts, strict=True), strict=True)
        )
    )


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

    def to_count(self, name: str) -> list[int]:
        output = "output" in name or name == "reasoning_tokens"
        return self.by_output if output else self.by_input

    def to_class(self, name: str) -> list[int]:
        token_class, _ = class_and_model(name)
        if token_class in INPUT_SIDE:
            return self.by_input
        if token_class in OUTPUT_SIDE:
            return self.by_output
        return [a + b for a, b in zip(self.by_input, self.by_output, strict=True)]


def _split_whole(count: int, weights: list[int]) -> list[int]:
    if count and not any(weights):
        # Nothing to divide by: it stays with the event's own owner, who comes last.
        return [*([0] * (len(weights) - 1)), count]
    return apportion_in_order(count, weights)


def _split_exact(amount: Decimal, weights: list[int]) -> list[Decimal]:
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int), "an amount is finite"
    if -exponent > SHARE_SCALE:
        exponent = int(amount.normalize(EXACT).as_tuple().exponent)
    scale = max(SHARE_SCALE, -exponent)
    units = _split_whole(to_units(amount, scale), weights)
    return [from_units(share, scale) for share in units]


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

    def sums(self, sign: Literal[1, -1] = 1) -> Iterable[tuple[str, Sequence[int | Decimal]]]:
        """Each cell's key and its sums; with sign -1 what takes them back."""
        for key, added in self.items():
            sums = added[0] if len(added) == 1 else [_total(c) for c in zip(*added, strict=True)]
            yield key, sums if sign == 1 else [_negated(value) for value in sums]


def _total(column: tuple[int | Decimal, ...]) -> int | Decimal:
    if not any(column):
        return 0  # as are most counts of most calls
    if {int}.issuperset(map(type, column)):
        return sum(column)
    return reduce(EXACT.add, column)


def _negated(value: int | Decimal) -> int | Decimal:
    # (a minus sign would round a Decimal to the context's precision)
    return value.copy_negate() if isinstance(value, Decimal) else -value
