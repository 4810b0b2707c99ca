"""A month's bills against its metering: matched, explained, and stored once for the same inputs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final, NamedTuple, cast

import msgspec
from django.db import connection, transaction

from allocation.closed_months import refuse_if_closed
from allocation.domain.bill_lines import BillLine
from allocation.domain.matching import match
from allocation.domain.variances import CAUSES, Cause, Evidence, total
from allocation.domain.waterfall import MixedCurrencies, Waterfall, waterfall
from allocation.models import (
    Reconciliation,
    ReconciliationResult,
    ReconciliationStep,
)
from allocation.period_locks import lock_month
from allocation.provider_bills import bill_lines
from metering import bulk
from metering.domain.capacity import UNIT as CAPACITY
from metering.domain.cells import UNALLOCATED, Cell, MeteredCell, Owner
from metering.domain.digests import digest_of
from metering.domain.period_costs import PeriodCosts
from metering.domain.periods import Month
from metering.pricing.period_costs import period_costs
from metering.readings import MeteredUsage, cost_centres, metered_usage

METHOD: Final = "4"
"""Part of every reconciliation's inputs: raised when the same inputs come to be explained
another way."""


class NothingToReconcile(ValueError):
    """The month has neither a bill nor metered usage."""


class CannotCompare(ValueError):
    """A provider's bill and its prices are in different currencies."""


class EvidenceRow(NamedTuple):
    """What one group contributes to one cause, as stored: see `domain.variances.Evidence`.
    `bill_lines` lists (bill, line)."""

    number: int
    cause: Cause
    amount: Decimal
    project: str
    day: date
    model: str
    token_class: str
    tier: str
    matching: str
    billed: Decimal
    metered: Decimal
    billed_quantity: Decimal | None
    metered_quantity: Decimal
    quantity: Decimal | None
    bill_lines: tuple[tuple[int, int], ...]
    note: str


class ProviderResult(NamedTuple):
    """One provider's way from metered cost to bill. `bill` is `None` where there is none, and
    then there are no steps. `metered` plus all steps is `bill`."""

    provider: str
    currency: str
    metered: Decimal
    matched: Decimal
    bill: Decimal | None
    unpriced_quantity: Decimal
    rounding_mean: Decimal | None
    unexplained_owner: str
    steps: tuple[tuple[Cause, Decimal], ...]
    evidence: tuple[EvidenceRow, ...]


def reconcile(
    month: Month, *, now: datetime, metered: MeteredUsage | None = None
) -> Reconciliation:
    """Explain the difference between the month's bills and its metered cost, and store it;
    `metered` is the month's usage where that was read already.

    The same bills and the same usage give the reconciliation that exists already, also in a
    closed month. Raises `NothingToReconcile`, `CannotCompare`, or `MonthIsClosed` where a closed
    month would come out differently.
    """
    with transaction.atomic():
        lock_month(month)
        cells, usage = metered or metered_usage(month.period)
        lines = bill_lines(month)
        costs = period_costs(month, cells)
        inputs = _digest(lines, usage, costs)
        known = Reconciliation.objects.filter(month=str(month), inputs_digest=inputs).first()
        if known is not None:
            return known
        if not lines and not cells and not costs.reserved:
            raise NothingToReconcile(f"{month} has neither a bill nor metered usage")
        refuse_if_closed(month)
        results = explain(lines, cells, owner=_unexplained_owner(), costs=costs)
        return _store(month, inputs, results, now)


def inputs_digest(month: Month, *, usage: str) -> str:
    """The digest of what a reconciliation of the month would be made from now; `usage` is the
    month's `usage_digest`."""
    return _digest(bill_lines(month), usage, period_costs(month))


def explain(
    lines: Sequence[BillLine],
    metered: Sequence[MeteredCell],
    *,
    owner: str,
    costs: PeriodCosts | None = None,
) -> tuple[ProviderResult, ...]:
    """Each provider's waterfall; `owner` answers for what stays unexplained, `costs` is what hangs
    on the month itself.

    Raises `CannotCompare`.
    """
    billed: dict[str, list[BillLine]] = defaultdict(list)
    used: dict[str, list[MeteredCell]] = defaultdict(list)
    for line in lines:
        billed[line.provider].append(line)
    for cell in metered:
        used[cell.cell.provider].append(cell)
    for cell in _only_reserved(costs, {*billed, *used}):
        used[cell.cell.provider].append(cell)
    results = []
    for provider in sorted({*billed, *used}):
        try:
            found = waterfall(match(billed.get(provider, []), used.get(provider, [])), costs)
        except MixedCurrencies as error:
            raise CannotCompare(
                f"{provider}: {error}; bring in prices and bills in one currency"
            ) from error
        results.append(_result(provider, found, owner, has_bill=provider in billed))
    return tuple(results)


def _only_reserved(costs: PeriodCosts | None, known: Collection[str]) -> Iterator[MeteredCell]:
    """Where to tell of what is reserved at a provider that neither sent a bill nor was used:
    readings of nothing, in one currency each."""
    spelt = {provider.lower() for provider in known}
    currencies: dict[str, str] = {}
    for each in costs.reserved if costs is not None else ():
        held = each.commitment
        if held.provider in spelt or not each.costs:
            continue
        if currencies.setdefault(held.provider, held.currency) == held.currency:
            cell = Cell(held.provider, "", each.costs[0].day, held.model, CAPACITY, "provisioned")
            nothing = Decimal(0)
            yield MeteredCell(cell, Owner(UNALLOCATED), nothing, nothing, held.currency, 0)


class CurrencyTotal(NamedTuple):
    """The billed providers of one currency together."""

    currency: str
    metered: Decimal
    matched: Decimal
    bill: Decimal
    steps: tuple[tuple[Cause, Decimal], ...]


def totals_of(results: Sequence[ProviderResult]) -> list[CurrencyTotal]:
    """The billed providers together, by currency; nothing is converted."""
    by_currency: dict[str, list[ProviderResult]] = defaultdict(list)
    for result in results:
        if result.bill is not None:
            by_currency[result.currency].append(result)
    totals = []
    for currency, of_currency in sorted(by_currency.items()):
        causes: dict[Cause, list[Decimal]] = defaultdict(list)
        for result in of_currency:
            for cause, amount in result.steps:
                causes[cause].append(amount)
        totals.append(
            CurrencyTotal(
                currency,
                total(r.metered for r in of_currency),
                total(r.matched for r in of_currency),
                total(r.bill for r in of_currency if r.bill is not None),
                tuple((cause, total(amounts)) for cause, amounts in causes.items()),
            )
        )
    return totals


def results_of(
    reconciliation: Reconciliation, *, with_evidence: bool = True
) -> tuple[ProviderResult, ...]:
    """What is stored of a reconciliation; its evidence is long, and may be left out."""
    results = []
    for row in reconciliation.results.order_by("provider", "currency"):
        steps = row.steps.order_by("position").values_list("cause", "amount")
        evidence = row.evidence.order_by("number") if with_evidence else row.evidence.none()
        results.append(
            ProviderResult(
                provider=row.provider,
                currency=row.currency,
                metered=row.metered,
                matched=row.matched,
                bill=row.bill,
                unpriced_quantity=row.unpriced_quantity,
                rounding_mean=row.rounding_mean,
                unexplained_owner=row.unexplained_owner,
                steps=tuple((cast("Cause", cause), amount) for cause, amount in steps),
                evidence=tuple(
                    _evidence_row(values) for values in evidence.values_list(*EvidenceRow._fields)
                ),
            )
        )
    return tuple(results)


def outputs_digest(results: Sequence[ProviderResult]) -> str:
    """The digest of every step and its evidence."""
    return digest_of(results)


def _evidence_row(values: tuple[object, ...]) -> EvidenceRow:
    row = EvidenceRow._make(values)
    return row._replace(bill_lines=tuple((bill, line) for bill, line in row.bill_lines))


def _digest(lines: Sequence[BillLine], usage: str, costs: PeriodCosts) -> str:
    return digest_of([METHOD, lines, usage, costs.digest])


def _unexplained_owner() -> str:
    """The person who answers for what nobody owns."""
    return next((c.responsible for c in cost_centres() if c.code == UNALLOCATED), "")


def _result(provider: str, found: Waterfall, owner: str, *, has_bill: bool) -> ProviderResult:
    """Without a bill there is nothing to explain, but for what is reserved and was to be on it."""
    told = [step for step in found.steps if step.cause == "reserved_capacity" and step.evidence]
    steps = found.steps if has_bill else tuple(told)
    matched = (found.matched,) if has_bill else ()
    evidence = [each for step in (*matched, *steps) for each in step.evidence]
    return ProviderResult(
        provider=provider,
        currency=found.currency,
        metered=found.metered,
        matched=found.matched.amount if has_bill else Decimal(0),
        bill=found.bill if has_bill else None,
        unpriced_quantity=found.unpriced_quantity,
        rounding_mean=found.rounding_mean,
        unexplained_owner=owner,
        steps=tuple((step.cause, step.amount) for step in steps),
        evidence=tuple(_row(number, e) for number, e in enumerate(evidence, 1)),
    )


def _row(number: int, evidence: Evidence) -> EvidenceRow:
    cell = evidence.group.cell
    return EvidenceRow(
        number=number,
        cause=evidence.cause,
        amount=evidence.amount,
        project=cell.project,
        day=cell.day,
        model=cell.model,
        token_class=cell.token_class,
        tier=cell.tier,
        matching=evidence.group.how,
        billed=evidence.billed,
        metered=evidence.metered,
        billed_quantity=evidence.billed_quantity,
        metered_quantity=evidence.metered_quantity,
        quantity=evidence.quantity,
        bill_lines=tuple((line.bill_id, line.line_no) for line in evidence.group.bill),
        note=evidence.note,
    )


def _store(
    month: Month, inputs: str, results: Sequence[ProviderResult], now: datetime
) -> Reconciliation:
    """The rows first, the reconciliation last: the database then sees that all of it closes."""
    reconciliation_id = _next_id()
    for result in results:
        row = ReconciliationResult.objects.create(
            reconciliation_id=reconciliation_id,
            **{name: getattr(result, name) for name in _RESULT_COLUMNS},
        )
        ReconciliationStep.objects.bulk_create(
            ReconciliationStep(
                result=row, position=CAUSES.index(cause) + 1, cause=cause, amount=amount
            )
            for cause, amount in result.steps
        )
        copy_evidence(row, result.evidence)
    last = Reconciliation.objects.filter(month=str(month)).order_by("-number").first()
    return Reconciliation.objects.create(
        id=reconciliation_id,
        month=str(month),
        number=1 if last is None else last.number + 1,
        inputs_digest=inputs,
        outputs_digest=outputs_digest(results),
        reconciled_at=now,
    )


def copy_evidence(result: ReconciliationResult, evidence: Sequence[EvidenceRow]) -> None:
    """Write the result's evidence, inside the transaction that its reconciliation follows in:
    that makes the database add it up."""
    columns = ", ".join(("result_id", *EvidenceRow._fields))
    with (
        bulk.cursor() as cursor,
        cursor.copy(f"COPY reconciliation_evidence ({columns}) FROM STDIN") as copy,
    ):
        for each in evidence:
            lines = msgspec.json.encode(each.bill_lines).decode()
            copy.write_row((result.pk, *each._replace(bill_lines=lines)))  # type: ignore[arg-type]


_RESULT_COLUMNS: Final = tuple(f for f in ProviderResult._fields if f not in ("steps", "evidence"))


def _next_id() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('reconciliation', 'id'))")
        number: int = cursor.fetchone()[0]
        return number
