"""Plans: what a customer pays for, how much of it is included, and what more of it costs.

A plan's values are also the shape of a plan file and of the stored content: `plan_of` reads it,
`content_of` writes it, and a value that cannot be right is refused by both in the same words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from itertools import combinations
from typing import Any, Final, TypeAlias

import msgspec

from billing.domain.patterns import matches, meet
from metering.domain.cells import TOKEN_CLASSES
from metering.domain.digests import digest_of
from metering.domain.money import UnknownCurrency, minor_digits, plain, to_units
from metering.domain.usage import DataMode, Environment, ServedFrom, Status

TOKENS: Final = "tokens"
REQUESTS: Final = "requests"
MAX_CHARGES: Final = 50
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_EXPONENT_LIMIT: Final = 18


class InvalidPlan(ValueError):
    """The plan cannot be right; the message names the place and the remedy."""


class PerUnit(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="per_unit",
              forbid_unknown_fields=True):  # fmt: skip
    """`unit_price` of the plan's currency for every `per` units above the allowance.

    Not in blocks: one unit costs `unit_price / per`. `per` divides exactly in decimals (1, 1000,
    1_000_000, …), so that an amount is never rounded before it is settled.
    """

    unit_price: Decimal
    per: int = 1

    def __post_init__(self) -> None:
        if not self.unit_price.is_finite() or self.unit_price < 0:
            raise InvalidPlan(f"unit_price is {self.unit_price}; a price is 0 or more")
        _bounded(self.unit_price, "unit_price")
        rest = self.per
        for prime in (2, 5):
            while rest > 1 and rest % prime == 0:
                rest //= prime
        if rest != 1:
            raise InvalidPlan(
                f"a price per {self.per} units has no exact decimal; "
                "give it per 1, 1000, 1_000_000 or another product of twos and fives"
            )


Price: TypeAlias = PerUnit


class Scope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which calls a plan charges at all.

    By default real calls of production that succeeded: a failed call is our affair, even where
    the provider bills it. An answer from the caller's own cache is charged like any other, because
    the customer pays for the work done.
    """

    data_modes: frozenset[DataMode] = frozenset({"real"})
    environments: frozenset[Environment] = frozenset({"prod"})
    statuses: frozenset[Status] = frozenset({"success"})
    served_from: frozenset[ServedFrom] = frozenset({"provider", "caller_cache"})

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            if not getattr(self, field):
                raise InvalidPlan(
                    f"{field} is empty, so nothing would be charged; name at least one"
                )


class Charge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is metered, the quantity of it that the fee includes, and its overage price.

    `meter` is `tokens` (every class of token), a set of token classes, `requests`, or a unit that
    calls report (`web_search`, …). `models` and `endpoint_tags` are patterns (`gpt-4o*`; none:
    all); the model is the one that was requested. `included` is a quantity per billing cycle.
    `rest` says that the charge takes only what the charges before it have left.
    """

    code: str
    name: str
    meter: str | frozenset[str]
    price: Price
    included: int = 0
    models: tuple[str, ...] = ()
    endpoint_tags: tuple[str, ...] = ()
    rest: bool = False

    def __post_init__(self) -> None:
        _named(self.code, self.name)
        if self.included < 0:
            raise InvalidPlan(f"included is {self.included}; an allowance is 0 or more units")
        if isinstance(self.meter, str):
            if not self.meter.strip():
                raise InvalidPlan("meter is empty; write tokens, requests or a unit's name")
        elif not self.meter:
            raise InvalidPlan("meter is an empty set; name the token classes, or write tokens")
        elif unknown := sorted(self.meter.difference(TOKEN_CLASSES)):
            raise InvalidPlan(
                f"meter names {', '.join(unknown)}, no token class; the classes are "
                f"{', '.join(TOKEN_CLASSES)}, and any other unit is metered alone"
            )
        if "" in self.models or "" in self.endpoint_tags:
            raise InvalidPlan("an empty pattern names nothing; leave it out, or write *")

    @property
    def classes(self) -> frozenset[str]:
        """The token classes that are counted together, or the one unit."""
        if self.meter == TOKENS:
            return frozenset(TOKEN_CLASSES)
        return frozenset({self.meter}) if isinstance(self.meter, str) else self.meter

    @property
    def unit(self) -> str:
        """What the quantity counts: `tokens`, `requests` or the unit's own name."""
        return TOKENS if self.classes <= frozenset(TOKEN_CLASSES) else str(self.meter)

    def meters(self, model: str, endpoint_tag: str, token_class: str) -> bool:
        return (
            token_class in self.classes
            and matches(self.models, model)
            and matches(self.endpoint_tags, endpoint_tag)
        )

    def overlaps(self, other: Charge) -> bool:
        """Whether some usage is metered by both."""
        return (
            not self.classes.isdisjoint(other.classes)
            and meet(self.models, other.models)
            and meet(self.endpoint_tags, other.endpoint_tags)
        )


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The terms of one version of a plan.

    `fee` is in `currency` for a full billing cycle. A cycle that a subscription begins or ends in
    is shorter: its fee is the part of it by days, and so is every allowance unless
    `prorate_allowance` is false. The allowance that is not used expires with the cycle.
    """

    code: str
    name: str
    currency: str
    fee: Decimal = Decimal(0)
    prorate_allowance: bool = True
    scope: Scope = Scope()
    charges: tuple[Charge, ...] = ()

    def __post_init__(self) -> None:
        _named(self.code, self.name)
        _fee(self.fee, self.currency)
        if len(self.charges) > MAX_CHARGES:
            raise InvalidPlan(f"{len(self.charges)} charges; a plan has at most {MAX_CHARGES}")
        for first, second in combinations(self.charges, 2):
            if first.code == second.code:
                raise InvalidPlan(f"two charges have the code {first.code!r}")
            if first.overlaps(second) and not second.rest:
                raise InvalidPlan(
                    f"charges {first.code!r} and {second.code!r} would both charge the same usage; "
                    f"part their models, tags or meters, or give {second.code!r} rest = true, "
                    "so that it takes what is left"
                )


def plan_of(content: Mapping[str, Any]) -> Plan:
    """The plan that a file's table or a stored content describes.

    Raises `InvalidPlan` that ends in the place, like `at $.charges[0].price`.
    """
    try:
        return msgspec.convert(content, Plan)
    except msgspec.ValidationError as error:
        raise InvalidPlan(str(error)) from error


def content_of(plan: Plan) -> dict[str, Any]:
    """The plan as JSON holds it; every key is there, decimals are plain strings, sets sorted."""
    content = msgspec.to_builtins(plan, order="sorted", builtin_types=(Decimal,))
    return dict(_written(content))


def plan_digest(plan: Plan) -> str:
    """Hex SHA-256 of the plan's content: the same terms give the same digest."""
    return digest_of(content_of(plan))


def _written(value: Any) -> Any:
    match value:
        case Decimal():
            return plain(value)
        case dict():
            return {key: _written(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_written(inner) for inner in value]
        case _:
            return value


def _named(code: str, name: str) -> None:
    if not _NAME.fullmatch(code):
        raise InvalidPlan(f"code {code!r} must be lower-case letters, digits, '.', '_' or '-'")
    if not name.strip():
        raise InvalidPlan(f"{code!r} has no name; customers read it on the invoice")


def _fee(fee: Decimal, currency: str) -> None:
    try:
        digits = minor_digits(currency)
    except UnknownCurrency as error:
        raise InvalidPlan(f"currency: {error}") from error
    if not fee.is_finite() or fee < 0:
        raise InvalidPlan(f"fee is {fee}; a fee is 0 or more")
    _bounded(fee, "fee")
    try:
        to_units(fee, digits)
    except ValueError as error:
        raise InvalidPlan(f"fee {fee} is no amount of {currency}: {error}") from error


def _bounded(amount: Decimal, field: str) -> None:
    if amount and not -_EXPONENT_LIMIT <= amount.adjusted() <= _EXPONENT_LIMIT:
        raise InvalidPlan(f"{field} {amount} is out of all proportion; check its unit")
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -_EXPONENT_LIMIT:
        raise InvalidPlan(f"{field} {amount} has more than {_EXPONENT_LIMIT} decimals")
