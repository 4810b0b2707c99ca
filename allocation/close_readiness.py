"""The four questions before a close, answered from the month's rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import date, datetime
from decimal import Decimal

from allocation.allocation_run import NoBills, digest_now
from allocation.domain.readiness import Answer, Finding, Readiness, unexplained_tolerance
from allocation.domain.rules import InvalidRule
from allocation.models import AllocationRun, Reconciliation, ReconciliationResult
from allocation.provider_bills import StoredBill, bills_of
from allocation.reconciliation import inputs_digest
from allocation.rule_book import NoSuchRule
from allocation.run_book import NothingAllocated, current_run
from metering.domain.money import from_minor, plain
from metering.domain.periods import Month
from metering.readings import day_costs, usage_digest


def readiness(month: Month, *, now: datetime, accept_unexplained: str = "") -> Readiness:
    """The answers as of `now`. Changes nothing, and may be asked at any time.

    `accept_unexplained` is the closing person's reason for accepting a difference between bill
    and metering that is beyond the tolerance; it stands among the facts.
    """
    bills = [bill for bill in bills_of(month) if bill.replaced_by is None]
    try:
        run = current_run(month)
    except NothingAllocated:
        run = None
    usage = usage_digest(month.period)
    return Readiness(
        month,
        (
            _complete(month, bills),
            _allocated(month, run, usage, now),
            _accurate(month, bills, usage, accept_unexplained),
            _cut_off(month, run, usage, now),
        ),
    )


def _complete(month: Month, bills: Collection[StoredBill]) -> Answer:
    """Every provider whose calls had a cost has sent a bill, and no daily bill ends too early.

    Calls of a provider that are all free or unpriced (a server of the operator's own, say) call
    for no bill.
    """
    days: dict[str, set[date]] = defaultdict(set)
    for reading in day_costs(month.period):
        if reading.cost:
            days[reading.provider].add(reading.day)
    billed: dict[str, set[date]] = defaultdict(set)
    for bill in bills:
        billed[bill.provider].update(bill.days)
    findings = []
    for provider in sorted(days):
        remedy = f"import it: manage.py import_bill FILE --provider {provider}"
        if provider not in billed:
            findings.append(Finding(f"no bill of {provider} for {month}", remedy))
        elif len(billed[provider]) > 1 and max(days[provider]) > max(billed[provider]):
            findings.append(
                Finding(
                    f"the bill of {provider} ends on {max(billed[provider])}, its calls on "
                    f"{max(days[provider])}",
                    remedy,
                )
            )
    if not bills:
        findings.append(
            Finding(f"no bill for {month}", "import_bill FILE --provider P brings one in")
        )
    return Answer("complete", tuple(findings), tuple(_bill_fact(bill) for bill in bills))


def _bill_fact(bill: StoredBill) -> str:
    return f"{bill.provider}: {plain(bill.payable)} {bill.currency}, bill {bill.id}"


def _allocated(month: Month, run: AllocationRun | None, usage: str, now: datetime) -> Answer:
    again = f"manage.py allocate {month}"
    if run is None:
        return Answer("allocated", (Finding(f"{month} has no allocation run", again),))
    findings = []
    try:
        if digest_now(run, usage=usage, now=now) != run.inputs_digest:
            findings.append(
                Finding(
                    f"usage, bills, rule or drivers have changed since run {run.number}",
                    f"make it again: {again}",
                )
            )
    except (NoBills, NoSuchRule, InvalidRule) as error:
        findings.append(Finding(f"run {run.number} cannot be made again", str(error)))
    payable = _by_currency((b.currency, b.payable_minor) for b in run.bills.all())
    settled = _by_currency((s.currency, s.amount_minor) for s in run.settlements.all())
    if payable != settled:
        findings.append(Finding(f"run {run.number} does not conserve its bills", again))
    totals = ", ".join(
        f"{from_minor(minor, currency)} {currency}" for currency, minor in sorted(payable.items())
    )
    fact = f"run {run.number} by {run.author or 'the program'}: {totals} allocated"
    return Answer("allocated", tuple(findings), (fact,))


def _by_currency(amounts: Iterable[tuple[str, int]]) -> dict[str, int]:
    totals: dict[str, int] = defaultdict(int)
    for currency, minor in amounts:
        totals[currency] += minor
    return dict(totals)


def _accurate(month: Month, bills: Collection[StoredBill], usage: str, accepted: str) -> Answer:
    again = f"manage.py reconcile {month}"
    latest = Reconciliation.objects.filter(month=str(month)).order_by("-number").first()
    if latest is None:
        return Answer("accurate", (Finding(f"{month} has no reconciliation", again),))
    if latest.inputs_digest != inputs_digest(month, usage=usage):
        finding = Finding(
            f"usage or bills have changed since reconciliation {latest.number}",
            f"make it again: {again}",
        )
        return Answer("accurate", (finding,))
    findings, facts = [], []
    for result in latest.results.order_by("provider", "currency"):
        unexplained = _unexplained(result)
        if unexplained is None:
            continue
        lines = sum(bill.lines for bill in bills if bill.provider == result.provider)
        tolerance = unexplained_tolerance(lines, result.currency)
        amount = f"{plain(unexplained)} {result.currency}"
        facts.append(f"{result.provider}: {amount} unexplained, {plain(tolerance)} tolerated")
        if abs(unexplained) > tolerance and not accepted.strip():
            findings.append(
                Finding(
                    f"{amount} of {result.provider}'s bill is unexplained "
                    f"({plain(tolerance)} is tolerated)",
                    f"look into it ({again}), or accept it for a stated reason: "
                    '--accept-unexplained "…"',
                )
            )
    if accepted.strip():
        facts.append(f"accepted: {accepted.strip()}")
    return Answer("accurate", tuple(findings), tuple(facts))


def _unexplained(result: ReconciliationResult) -> Decimal | None:
    """What no cause explains; `None` where the provider sent no bill to explain."""
    step = result.steps.filter(cause="unexplained").first()
    return None if step is None else step.amount


def _cut_off(month: Month, run: AllocationRun | None, usage: str, now: datetime) -> Answer:
    findings = []
    if now < month.period.end:
        findings.append(
            Finding(f"{month} is not over", f"close it from {month.period.end:%Y-%m-%d} (UTC) on")
        )
    if run is not None and usage != run.usage_digest:
        findings.append(
            Finding(
                f"usage of {month} arrived or changed after run {run.number}",
                f"allocate again, so that it is counted: manage.py allocate {month}",
            )
        )
    return Answer(
        "cut_off", tuple(findings), (f"the month ends before {month.period.end:%Y-%m-%d}, UTC",)
    )
