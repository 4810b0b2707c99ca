"""A month's work up to its close, in steps that any worker may do a part of.

Reconcile, divide (a part for each pool of each bill), assemble; then a person approves and closes,
and the last step waits for that. Dividing by parts gives the run, byte for byte, that
`allocation_run.run` gives: both divide the same portions and assemble their lines.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from django.db import connection, transaction

from allocation import allocation_run, reconciliation
from allocation.allocation_run import NoBills, RunIdentity, RunInputs
from allocation.closed_months import MonthIsClosed, close_of, refuse_if_closed
from allocation.domain.allocations import Allocation
from allocation.domain.division import assemble, divide_portion
from allocation.domain.pools import AmountTooFine, driver_queries
from allocation.domain.portions import Portion, portions, providers
from allocation.domain.rules import InvalidRule
from allocation.models import AllocationRun, Reconciliation, RuleVersion
from allocation.period_locks import lock_month
from allocation.portion_codec import (
    Prepared,
    decode_lines,
    decode_portion,
    decode_prepared,
    encode_lines,
    encode_portion,
    encode_prepared,
)
from allocation.provider_bills import bill_lines
from allocation.read_ahead import beside
from allocation.reconciliation import CannotCompare, NothingToReconcile
from allocation.rule_book import NoSuchRule
from metering.background import work
from metering.background.flows import Leased, Part, Step
from metering.background.schedules import SCHEDULE
from metering.domain.apportionment import InvalidWeight
from metering.domain.money import UnknownCurrency
from metering.domain.periods import Month
from metering.readings import metered_usage, usage_digest

CLOSED: Final = "the month is closed"
LOOKS_FOR_A_CLOSE: Final = timedelta(minutes=1)


class NotClosed(RuntimeError):
    """The month waits for people; the message says for whom to do what."""


def reconcile(leased: Leased) -> None:
    """Explain the month's bills, then open a part for each portion of what a run would be made
    from; none where the month's run was made from the same.

    Waits for a bill where there is none. A closed month is left as it is. Both are made of one
    reading of the usage; the reconciliation is kept whatever becomes of the run.
    """
    month = Month.parse(leased.subject)
    with transaction.atomic():
        lock_month(month)
        if close_of(month) is not None:
            return work.complete(leased, note=CLOSED, opens=())
        if not bill_lines(month):
            raise NoBills(f"no bill covers {month}; import one with import_bill FILE --provider P")
        work.hold(leased)
        metered = metered_usage(month.period)
        found = reconciliation.reconcile(month, now=leased.now, metered=metered)
    rule = leased.arguments.get("rule") or allocation_run.rule_in_use(month)
    with transaction.atomic():
        lock_month(month)
        if close_of(month) is not None:
            return work.complete(leased, note=CLOSED, opens=())
        inputs = allocation_run.read_inputs(month, rule, now=leased.now, metered=metered)
        return _open_portions(leased, found, rule, inputs)


def _open_portions(
    leased: Leased, found: Reconciliation, rule: str | None, inputs: RunInputs
) -> None:
    whose = providers(inputs.gathered)
    prepared = Prepared(
        rule=rule,
        version_id=inputs.version.pk,
        usage=inputs.usage,
        digest=inputs.digest,
        queries=driver_queries(inputs.gathered),
        bills=tuple((bill, n, whose[bill]) for bill, n in inputs.gathered.scales.items()),
        sources=inputs.gathered.sources,
    )
    known = allocation_run.run_of(Month.parse(leased.subject), inputs.digest)
    same = "" if known is None else f"; nothing has changed since run {known.number}"
    work.complete(
        leased,
        note=f"reconciliation {found.number}{same}",
        result=encode_prepared(prepared),
        opens=[
            Part(_name(number, portion), encode_portion(portion, inputs.readings))
            for number, portion in enumerate(portions(inputs.gathered), 1)
            if known is None
        ],
    )


def divide(leased: Leased) -> None:
    """Divide one portion."""
    portion, readings = decode_portion(leased.material or b"")
    lines = divide_portion(portion, readings)
    with transaction.atomic():
        work.complete(leased, note=f"{len(lines)} lines", result=encode_lines(lines))


def assemble_run(leased: Leased) -> None:
    """Make the run of its portions, once. Where usage, bills or drivers have changed since they
    were read, the month is divided anew, in one piece, under its lock."""
    month, alone = Month.parse(leased.subject), connection.in_atomic_block
    with transaction.atomic():
        lock_month(month)
        if close_of(month) is not None:
            return work.complete(leased, note=CLOSED)
        (raw,) = work.results(leased.run_id, "reconcile")
        with beside(lambda: usage_digest(month.period), alone=alone) as usage:
            run = _assembled(leased, month, decode_prepared(raw), usage)
        return work.complete(leased, note=f"run {run.number}, {run.outputs_digest[:12]}")


def await_close(leased: Leased) -> None:
    """Wait until people have approved and closed the month: the schedule does neither."""
    month = Month.parse(leased.subject)
    with transaction.atomic():
        closed = close_of(month)
        if closed is None:
            raise NotClosed(_wanted(month))
        work.complete(leased, note=f"closed by {closed.closed_by}")


def _assembled(
    leased: Leased, month: Month, prepared: Prepared, usage: Callable[[], str]
) -> AllocationRun:
    now, author = leased.now, _author(leased)
    known = allocation_run.run_of(month, prepared.digest)
    # Put together while the usage is read, since what was divided mostly still holds.
    allocation = None if known is not None else _allocation(leased, prepared)
    digest = allocation_run.digest_by(
        month, prepared.rule, prepared.queries, usage=usage(), now=now
    )
    if digest != prepared.digest:
        return allocation_run.run(month, rule=prepared.rule, author=author, now=now)
    if known is not None:
        return known
    assert allocation is not None
    refuse_if_closed(month)
    version = RuleVersion.objects.get(pk=prepared.version_id)
    identity = RunIdentity(version, prepared.usage, prepared.digest)
    return allocation_run.store(month, identity, allocation, author=author, now=now)


def _allocation(leased: Leased, prepared: Prepared) -> Allocation:
    return assemble(
        {bill: scale for bill, scale, _ in prepared.bills},
        prepared.sources,
        {bill: provider for bill, _, provider in prepared.bills},
        decode_lines(work.results(leased.run_id, "divide")),
    )


def _author(leased: Leased) -> str:
    """A schedule is nobody: its runs name no author, and so take two people to approve and
    close."""
    return "" if leased.author == SCHEDULE else leased.author


def _wanted(month: Month) -> str:
    run = (
        AllocationRun.objects.filter(month=str(month))
        .exclude(state=AllocationRun.State.SUPERSEDED)
        .first()
    )
    if run is None:
        return f"{month} waits for an allocation run: manage.py allocate {month}"
    if run.state == AllocationRun.State.DRAFT:
        return (
            f"run {run.number} of {month} waits for a person to approve it: "
            f"manage.py approve_allocation {month} --as USER"
        )
    return (
        f"run {run.number} of {month} is approved; the month waits for a person to close it: "
        f"manage.py close_period {month} --as USER"
    )


def _name(number: int, portion: Portion) -> str:
    return f"{number:04} bill {portion.bill.bill_id} {portion.bill.currency}: {portion.pool}"


_REFUSALS: Final = (
    MonthIsClosed,
    CannotCompare,
    NoSuchRule,
    InvalidRule,
    AmountTooFine,
    InvalidWeight,
    UnknownCurrency,
)

STEPS: Final = (
    Step("reconcile", reconcile, waits_for=(NoBills, NothingToReconcile), refused_by=_REFUSALS),
    Step("divide", divide),
    Step("assemble", assemble_run, waits_for=(NoBills,), refused_by=_REFUSALS),
    Step("close", await_close, waits_for=(NotClosed,), looks_again=LOOKS_FOR_A_CLOSE),
)
