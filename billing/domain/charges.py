"""Charging: usage and a plan's terms become lines that explain an amount each.

Every line's amount is `quantity * unit_price / per`, exact; money comes later (`invoicing`).
Charging takes what the customer *requested*: which model executed, what it cost us, and whether we
know a price for it do not matter here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Literal, NamedTuple, Protocol, assert_never

from billing.domain.allowances import allowance_of, included_of
from billing.domain.cycles import Cycle
from billing.domain.plans import Charge, PerUnit, Plan, Price, Scope
from metering.domain.money import EXACT, RATING_QUANTUM, plain

LineKind = Literal["fee", "allowance", "overage"]
Reason = Literal["data_mode", "environment", "status", "served_from", "no_charge"]


class NegativeUsage(ValueError):
    """What was used adds up to less than nothing; the readings are wrong, so nothing is charged."""


class Standing(Protocol):
    """What decides whether a plan charges a call at all."""

    @property
    def environment(self) -> str: ...
    @property
    def data_mode(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def served_from(self) -> str: ...


class UsageLine(Standing, Protocol):
    """A reading of one customer's usage, of one class of token or one unit.

    `model` is the requested one. The unit `requests` counts the calls themselves. A reading may
    come in several lines, and in any order; a correction may be negative.
    """

    @property
    def model(self) -> str: ...
    @property
    def endpoint_tag(self) -> str: ...
    @property
    def token_class(self) -> str: ...
    @property
    def quantity(self) -> Decimal: ...


class Use(NamedTuple):
    """Whose usage within a charge: the requested model and the feature (endpoint tag)."""

    model: str
    endpoint_tag: str


@dataclass(frozen=True, slots=True)
class Metered:
    """What one charge counts, by use; uses that add up to zero are left out."""

    charge: Charge
    uses: Mapping[Use, Decimal]

    @property
    def quantity(self) -> Decimal:
        return _total(self.uses.values())


@dataclass(frozen=True, slots=True, order=True)
class Uncharged:
    """Usage that the plan does not charge, and what it is in the plan that leaves it out."""

    reason: Reason
    model: str
    token_class: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class LinePart:
    """The part of a line that one use makes up."""

    use: Use
    quantity: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Line:
    """`quantity` of `unit` at `unit_price` per `per`: the exact `amount`, and whose it is.

    A fee has no charge (`""`) and no parts; its quantity is the days that it is due for, out of
    `per` days of a full cycle. An allowance's unit price is 0: it shows what the fee includes.
    """

    kind: LineKind
    charge_code: str
    description: str
    unit: str
    quantity: Decimal
    unit_price: Decimal
    per: int
    amount: Decimal
    parts: tuple[LinePart, ...] = ()

    def __post_init__(self) -> None:
        if self.kind != "fee":
            assert _total(p.quantity for p in self.parts) == self.quantity, "parts are not the line"
            assert _total(p.amount for p in self.parts) == self.amount, "parts are not the amount"


@dataclass(frozen=True, slots=True)
class Charged:
    """A cycle's lines in the order of the plan, what they were made of, and what was left out."""

    lines: tuple[Line, ...]
    metered: tuple[Metered, ...]
    uncharged: tuple[Uncharged, ...]


def charge(usage: Iterable[UsageLine], plan: Plan, cycle: Cycle) -> Charged:
    """Charge one customer's usage of a cycle by the plan: the fee, then two lines a charge, what
    the allowance covers and what goes beyond it (kept when it is nothing).

    No usage is charged twice: the first charge of the plan that meters it takes it. Raises
    `NegativeUsage`.
    """
    metered, uncharged = meter(usage, plan)
    lines = [_fee_line(plan, cycle)]
    for reading in metered:
        allowance = allowance_of(reading.charge.included, cycle, prorate=plan.prorate_allowance)
        lines.extend(_charge_lines(reading, allowance, plan.currency))
    used = _total(m.quantity for m in metered)
    assert _total(x.quantity for x in lines if x.kind != "fee") == used, "lines are not the usage"
    return Charged(tuple(lines), metered, uncharged)


def meter(
    usage: Iterable[UsageLine], plan: Plan
) -> tuple[tuple[Metered, ...], tuple[Uncharged, ...]]:
    """Which charge counts what. One reading for every charge, in the plan's order."""
    taken: list[dict[Use, Decimal]] = [defaultdict(Decimal) for _ in plan.charges]
    left: dict[tuple[Reason, str, str], Decimal] = defaultdict(Decimal)
    with localcontext(EXACT):
        for line in usage:
            index = _index(line, plan)
            if isinstance(index, int):
                taken[index][Use(line.model, line.endpoint_tag)] += line.quantity
            else:
                left[index, line.model, line.token_class] += line.quantity
    metered = tuple(
        Metered(charge, _without_zeros(charge, uses))
        for charge, uses in zip(plan.charges, taken, strict=True)
    )
    uncharged = (Uncharged(*key, quantity) for key, quantity in left.items() if quantity)
    return metered, tuple(sorted(uncharged))


def overage(price: Price, quantity: Decimal) -> tuple[Decimal, int, Decimal]:
    """Unit price, per how many units, and the exact amount of so much use above the allowance."""
    match price:
        case PerUnit(unit_price=unit_price, per=per):
            with localcontext(EXACT):
                return unit_price, per, quantity * unit_price / per
        case _:
            assert_never(price)


def left_out_by(line: Standing, scope: Scope) -> Reason | None:
    """What in the scope leaves the usage out, if anything does."""
    if line.data_mode not in scope.data_modes:
        return "data_mode"
    if line.environment not in scope.environments:
        return "environment"
    if line.status not in scope.statuses:
        return "status"
    if line.served_from not in scope.served_from:
        return "served_from"
    return None


def _index(line: UsageLine, plan: Plan) -> int | Reason:
    outside = left_out_by(line, plan.scope)
    if outside is not None:
        return outside
    for index, candidate in enumerate(plan.charges):
        if candidate.meters(line.model, line.endpoint_tag, line.token_class):
            return index
    return "no_charge"


def _without_zeros(charge: Charge, uses: Mapping[Use, Decimal]) -> dict[Use, Decimal]:
    for use, quantity in uses.items():
        if quantity < 0:
            raise NegativeUsage(
                f"charge {charge.code!r} reads {quantity} {charge.unit} of {use.model!r} "
                f"(endpoint tag {use.endpoint_tag!r}); usage is 0 or more, so run "
                "`manage.py verify` on the period before charging it"
            )
    return {use: uses[use] for use in sorted(uses) if uses[use]}


def _fee_line(plan: Plan, cycle: Cycle) -> Line:
    """The fee by days: exact where that terminates, else to 18 decimals, settled only once."""
    with localcontext(EXACT):
        amount = plan.fee * cycle.days / cycle.full_days
        if cycle.days != cycle.full_days:
            amount = amount.quantize(RATING_QUANTUM)
    part = "" if cycle.days == cycle.full_days else f", {cycle.days} of {cycle.full_days} days"
    return Line(
        kind="fee",
        charge_code="",
        description=f"{plan.name}, {cycle.first_day} to {cycle.last_day}{part}",
        unit="days",
        quantity=Decimal(cycle.days),
        unit_price=plan.fee,
        per=cycle.full_days,
        amount=amount,
    )


def _charge_lines(reading: Metered, allowance: int, currency: str) -> list[Line]:
    charge = reading.charge
    within = included_of(reading.uses, allowance)
    beyond = {use: quantity - within[use] for use, quantity in reading.uses.items()}
    lines: list[Line] = []
    if charge.included:
        lines.append(_included_line(charge, within, allowance))
    lines.append(_overage_line(charge, beyond, allowance, currency))
    return lines


def _included_line(charge: Charge, within: Mapping[Use, Decimal], allowance: int) -> Line:
    quantity = _total(within.values())
    return Line(
        kind="allowance",
        charge_code=charge.code,
        description=f"{charge.name}: {_shown(quantity)} of {allowance:,} {charge.unit} included",
        unit=charge.unit,
        quantity=quantity,
        unit_price=Decimal(0),
        per=1,
        amount=Decimal(0),
        parts=tuple(LinePart(use, q, Decimal(0)) for use, q in within.items() if q),
    )


def _overage_line(
    charge: Charge, beyond: Mapping[Use, Decimal], allowance: int, currency: str
) -> Line:
    quantity = _total(beyond.values())
    unit_price, per, amount = overage(charge.price, quantity)
    over = f" above the {allowance:,} included" if charge.included else ""
    rate = f"{currency} {plain(unit_price)} per {per:,} {charge.unit}"
    return Line(
        kind="overage",
        charge_code=charge.code,
        description=f"{charge.name}: {_shown(quantity)} {charge.unit}{over} at {rate}",
        unit=charge.unit,
        quantity=quantity,
        unit_price=unit_price,
        per=per,
        amount=amount,
        parts=tuple(
            LinePart(use, q, overage(charge.price, q)[2]) for use, q in beyond.items() if q
        ),
    )


def _total(amounts: Iterable[Decimal]) -> Decimal:
    with localcontext(EXACT):
        return sum(amounts, Decimal(0))


def _shown(quantity: Decimal) -> str:
    return f"{Decimal(plain(quantity)):,f}"
