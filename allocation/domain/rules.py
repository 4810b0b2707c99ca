"""An allocation rule: which amounts of a bill form which pool, and how each pool is divided.

Pools are asked in order and the first whose selection fits takes the line, so each amount lands in
exactly one pool. What no pool takes is allocated to *unallocated*, visibly.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, TypeAlias

import msgspec

from allocation.domain.bill_lines import BillLine
from allocation.domain.cost_shares import ACTIVITY_BASED, DIRECT, WEIGHTED
from allocation.domain.weighted import ANY_OTHER
from metering.domain.cells import UNALLOCATED, Owner
from metering.domain.digests import digest_of
from metering.domain.drivers import MEASURED

AmountKind = Literal["metered", "unmetered", "capacity", "fee", "credit", "tax", "adjustment"]
"""A usage line is `metered` if we metered its cell and `unmetered` if not; `capacity` is what is
reserved by the hour, whatever ran on it; the other kinds are the bill's own."""

IMPORTED: Final = "driver:"
"""Prefix of a driver whose values come from outside usage: `driver:seats`."""


class InvalidRule(ValueError):
    """The rule cannot be applied as written; the message names the place and the remedy."""


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which amounts a pool takes: those that fit every list that is not empty.

    Entries other than kinds are patterns (`*`, `?`, `[…]`, case matters). `descriptions` are held
    against the bill's own text, `models`, `token_classes` and `tiers` against what the line names.
    """

    kinds: tuple[AmountKind, ...] = ()
    providers: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    token_classes: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()

    def takes(self, line: BillLine, kind: AmountKind) -> bool:
        return (not self.kinds or kind in self.kinds) and all(
            not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)
            for value, patterns in (
                (line.provider, self.providers),
                (line.project, self.projects),
                (line.model, self.models),
                (line.token_class, self.token_classes),
                (line.tier, self.tiers),
                (line.description, self.descriptions),
            )
        )


class Measure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A driver, and whose activity counts for it.

    `providers` is `same` (only usage of the provider whose bill is divided), `all`, or a list.
    `tiers` are service tiers as the calls named them, in any case.
    `cost_centres` restricts the owners to those named (none named: all); `except_cost_centres`
    takes some out. Active users and imported drivers (`driver:seats`) are counted for an owner as
    a whole: they know no provider, model, endpoint or tier.
    """

    driver: str
    providers: Literal["same", "all"] | tuple[str, ...] = "same"
    models: tuple[str, ...] = ()
    endpoint_tags: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    cost_centres: tuple[str, ...] = ()
    except_cost_centres: tuple[str, ...] = ()

    @property
    def of_the_whole_owner(self) -> bool:
        return self.driver == "active_users" or self.driver.startswith(IMPORTED)

    def counts(self, owner: Owner) -> bool:
        return (
            not self.cost_centres or owner.cost_centre in self.cost_centres
        ) and owner.cost_centre not in self.except_cost_centres

    def __post_init__(self) -> None:
        if not self.driver.startswith(IMPORTED) and self.driver not in MEASURED:
            raise InvalidRule(
                f"driver {self.driver!r} is not known; use one of "
                f"{', '.join(sorted(MEASURED))}, or driver:<name> for an imported one"
            )
        narrowed = (
            isinstance(self.providers, tuple) or self.models or self.endpoint_tags or self.tiers
        )
        if self.of_the_whole_owner and narrowed:
            raise InvalidRule(
                f"{self.driver} knows no provider, model, endpoint or tier; "
                "leave providers, models, endpoint_tags and tiers out"
            )


class Direct(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag=DIRECT, tag_field="strategy"
):
    """By what each owner used of the very cell that was billed."""


class ActivityBased(Measure, frozen=True, tag=ACTIVITY_BASED, tag_field="strategy"):
    """By a driver."""


class Weighted(Measure, frozen=True, kw_only=True, tag=WEIGHTED, tag_field="strategy"):
    """By a driver times the weight of the model or endpoint that it was spent on."""

    by: Literal["model", "endpoint"]
    weights: dict[str, Decimal]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.of_the_whole_owner:
            raise InvalidRule(f"{self.driver} knows no {self.by} to weigh it by")
        if ANY_OTHER not in self.weights:
            raise InvalidRule(f'weights need a "{ANY_OTHER}" for each {self.by} not listed')
        for key, weight in self.weights.items():
            if not weight.is_finite() or weight < 0:
                raise InvalidRule(f"the weight of {key!r} is {weight}; it must be zero or more")


Method: TypeAlias = Direct | ActivityBased | Weighted


class ToDriver(Measure, frozen=True, tag="driver", tag_field="to"):
    """If the pool's own driver is zero, divide by this one."""


class ToOwner(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="owner", tag_field="to"):
    """If the pool's driver is zero, this owner bears the whole pool."""

    cost_centre: str
    tenant: str = ""


NOBODY: Final = ToOwner(UNALLOCATED)


class Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Amounts that are divided together: per bill, currency and provider.

    `fallback` is for a driver that is zero for everybody. If a fallback driver is zero as well,
    or none is named, the pool is unallocated: money never follows a zero out of sight.
    """

    name: str
    select: Selection
    divide: Method
    fallback: ToDriver | ToOwner = NOBODY

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise InvalidRule("a pool needs a name")
        if isinstance(self.divide, Direct) and self.select.kinds != ("metered",):
            raise InvalidRule(
                f'pool {self.name!r}: only metered amounts divide directly; set kinds = ["metered"]'
            )


class RuleContent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole rule. Its digest covers every word of it."""

    name: str
    pools: tuple[Pool, ...]
    description: str = ""

    def __post_init__(self) -> None:
        names = [pool.name for pool in self.pools]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise InvalidRule(f"two pools are named {doubled[0]!r}; a name tells pools apart")
        if not self.name.strip():
            raise InvalidRule("a rule needs a name")
        if RESERVED & set(names):
            raise InvalidRule(f"pool names {', '.join(sorted(RESERVED))} are the run's own")

    def pool_for(self, line: BillLine, kind: AmountKind) -> Pool | None:
        """The first pool that takes the amount; `None`: no pool does."""
        return next((pool for pool in self.pools if pool.select.takes(line, kind)), None)


NO_POOL: Final = "no pool"
BILL_ROUNDING: Final = "bill rounding"
RESERVED: Final = frozenset({NO_POOL, BILL_ROUNDING})


class DatedRule(msgspec.Struct, frozen=True):
    """A rule as it is written in a file: its content, and the first day of the first month that
    it holds for."""

    content: RuleContent
    valid_from: date


def read_rule(document: Mapping[str, Any]) -> DatedRule:
    """A parsed rule file (numbers as `Decimal`, never float) as a value.

    Raises `InvalidRule` naming the place within the document.
    """
    content = dict(document)
    valid_from = content.pop("valid_from", None)
    if type(valid_from) is not date or valid_from.day != 1:
        raise InvalidRule(
            "`valid_from` must be the first day of a month, like 2026-10-01: a rule holds for "
            f"whole months; found {valid_from!r}"
        )
    return DatedRule(rule_content(content), valid_from)


def rule_content(value: Mapping[str, Any]) -> RuleContent:
    """A rule from plain values, as parsed from a file or stored; the inverse of `plain_content`."""
    try:
        return msgspec.convert(value, RuleContent)
    except msgspec.ValidationError as error:
        raise InvalidRule(f"{error}") from error


def plain_content(rule: RuleContent) -> dict[str, Any]:
    """The rule as JSON values, weights as decimal strings."""
    plain: dict[str, Any] = msgspec.to_builtins(rule)
    return plain


def rule_digest(rule: RuleContent) -> str:
    """Hex SHA-256 over the rule's canonical JSON; equal weights written otherwise are equal."""
    return digest_of(msgspec.to_builtins(rule, builtin_types=(Decimal,)))
