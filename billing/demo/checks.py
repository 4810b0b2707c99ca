"""What must hold at the end of the demo; each is checked against what was planted or billed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import Final, NamedTuple

from allocation.domain.variances import Cause
from allocation.models import AllocationSettlement
from allocation.reconciliation import ProviderResult
from billing.demo.documents import MadeMonth
from billing.demo.journey import ClosedMonth, Journey
from metering.domain.money import EXACT, settle
from metering.domain.periods import Month

_OUTCOME: Final = {"resend": "duplicates", "conflict": "conflicts", "malformed": "rejected"}
"""What becomes of lines that are no new event; all others are accepted."""


class Check(NamedTuple):
    """Whether something holds, and what was wanted where it does not."""

    what: str
    holds: bool
    detail: str = ""


class Difference(NamedTuple):
    """A cause of the waterfall of one provider: what was found, and what was planted."""

    provider: str
    cause: Cause
    found: Decimal
    planted: Decimal | None

    @property
    def holds(self) -> bool:
        return self.planted is None or self.found == self.planted


def expected_outcomes(lines: Counter[str]) -> dict[str, int]:
    """How many lines of the made-up usage should come to each outcome."""
    wanted = dict.fromkeys(("accepted", "duplicates", "conflicts", "rejected"), 0)
    for kind, count in lines.items():
        wanted[_OUTCOME.get(kind, "accepted")] += count
    return wanted


def differences(closed: ClosedMonth, made: MadeMonth | None) -> Iterator[Difference]:
    """Every cause that was found or planted, by provider, in the waterfall's order."""
    planted = {(p.provider, p.cause): p.amount for p in made.bills.planted} if made else {}
    for result in closed.results:
        for cause, found in result.steps:
            wanted = planted.get((result.provider, cause), Decimal(0)) if made else None
            if found or wanted:
                yield Difference(result.provider, cause, found, wanted)


def checks(journey: Journey, made: MadeMonth | None) -> Iterator[Check]:
    """All that must hold; the demo succeeds if every one does."""
    if made is not None:
        wanted = expected_outcomes(made.lines)
        found = {name: getattr(journey.ingested, name) for name in wanted}
        yield Check("every line of usage has the outcome it should", found == wanted, str(found))
    yield Check("a bill was taken in", bool(journey.months))
    for closed in journey.months:
        yield from _month_checks(closed, journey, made)


def _month_checks(closed: ClosedMonth, journey: Journey, made: MadeMonth | None) -> Iterator[Check]:
    month = closed.month
    for result in closed.results:
        if result.bill is not None:
            yield from _ends(result, month, made)
    if made is not None:
        missed = [d for d in differences(closed, made) if not d.holds]
        detail = "; ".join(f"{d.provider} {d.cause}: {d.found} not {d.planted}" for d in missed)
        yield Check(f"{month}: each planted difference is found", not missed, detail)
    bills = [bill for bill in journey.bills if bill.month == month]
    billed = sum(settle(bill.payable, bill.currency) for bill in bills)
    borne = sum(
        AllocationSettlement.objects.filter(run=closed.run).values_list("amount_minor", flat=True)
    )
    yield Check(
        f"{month}: every cent of the bills is on one owner",
        billed == borne,
        f"{billed} billed, {borne} borne",
    )
    if made is not None:
        yield Check(f"{month}: closed by two persons", closed.close is not None, closed.not_closed)
    yield Check(f"{month}: every billing cycle has its invoice", closed.invoices.complete)
    if closed.pushed:
        amiss = [x.tenant for x in closed.pushed if not x.done]
        yield Check(
            f"{month}: Stripe's invoices are ours, line by line", not amiss, ", ".join(amiss)
        )
    yield Check(
        f"{month}: verified from the raw events", not closed.findings, "; ".join(closed.findings)
    )


def _ends(result: ProviderResult, month: Month, made: MadeMonth | None) -> Iterator[Check]:
    """Both ends of a provider's waterfall, and that the causes lead from one to the other."""
    provider = result.provider
    with localcontext(EXACT):
        end = result.metered + sum(amount for _, amount in result.steps)
    yield Check(f"{month} {provider}: the waterfall closes", end == result.bill)
    if made is not None:
        metered, total = made.bills.metered[provider], made.bills.totals[provider]
        yield Check(
            f"{month} {provider}: metered cost and bill are what was made",
            (result.metered, result.bill) == (metered, total),
            f"{result.metered} and {result.bill}, made were {metered} and {total}",
        )
