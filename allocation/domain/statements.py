"""A month's statement: what one cost centre, tenant or the company bears, and how it came about.

A statement asserts its own arithmetic when it is built: for every bill and owner the lines add up,
exactly, to what was settled from; what was settled differs from that by less than one minor unit;
and the total is the sum of what was settled. A statement that does not add up cannot exist.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from functools import cached_property
from typing import Final, Literal, NamedTuple

from metering.domain.digests import digest_of
from metering.domain.money import EXACT, from_minor, minor_digits
from metering.domain.periods import Month

Mode = Literal["showback", "chargeback"]
"""Showback shows what was borne; under chargeback it is owed, and a journal follows."""

State = Literal["draft", "approved", "closed"]
SubjectKind = Literal["cost_centre", "tenant", "company"]

DIRECT: Final = "direct"
"""The strategy of what was caused by the owner's own calls; every other one divides a pool."""


class StatementDoesNotAdd(ValueError):
    """Lines, settlements and bills disagree; the run beneath is not to be trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whose statement it is. `key` is `""` for the company; `responsible` is `""` if unnamed."""

    kind: SubjectKind
    key: str
    name: str
    responsible: str = ""


class RuleVersion(NamedTuple):
    """A rule as it stood when the run used it; the digest covers its whole content."""

    rule: str
    version: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReference:
    """The allocation run that a statement is drawn from.

    `digest` covers the run's results, `inputs_digest` everything that they depend on. `author` is
    the username of the person who ran it, `""` where a schedule did.
    """

    number: int
    digest: str
    inputs_digest: str
    author: str
    rules: tuple[RuleVersion, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """A part of a bill that an owner bears.

    `amount` is exact, in the statement's currency. `driver_value` of `driver_total` is the measure
    that gave the owner this part, in `basis` (`metered cost`, `requests`, `seats`, …); both are
    `None` where nothing was measured. `pool` is `""` on direct lines. `model` is the one that
    executed, `""` where the bill or the pool names none.
    """

    bill: str
    cost_centre: str
    tenant: str
    provider: str
    model: str
    strategy: str
    pool: str
    rule: str
    basis: str
    driver_value: Decimal | None
    driver_total: Decimal | None
    amount: Decimal

    @property
    def shared(self) -> bool:
        return self.strategy != DIRECT

    @property
    def share(self) -> Decimal | None:
        """The owner's part of the driver as a ratio, to 60 digits; `None` if none is measured."""
        if self.driver_value is None or not self.driver_total:
            return None
        return EXACT.divide(self.driver_value, self.driver_total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What one owner bears of one bill, in minor units: where exact shares become money.

    `exact` is the sum of the owner's lines on the bill; `amount_minor` came from it by largest
    remainder over the owners of the bill.
    """

    bill: str
    provider: str
    cost_centre: str
    tenant: str
    exact: Decimal
    amount_minor: int


class UnallocatedPart(NamedTuple):
    """An exact amount that a pool could give to nobody, and the run's reason."""

    pool: str
    reason: str
    amount: Decimal


class FeatureReading(NamedTuple):
    """Metered cost of one feature, as information: it explains, it is not what is borne.
    `endpoint_tag` is `""` for calls that named none."""

    endpoint_tag: str
    metered_cost: Decimal


class DayReading(NamedTuple):
    """Metered cost of one executed model on one UTC day, as information."""

    day: date
    model: str
    metered_cost: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """What was metered for the subject, in the currency of the prices.

    `currency` is `""`, and the readings are empty, where prices are in more than one currency:
    such costs do not add up. `unpriced_models` are those with usage whose cost is not known,
    which is not zero.
    """

    currency: str = ""
    features: tuple[FeatureReading, ...] = ()
    days: tuple[DayReading, ...] = ()
    unpriced_models: tuple[str, ...] = ()


class Previous(NamedTuple):
    """The subject's settled total in the closed month before, in the same currency."""

    period: Month
    total_minor: int


class EvidenceReference(NamedTuple):
    """The raw events beneath: how many, the digest that proves the set, how to list them."""

    events: int
    digest: str
    listing: str


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One subject's part of a month's bills in one currency.

    `whole_minor` is the payable total of all the run's bills in the currency, `unallocated_minor`
    what of it nobody owns, for which `unallocated_responsible` answers.
    """

    period: Month
    subject: Subject
    mode: Mode
    currency: str
    state: State
    run: RunReference
    lines: tuple[StatementLine, ...]
    settlements: tuple[Settlement, ...]
    whole_minor: int
    unallocated_minor: int
    unallocated_responsible: str
    unallocated: tuple[UnallocatedPart, ...]
    metered: Metered
    previous: Previous | None
    evidence: EvidenceReference

    def __post_init__(self) -> None:
        minor_digits(self.currency)
        _assert_adds(self)

    @property
    def total_minor(self) -> int:
        return sum(settlement.amount_minor for settlement in self.settlements)

    @property
    def total(self) -> Decimal:
        return from_minor(self.total_minor, self.currency)

    @cached_property
    def exact(self) -> Decimal:
        """The sum of the lines, before any rounding to money."""
        return sum_exact(line.amount for line in self.lines)

    @property
    def rounding(self) -> Decimal:
        """What settling in minor units added (or took, if negative): total less exact."""
        with localcontext(EXACT):
            return self.total - self.exact

    @property
    def direct(self) -> Decimal:
        return sum_exact(line.amount for line in self.lines if not line.shared)

    @property
    def shared(self) -> Decimal:
        return sum_exact(line.amount for line in self.lines if line.shared)

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of what the statement asserts: subject, run, lines, settlements, evidence.

        State, comparison and information from metering are left out: they may change while the
        amounts stand.
        """
        return digest_of(
            {
                "period": str(self.period),
                "subject": [self.subject.kind, self.subject.key],
                "mode": self.mode,
                "currency": self.currency,
                "run_digest": self.run.digest,
                "lines": self.lines,
                "settlements": self.settlements,
                "total_minor": self.total_minor,
                "events": [self.evidence.events, self.evidence.digest],
            }
        )


def sum_exact(amounts: Iterable[Decimal]) -> Decimal:
    """The sum with no digit lost."""
    with localcontext(EXACT):
        return sum(amounts, Decimal(0))


class Derivation(NamedTuple):
    """What lines have in common that a statement shows as one; see `StatementLine`. In the order
    that statements are sorted by."""

    cost_centre: str
    tenant: str
    provider: str
    bill: str
    model: str
    strategy: str
    pool: str
    rule: str
    basis: str


class Part(NamedTuple):
    """An amount that an owner bears, and the division that it came from (`""` for none): the
    parts of one division share its driver total."""

    derivation: Derivation
    division: Hashable
    driver_value: Decimal | None
    driver_total: Decimal | None
    amount: Decimal


def merged(parts: Iterable[Part]) -> tuple[StatementLine, ...]:
    """One line for all parts of the same derivation; sorted.

    Amounts and driver values add up, and so do the totals of different divisions (cells, days).
    The share of a merged line is then that of all its divisions together.
    """
    alike: dict[Derivation, list[Part]] = defaultdict(list)
    for part in parts:
        alike[part.derivation].append(part)
    return tuple(_merge(derivation, alike[derivation]) for derivation in sorted(alike))


def totals_by(
    lines: Iterable[StatementLine], attribute: Literal["tenant", "provider", "model", "strategy"]
) -> Mapping[str, Decimal]:
    """Exact amounts by one attribute, the largest first, ties by name."""
    groups: dict[str, list[Decimal]] = defaultdict(list)
    for line in lines:
        groups[getattr(line, attribute)].append(line.amount)
    sums = {name: sum_exact(amounts) for name, amounts in groups.items()}
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def assert_covers(statements: Iterable[Statement], payable_minor: Mapping[str, int]) -> None:
    """Assert that statements of all cost centres add up to the bills, per currency.

    `payable_minor` is the payable total of the run's bills by currency.
    """
    stated: dict[str, int] = dict.fromkeys(payable_minor, 0)
    for statement in statements:
        stated[statement.currency] = stated.get(statement.currency, 0) + statement.total_minor
    for currency in sorted(stated):
        if stated[currency] != payable_minor.get(currency, 0):
            raise StatementDoesNotAdd(
                f"the statements add up to {from_minor(stated[currency], currency)} {currency}, "
                f"the bills to {from_minor(payable_minor.get(currency, 0), currency)}; "
                "repeat the allocation run"
            )


def _assert_adds(statement: Statement) -> None:
    settled = {(s.bill, s.cost_centre, s.tenant): s for s in statement.settlements}
    if len(settled) != len(statement.settlements):
        raise StatementDoesNotAdd("an owner is settled twice on one bill")
    lines: dict[tuple[str, str, str], list[Decimal]] = {key: [] for key in settled}
    for line in statement.lines:
        key = (line.bill, line.cost_centre, line.tenant)
        if key not in lines:
            raise StatementDoesNotAdd(f"a line on bill {line.bill} has no settlement: {key[1:]}")
        lines[key].append(line.amount)
    unit = from_minor(1, statement.currency)
    for key, settlement in settled.items():
        exact = sum_exact(lines[key])
        if exact != settlement.exact:
            raise StatementDoesNotAdd(
                f"bill {settlement.bill}, {key[1:]}: the lines add up to {exact}, "
                f"the settlement was made from {settlement.exact}"
            )
        money = from_minor(settlement.amount_minor, statement.currency)
        if abs(EXACT.subtract(money, exact)) >= unit:
            raise StatementDoesNotAdd(
                f"bill {settlement.bill}, {key[1:]}: {money} was settled for {exact}, "
                "a whole minor unit or more away"
            )


def _merge(derivation: Derivation, parts: list[Part]) -> StatementLine:
    values = [part.driver_value for part in parts if part.driver_value is not None]
    totals = {part.division: part.driver_total for part in parts}
    known_totals = [total for total in totals.values() if total is not None]
    measured = len(values) == len(parts) and len(known_totals) == len(totals)
    return StatementLine(
        **derivation._asdict(),
        driver_value=sum_exact(values) if measured else None,
        driver_total=sum_exact(known_totals) if measured else None,
        amount=sum_exact(part.amount for part in parts),
    )
