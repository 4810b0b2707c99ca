"""All that statements of one allocation run are drawn from, read once: of everybody, or of one
cost centre or tenant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from allocation.domain.allocations import AllocatedLine
from allocation.domain.cost_shares import DIRECT, ROUNDING
from allocation.domain.statements import (
    Derivation,
    Part,
    RuleVersion,
    RunReference,
    Settlement,
    StatementLine,
    merged,
)
from allocation.models import AllocationRun
from allocation.run_rows import OwnerColumn, read_lines
from metering.domain.cells import UNALLOCATED, Owner
from metering.domain.money import EXACT
from metering.domain.periods import Month
from metering.readings import (
    CostCentreFacts,
    FeatureLine,
    OwnerDay,
    cost_centres,
    features,
    owner_days,
    tenants,
)


class NothingAllocated(LookupError):
    """The month has no allocation run to draw a statement from."""


class Whose(NamedTuple):
    """The one cost centre or tenant that a book is read for."""

    kind: OwnerColumn
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBook:
    """A run's lines and settlements, with the owners' names and what was metered in its month.

    `lines` are merged as statements show them. `currency_of` is by the bill's name;
    `payable_minor` is the bills' payable total by currency. `features` and `days` are by owner.

    With `whose`, lines, features and days are that owner's alone, and the lines are the
    unallocated ones too, which every statement names. All the others are whole.
    """

    run: AllocationRun
    whose: Whose | None
    month: Month
    reference: RunReference
    lines: tuple[StatementLine, ...]
    currency_of: Mapping[str, str]
    settlements: tuple[Settlement, ...]
    payable_minor: Mapping[str, int]
    centres: Mapping[str, CostCentreFacts]
    tenant_names: Mapping[str, str]
    features: Mapping[Owner, tuple[FeatureLine, ...]]
    days: Mapping[Owner, tuple[OwnerDay, ...]]


def current_run(month: Month) -> AllocationRun:
    """The month's run that counts; raises `NothingAllocated`."""
    run = (
        AllocationRun.objects.filter(month=str(month))
        .exclude(state=AllocationRun.State.SUPERSEDED)
        .select_related("rule_version")
        .first()
    )
    if run is None:
        raise NothingAllocated(
            f"{month} has no allocation run; make one with: manage.py allocate {month}"
        )
    return run


def open_book(
    run: AllocationRun,
    *,
    whose: Whose | None = None,
    with_metering: bool = True,
    lines: Iterable[AllocatedLine] | None = None,
) -> RunBook:
    """Read a run's rows, the owners' names and what was metered in its month; for the statement of
    one owner, no more than it needs (`whose`). Whoever has read the run's lines already hands
    them in.

    Without metering, statements lack what they show as information; what they assert, and so
    their digest, is the same.
    """
    month = Month.parse(run.month)
    version = run.rule_version
    bills = list(run.bills.order_by("bill_id"))
    payable: dict[str, int] = defaultdict(int)
    for bill in bills:
        payable[bill.currency] += bill.payable_minor
    metered_of = {} if whose is None else {whose.kind: whose.key}
    rule = RuleVersion(version.rule_id, version.number, version.digest)
    providers = {bill.bill_id: bill.provider for bill in bills}
    return RunBook(
        run=run,
        whose=whose,
        month=month,
        reference=RunReference(
            number=run.number,
            digest=run.outputs_digest,
            inputs_digest=run.inputs_digest,
            author=run.author,
            rules=(rule,),
        ),
        lines=merged(
            _parts(_lines(run, whose) if lines is None else lines, f"{rule.rule} v{rule.version}")
        ),
        currency_of={_bill(b.bill_id, b.currency): b.currency for b in bills},
        settlements=tuple(
            Settlement(
                bill=_bill(row.bill_id, row.currency),
                provider=providers[row.bill_id],
                cost_centre=row.cost_centre,
                tenant=row.tenant,
                exact=row.exact,
                amount_minor=row.amount_minor,
            )
            for row in run.settlements.order_by("bill_id", "currency", "cost_centre", "tenant")
        ),
        payable_minor=dict(payable),
        centres={facts.code: facts for facts in cost_centres()},
        tenant_names={facts.key: facts.name or facts.key for facts in tenants()},
        features=_by_owner(features(month.period, **metered_of)) if with_metering else {},
        days=_by_owner(owner_days(month.period, **metered_of)) if with_metering else {},
    )


def _lines(run: AllocationRun, whose: Whose | None) -> Iterable[AllocatedLine]:
    if whose is None:
        return read_lines(run.pk)
    columns: dict[OwnerColumn, list[str]] = {"cost_centre": [UNALLOCATED]}
    columns.setdefault(whose.kind, []).append(whose.key)
    return read_lines(run.pk, columns)


def _parts(lines: Iterable[AllocatedLine], rule: str) -> Iterator[Part]:
    for row in lines:
        if row.strategy == ROUNDING:
            continue
        value, basis = row.basis_value, row.basis
        if value is not None and row.weight is not None:
            value, basis = EXACT.multiply(value, row.weight), f"{basis} x weight"
        yield Part(
            Derivation(
                row.cost_centre,
                row.tenant,
                row.provider,
                _bill(row.bill_id, row.currency),
                row.model,
                row.strategy,
                row.pool,
                rule,
                basis,
            ),
            # bill, currency, provider and pool; a direct amount is divided in its cell
            (*row[:3], row.pool, *(row[3:8] if row.strategy == DIRECT else ())),
            value,
            row.basis_total,
            row.amount,
        )


_Owned = TypeVar("_Owned", OwnerDay, FeatureLine)


def _by_owner(found: Iterable[_Owned]) -> dict[Owner, tuple[_Owned, ...]]:
    readings: dict[Owner, list[_Owned]] = defaultdict(list)
    for reading in found:
        readings[reading.owner].append(reading)
    return {owner: tuple(own) for owner, own in readings.items()}


def _bill(bill_id: int, currency: str) -> str:
    return f"{bill_id} {currency}"
