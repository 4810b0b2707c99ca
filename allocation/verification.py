"""Checks of allocation's promises for a month: bills, the run, statements.

Like metering's, every check goes a second way to a number that is stored: the document is read
again, the digests are taken again from the rows, the division is made again from the inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from hashlib import sha256
from itertools import zip_longest
from typing import Final

from django.db.models import Sum

from allocation.allocation_run import RunInputs, read_inputs
from allocation.bill_checks import BillRefused, sum_of
from allocation.closed_months import close_of
from allocation.domain.allocations import (
    AllocatedLine,
    Allocation,
    BillTotal,
    OwnerSettlement,
    SourceLine,
)
from allocation.domain.bill_lines import BillLine
from allocation.domain.division import divide
from allocation.domain.rules import InvalidRule
from allocation.models import (
    AllocationRun,
    BillDocument,
    PeriodClose,
    ProviderBill,
    Reconciliation,
    RunApproval,
)
from allocation.models import Statement as IssuedStatement
from allocation.period_close import totals_of
from allocation.provider_bills import lines_of, read_again, reading_of
from allocation.reconciliation import outputs_digest as outputs_digest_of
from allocation.reconciliation import results_of
from allocation.rule_book import content_of
from allocation.run_rows import outputs_digest, read_allocation
from metering.domain.digests import digest_of
from metering.domain.money import from_minor, plain, settle
from metering.domain.periods import Month
from metering.past_usage import one_snapshot, usage_as_of
from metering.seal_chain import roots_missing
from metering.seals import BOOKS
from metering.verification.event_verification import unsealed_books
from metering.verification.findings import Finding
from metering.verification.history_verification import changed

_RunRow = BillTotal | SourceLine | AllocatedLine | OwnerSettlement


def checks(month: Month) -> dict[str, Callable[[], Iterator[Finding]]]:
    """Allocation's checks over one month, by name; none depends on another."""
    return {
        "allocation": lambda: _allocation(month),
        "bills": lambda: _bills(month),
        "reconciliations": lambda: _reconciliations(month),
        "closes": lambda: _closes(month),
    }


def check_month(month: Month) -> Iterator[Finding]:
    """All of allocation's checks over one month, one after the other."""
    for check in checks(month).values():
        yield from check()


def _bills(month: Month) -> Iterator[Finding]:
    for bill in ProviderBill.objects.filter(month=str(month)):
        yield from _bill(bill)


def _reconciliations(month: Month) -> Iterator[Finding]:
    for reconciliation in Reconciliation.objects.filter(month=str(month)).order_by("number"):
        where = f"reconciliation {reconciliation.number} of {month}"
        try:
            digest = outputs_digest_of(results_of(reconciliation))
        except (TypeError, ValueError) as error:
            yield Finding("reconciliation", where, f"its evidence cannot be read: {error}")
            continue
        if digest != reconciliation.outputs_digest:
            yield Finding(
                "reconciliation",
                where,
                "its steps or their evidence are not those it was stored with",
            )


def _allocation(month: Month) -> Iterator[Finding]:
    run = _counting(month)
    if run is not None:
        yield from _run(run, month)
        yield from _statements(run)


def _closes(month: Month) -> Iterator[Finding]:
    run = _counting(month)
    if run is not None:
        yield from _signed(run, month)
    yield from _once_closed_on(run, month)
    yield from _recorded(month)


def _counting(month: Month) -> AllocationRun | None:
    return AllocationRun.objects.filter(month=str(month)).exclude(state="superseded").first()


def _bill(bill: ProviderBill) -> Iterator[Finding]:
    where = f"bill {bill.pk} ({bill.provider} {bill.month})"
    try:
        raw = bytes(bill.document.content)
    except BillDocument.DoesNotExist:
        yield Finding("bill document", where, "the document that it was read from is gone")
        return
    if sha256(raw).hexdigest() != bill.document.sha256:
        yield Finding("bill document", where, "the document is not the one that was received")
        return
    if bill.reading != reading_of(bill):
        yield Finding(
            "bill document",
            where,
            "the document or the terms are not those that the bill was read from",
        )
    try:
        documented = read_again(bill)
    except BillRefused as error:
        yield Finding("bill document", where, f"the document can no longer be read: {error}")
        return
    stored = lines_of(bill)
    for was, now in zip_longest(documented, stored):
        if was != now:
            number = (now or was).line_no
            yield Finding(
                "bill line",
                f"{where} line {number}",
                _difference(was, now),
            )
            return
    if digest_of([line[1:] for line in stored]) != bill.lines_digest:
        yield Finding("bill lines", where, "the bill's digest is not that of its lines")
    exact = sum_of(stored)
    settled = from_minor(settle(exact, bill.currency), bill.currency)
    if (bill.exact, bill.payable.amount, bill.line_count) != (exact, settled, len(stored)):
        yield Finding(
            "bill total",
            where,
            f"its {len(stored)} lines sum to {plain(exact)}, payable {plain(settled)}; it says "
            f"{bill.line_count} lines, {plain(bill.exact)}, payable {plain(bill.payable.amount)}",
        )


def _difference(was: BillLine | None, now: BillLine | None) -> str:
    if was is None or now is None:
        return "the document has no such line" if was is None else "the row is gone"
    fields = [
        f"{name} {_text(said)!r}, not {_text(stored)!r}"
        for name, said, stored in zip(BillLine._fields, was, now, strict=True)
        if said != stored
    ]
    return f"the document says {'; '.join(fields)}"


def _text(value: object) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)


def _run(run: AllocationRun, month: Month) -> Iterator[Finding]:
    where = f"allocation run {run.number} of {month}"
    stored = read_allocation(run.pk)
    intact = outputs_digest(stored) == run.outputs_digest
    try:
        content_of(run.rule_version)
        again = _divided_again(run, month)
    except InvalidRule as error:
        yield Finding("allocation rule", where, str(error))
        return
    except _NotClosedOn as error:
        again = None
        yield Finding("allocation", where, str(error))
    if again is None:
        # There is nothing that the run could be computed from again, so it can only be held
        # against its own digest.
        if not intact:
            yield Finding("run digest", where, "its rows are not those it was stored with")
        return
    for kind, was, now in _by_kind(again, stored):
        for number, (expected, found) in enumerate(zip_longest(was, now), start=1):
            if expected != found:
                yield Finding("allocation", f"{where}, {kind} {number}", _change(expected, found))
                return
    if not intact:  # the same rows give the same digest, so it is not taken a second time
        yield Finding("run digest", where, "its digest is not that of its rows")


class _NotClosedOn(ValueError):
    """What a closed month was divided from is not what it was closed on."""


def _divided_again(run: AllocationRun, month: Month) -> Allocation | None:
    """The run computed again: from what there is now, else, for a closed month, from usage as it
    was when it was closed. `None`: usage or bills of an open month have moved on.

    Raises `InvalidRule`, or `_NotClosedOn`.
    """
    with one_snapshot():
        inputs = _inputs(run, month)
        close = close_of(month)
    if inputs.digest != run.inputs_digest:
        if close is None or close.run_id != run.pk:
            return None
        with usage_as_of(month.period, close.closed_at):
            inputs = _inputs(run, month)
        if inputs.digest != run.inputs_digest:
            what = "bills, drivers or rule" if inputs.usage == run.usage_digest else "usage"
            raise _NotClosedOn(
                f"the {what} as of its close ({close.closed_at.isoformat()}) is not what it was "
                "made from; another finding may say which row was changed"
            )
    return divide(inputs.gathered, inputs.readings)


def _inputs(run: AllocationRun, month: Month) -> RunInputs:
    return read_inputs(month, run.rule_version.rule.name, now=run.created_at)


def _by_kind(
    again: Allocation, stored: Allocation
) -> tuple[tuple[str, Sequence[_RunRow], Sequence[_RunRow]], ...]:
    return (
        ("bill", again.bills, stored.bills),
        ("source", again.sources, stored.sources),
        ("line", again.lines, stored.lines),
        ("settlement", again.settlements, stored.settlements),
    )


def _change(expected: _RunRow | None, found: _RunRow | None) -> str:
    """How a row differs from what is computed again, field by field; which row it is, by what
    both say of it."""
    if expected is None or found is None:
        row = expected or found
        assert row is not None, "neither side has the row"
        said = f"{_owner_of(row)}{plain(_amount_of(row))} {row.currency} of bill {row.bill_id}"
        return f"the row is gone: {said}" if found is None else f"no such row is computed: {said}"
    fields = [
        f"{name} {_text(is_now)}, computed again {_text(was)}"
        for name, was, is_now in zip(expected._fields, expected, found, strict=True)
        if was != is_now
    ]
    return f"{_owner_of(expected)}bill {expected.bill_id}: stored {'; '.join(fields)}"


def _owner_of(row: _RunRow) -> str:
    if isinstance(row, AllocatedLine | OwnerSettlement):
        return f"{row.cost_centre or 'nobody'}/{row.tenant or '(no tenant)'}, "
    return ""


def _amount_of(row: _RunRow) -> Decimal:
    return row.amount if isinstance(row, AllocatedLine | SourceLine) else row.exact


def _statements(run: AllocationRun) -> Iterator[Finding]:
    issued = IssuedStatement.objects.filter(run=run)
    if not issued.exists():
        return
    owed: dict[tuple[str, str], int] = {}
    for settlement in run.settlements.all():
        key = (settlement.cost_centre, settlement.currency)
        owed[key] = owed.get(key, 0) + settlement.amount_minor
    for row in issued.values("cost_centre", "currency").annotate(minor=Sum("amount_minor")):
        key = (row["cost_centre"], row["currency"])
        expected = owed.pop(key, 0)
        if expected != row["minor"]:
            yield Finding(
                "statement",
                f"statement of {key[0]} for {run.month}",
                f"it says {row['minor']} minor units of {key[1]}, the run settled {expected}",
            )
    for (centre, currency), minor in owed.items():
        yield Finding("statement", f"{centre} {run.month}", f"no statement of {minor} {currency}")


def _once_closed_on(counting: AllocationRun | None, month: Month) -> Iterator[Finding]:
    """The runs that the month was closed on, also before it was reopened: there, and with the rows
    that were signed. The one that counts is computed again elsewhere."""
    for close in PeriodClose.objects.filter(month=str(month)).order_by("pk"):
        if set(close.seals) == set(BOOKS):
            yield from roots_missing(close.seals, month)
        else:
            yield Finding("close", f"close of {month}", "it does not name the seals of both books")
        run = AllocationRun.objects.filter(pk=close.run_id, month=str(month)).first()
        if run is None:
            yield Finding(
                "close", f"close of {month}", f"run {close.run_id}, its run, is not there"
            )
            continue
        if close.totals != totals_of(run):
            yield Finding("close", f"close of {month}", "its totals are not those of its run")
        if run != counting and outputs_digest(read_allocation(run.pk)) != close.run_digest:
            yield Finding(
                "run digest",
                f"allocation run {run.number} of {month}",
                "its rows are not those that the month was once closed on",
            )


_OF_RUNS: Final = (
    "(SELECT pgh_obj_id FROM allocation_run_history told WHERE told.month = %(month)s)"
)
_OF_CLOSES: Final = (
    "(SELECT pgh_obj_id FROM period_close_history told WHERE told.month = %(month)s)"
)


def _recorded(month: Month) -> Iterator[Finding]:
    """Who signed what, and when, as it was recorded then."""
    numbers = dict(AllocationRun.objects.values_list("pk", "number"))
    runs = dict(RunApproval.objects.values_list("pk", "run_id"))
    for check, table, condition in (
        ("run", "allocation_run", "h.month = %(month)s"),
        ("approval", "run_approval", f"h.run_id IN {_OF_RUNS}"),
        ("close", "period_close", "h.month = %(month)s"),
        ("reopening", "period_reopening", f"h.close_id IN {_OF_CLOSES}"),
    ):
        for change in changed(table, condition, month=str(month)):
            run = {"run": change.key, "approval": runs.get(change.key)}.get(check)
            where = f"allocation run {numbers.get(run, run)}" if run is not None else check
            yield Finding(check, f"{where} of {month}", change.what)


def _signed(run: AllocationRun, month: Month) -> Iterator[Finding]:
    """What the second person signed is what stands, and a closed month is sealed in every book."""
    where = f"allocation run {run.number} of {month}"
    approval = RunApproval.objects.filter(run=run).first()
    if approval is not None:
        if approval.outputs_digest != run.outputs_digest:
            yield Finding("approval", where, "its digest is not the one that was approved")
        if approval.approved_by == run.author:
            yield Finding("approval", where, f"{run.author} made it and approved it")
    close = close_of(month)
    if close is None:
        return
    signed = (close.run_id, close.run_digest, close.inputs_digest, close.usage_digest)
    if signed != (run.pk, run.outputs_digest, run.inputs_digest, run.usage_digest):
        yield Finding("close", f"close of {month}", f"run {run.number} is not what was closed on")
    people = (run.author, approval.approved_by if approval else None)
    if (close.prepared_by, close.approved_by) != people:
        yield Finding(
            "close",
            f"close of {month}",
            f"it names {close.prepared_by} and {close.approved_by}; the run {people[0]} and "
            f"{people[1] or 'nobody'}",
        )
    for book in unsealed_books(month):
        yield Finding(f"seal of the {book} book", str(month), "the closed month has no seal")
