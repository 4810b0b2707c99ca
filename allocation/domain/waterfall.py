"""From metered cost to the bill, in named causes that close exactly.

    metered cost + Σ causes = bill

Each group of `matching` is explained by itself, one true fact after another (quantities before
prices, so that what is left when quantities agree can only be the price):

* `metered_not_billed` (negative): what we counted beyond the bill's quantity, at our cost;
* `unmetered`: what the bill counts beyond ours, at the bill's unit price;
* `unpriced`: the bill's amount for usage whose price we do not know;
* then, on equal quantities, the difference is `rounding` or `price_difference`;
* without the bill's quantities it is `rounding` or, if too large, `unexplained`.

Then the groups are seen together: a surplus of one model on the bill and an equal shortfall of
another, in every token class of the day, is one call that ran elsewhere than where it was
reported (`executed_not_requested`), not usage that nobody metered plus usage that nobody billed;
what hangs on the month (free units, volumes, minimums, capacity) takes over from there
(`period_causes`); and small differences that lean one way all month are a price, not rounding.
Bill lines of other kinds (`fees`, `credits`, `tax`, `adjustments`) are causes of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import NamedTuple

from allocation.domain.displaced import pair_displaced
from allocation.domain.matching import Group, Matching
from allocation.domain.period_causes import name_what_hangs_on_the_month
from allocation.domain.rounding import FINEST, smallest_units, tolerance, unmask_prices
from allocation.domain.variances import CAUSES, Cause, Evidence, confirmed, explain, total
from metering.domain.money import EXACT
from metering.domain.period_costs import PeriodCosts


class Step(NamedTuple):
    """One cause with its signed amount: positive where the bill is higher than the metering."""

    cause: Cause
    amount: Decimal
    evidence: tuple[Evidence, ...]


class DoesNotClose(ValueError):
    """The causes do not lead from the metered cost to the bill."""


class MixedCurrencies(ValueError):
    """Amounts in several currencies cannot be compared."""


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The explanation of one provider's bills of a month, in one currency.

    `metered` is the cost of all priced usage, `matched` the part of it that the bill confirms
    (`metered` plus the negative `metered_not_billed`), with a row for every group in which
    something was metered. `steps` holds every cause, in the order of `CAUSES`, also those of
    amount 0. `metered` plus all steps is `bill`, exactly; so is `matched` plus all steps but
    `metered_not_billed`.
    """

    currency: str
    metered: Decimal
    bill: Decimal
    matched: Step
    steps: tuple[Step, ...]
    unpriced_quantity: Decimal

    def __post_init__(self) -> None:
        if tuple(s.cause for s in self.steps) != CAUSES:
            raise DoesNotClose("a waterfall states every cause once, in its order")
        for step in (self.matched, *self.steps):
            if total(e.amount for e in step.evidence) != step.amount:
                raise DoesNotClose(f"the evidence of {step.cause} does not sum to {step.amount}")
        end = total([self.metered, *(s.amount for s in self.steps)])
        if end != self.bill:
            raise DoesNotClose(f"the causes lead to {end}, the bill is {self.bill}")
        if total((self.metered, self.of("metered_not_billed"))) != self.matched.amount:
            raise DoesNotClose(f"{self.matched.amount} is not the metered cost that is billed")

    @property
    def unexplained(self) -> Decimal:
        return self.of("unexplained")

    def of(self, cause: Cause) -> Decimal:
        """The amount of one cause."""
        return self.steps[CAUSES.index(cause)].amount

    @property
    def rounding_mean(self) -> Decimal | None:
        """Signed mean of the rounding per group, to 10^-12, or `None` without any: a mean far
        from 0 says that one side rounds in one direction."""
        evidence = self.steps[CAUSES.index("rounding")].evidence
        if not evidence:
            return None
        with localcontext(EXACT):
            return (self.of("rounding") / len(evidence)).quantize(Decimal(1).scaleb(-12))


def waterfall(matching: Matching, costs: PeriodCosts | None = None) -> Waterfall:
    """Explain one provider's month; `costs` is what hangs on the month itself. Raises
    `MixedCurrencies` if bill and prices differ in it."""
    groups = matching.groups
    currency = _currency(groups)
    units = smallest_units(groups)
    with localcontext(EXACT):
        pieces = [piece for g in groups for piece in explain(g, tolerance(g, units))]
        pieces = pair_displaced(pieces)
        if costs is not None and groups:
            ours = costs.of(groups[0].cell.provider, currency)
            smallest = max(units.values(), default=FINEST)
            pieces = name_what_hangs_on_the_month(pieces, ours, groups, smallest)
        pieces = unmask_prices(pieces, units)
        by_cause: dict[Cause, list[Evidence]] = defaultdict(list)
        by_group: dict[int, list[Evidence]] = defaultdict(list)
        for piece in pieces:
            by_cause[piece.cause].append(piece)
            by_group[id(piece.group)].append(piece)
        return Waterfall(
            currency=currency,
            metered=total(g.cost for g in groups),
            bill=total(g.amount for g in groups),
            matched=_step("matched", [confirmed(g, by_group[id(g)]) for g in groups if g.metered]),
            steps=tuple(_step(cause, by_cause[cause]) for cause in CAUSES),
            unpriced_quantity=total(g.unpriced_quantity for g in groups),
        )


def _step(cause: Cause, evidence: Sequence[Evidence]) -> Step:
    return Step(cause, total(e.amount for e in evidence), tuple(evidence))


def _currency(groups: Iterable[Group]) -> str:
    found: dict[str, str] = {}
    for group in groups:
        for line in group.bill:
            found.setdefault(line.currency, f"bill {line.bill_id}, line {line.line_no}")
        for m in group.metered:
            if m.cost is not None:
                found.setdefault(m.currency, f"the prices of {m.cell.model}")
    if len(found) > 1:
        where = "; ".join(f"{code}: {place}" for code, place in sorted(found.items()))
        raise MixedCurrencies(f"amounts in several currencies cannot be compared ({where})")
    return next(iter(found), "")
