"""Approving a run, closing a month, and reopening it: who may, when, and what is put on record.

Each holds the month's lock for its transaction, so that of two at once the second sees what the
first did. What a close asserts is in its row; what it prevents is in the database's triggers.
Usage that arrives late is still taken in: it belongs to a correction in the next open month.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from allocation import statements
from allocation.allocation_run import digest_now
from allocation.close_readiness import readiness
from allocation.closed_months import close_of
from allocation.domain.readiness import QUESTIONS, Readiness
from allocation.models import AllocationRun, PeriodClose, PeriodReopening, RunApproval
from allocation.period_locks import lock_month
from allocation.read_ahead import ReadAhead, proofs, read_ahead
from allocation.run_book import NothingAllocated, current_run
from config.history import because
from config.roles import APPROVE_RUN, CLOSE_PERIOD, REOPEN_PERIOD
from metering import seals
from metering.domain.periods import Month
from metering.evidence import Evidence
from metering.people import acting
from metering.readings import usage_digest

__all__ = ["CloseRefused", "NotReady", "approve", "close", "readiness", "reopen"]


class CloseRefused(ValueError):
    """Approval, close or reopening is refused; the message says why and what to do instead."""


class NotReady(CloseRefused):
    """The month cannot be closed yet; `readiness` says what is missing."""

    def __init__(self, found: Readiness) -> None:
        self.readiness = found
        super().__init__(
            f"{found.month} cannot be closed: "
            + "; ".join(f"{missing} ({remedy})" for missing, remedy in found.findings)
        )


def approve(run: AllocationRun, *, by: str, now: datetime) -> RunApproval:
    """Agree with a draft run, by a person other than its author; issues its statements.

    Refused if anything beneath the run has changed since it was made. Raises `CloseRefused`, or
    `metering.people.NotAllowed` for a person without the right.
    """
    with transaction.atomic():
        acting(by, APPROVE_RUN)
        month = Month.parse(run.month)
        lock_month(month)
        _refuse_if_closed(month)
        run = AllocationRun.objects.select_related("rule_version").get(pk=run.pk)
        _refuse_unapprovable(run, month, by)
        _refuse_if_changed(run, month, now=now)
        return _approve(run, by=by, now=now)


def close(month: Month, *, by: str, now: datetime, accept_unexplained: str = "") -> PeriodClose:
    """Close the month on its current run, if all four questions are answered with yes.

    A draft run is approved in the same act, if the person may and is not its author. Where no
    author is named, who approved and who closes are two people. The month is sealed with it.
    `accept_unexplained` is the person's reason for closing with a difference beyond the
    tolerance. Raises `NotReady` with the answers, `CloseRefused`, or `metering.people.NotAllowed`
    for a person without the right.
    """
    alone = connection.in_atomic_block
    with transaction.atomic():
        acting(by, CLOSE_PERIOD)
        lock_month(month)
        _refuse_if_closed(month)
        with read_ahead(month, _run_that_counts(month), now=now, alone=alone) as ahead:
            found = readiness(month, now=now, accept_unexplained=accept_unexplained)
            if not found.ready:
                raise NotReady(found)
            run = _approved_run(month, by=by, now=now, ahead=ahead)
            sealed = seals.seal(month, now=now, found=ahead.buckets())
        approval = RunApproval.objects.get(run=run)
        run.state = AllocationRun.State.CLOSED
        run.save(update_fields=["state"])
        with because(accept_unexplained):
            return PeriodClose.objects.create(
                month=str(month),
                sequence=PeriodClose.objects.filter(month=str(month)).count() + 1,
                run=run,
                prepared_by=run.author,
                approved_by=approval.approved_by,
                closed_by=by,
                closed_at=now,
                run_digest=run.outputs_digest,
                inputs_digest=run.inputs_digest,
                usage_digest=run.usage_digest,
                totals=totals_of(run),
                answers=readiness_value(found)["answers"],
                seals={seal.book: seal.root for seal in sealed},
            )


def _approved_run(month: Month, *, by: str, now: datetime, ahead: ReadAhead) -> AllocationRun:
    """The month's run, approved and with its statements issued: in this act, if it was not."""
    run = current_run(month)
    if run.state == AllocationRun.State.DRAFT:
        acting(by, APPROVE_RUN)
        _refuse_unapprovable(run, month, by)
        _refuse_to_sign_twice(run, approved_by=by, by=by)
        _approve(run, by=by, now=now, proofs=ahead.proofs)
    approval = RunApproval.objects.get(run=run)
    _refuse_to_sign_twice(run, approved_by=approval.approved_by, by=by)
    statements.issue(run, now=now, proofs=ahead.proofs)
    return run


def _run_that_counts(month: Month) -> int | None:
    try:
        return current_run(month).pk
    except NothingAllocated:
        return None


def reopen(month: Month, *, reason: str, by: str, now: datetime) -> PeriodReopening:
    """Undo a close, for a reason, by a person other than the one who closed. Both stay on
    record."""
    with transaction.atomic():
        acting(by, REOPEN_PERIOD)
        if not reason.strip():
            raise CloseRefused(f'reopening {month} needs a reason: --reason "…"')
        lock_month(month)
        closed = close_of(month)
        if closed is None:
            raise CloseRefused(f"{month} is not closed, so there is nothing to reopen")
        if closed.closed_by == by:
            raise CloseRefused(f"{month} was closed by {by}; another person reopens it: --as USER")
        with because(reason):
            reopening = PeriodReopening.objects.create(
                close=closed, reason=reason.strip(), reopened_by=by, reopened_at=now
            )
            closed.run.state = AllocationRun.State.APPROVED
            closed.run.save(update_fields=["state"])
        return reopening


def readiness_value(found: Readiness) -> dict[str, Any]:
    """The answers as plain JSON values."""
    return {
        "period": str(found.month),
        "ready": found.ready,
        "answers": [
            {
                "question": answer.question,
                "text": QUESTIONS[answer.question],
                "yes": answer.yes,
                "facts": list(answer.facts),
                "findings": [finding._asdict() for finding in answer.findings],
            }
            for answer in found.answers
        ],
    }


def close_value(row: PeriodClose) -> dict[str, Any]:
    """A close as plain JSON values."""
    return {
        "period": row.month,
        "closed": True,
        "sequence": row.sequence,
        "run": row.run.number,
        "prepared_by": row.prepared_by,
        "approved_by": row.approved_by,
        "closed_by": row.closed_by,
        "closed_at": row.closed_at.isoformat(),
        "run_digest": row.run_digest,
        "inputs_digest": row.inputs_digest,
        "usage_digest": row.usage_digest,
        "totals": row.totals,
        "answers": row.answers,
        "seals": row.seals,
    }


def _refuse_unapprovable(run: AllocationRun, month: Month, by: str) -> None:
    match run.state:
        case AllocationRun.State.APPROVED:
            raise CloseRefused(
                f"run {run.number} of {month} was approved by {run.approval.approved_by} already"
            )
        case AllocationRun.State.SUPERSEDED:
            raise CloseRefused(f"run {run.number} of {month} was superseded by a later one")
        case _:
            pass
    if run.author == by:
        raise CloseRefused(
            f"run {run.number} of {month} was made by {by}; another person approves it: "
            f"manage.py approve_allocation {month} --as USER"
        )


def _approve(
    run: AllocationRun,
    *,
    by: str,
    now: datetime,
    proofs: Callable[[Month, Sequence[str]], list[Evidence]] = proofs,
) -> RunApproval:
    statements.issue(run, now=now, proofs=proofs)
    approval = RunApproval.objects.create(
        run=run, approved_by=by, approved_at=now, outputs_digest=run.outputs_digest
    )
    run.state = AllocationRun.State.APPROVED
    run.save(update_fields=["state"])
    return approval


def _refuse_if_changed(run: AllocationRun, month: Month, *, now: datetime) -> None:
    if digest_now(run, usage=usage_digest(month.period), now=now) != run.inputs_digest:
        raise CloseRefused(
            f"usage, bills or drivers of {month} have changed since run {run.number}; "
            f"make it again: manage.py allocate {month}"
        )


def _refuse_if_closed(month: Month) -> None:
    closed = close_of(month)
    if closed is not None:
        raise CloseRefused(
            f"{month} is closed already: by {closed.closed_by} on {closed.closed_at:%Y-%m-%d}, on "
            f"run {closed.run.number}; to change it, another person reopens it: "
            f'manage.py reopen_period {month} --reason "…" --as USER'
        )


def _refuse_to_sign_twice(run: AllocationRun, *, approved_by: str, by: str) -> None:
    if not run.author and approved_by == by:
        raise CloseRefused(
            f"nobody is named as the author of run {run.number} of {run.month}, so who approves "
            f"it and who closes the month are two people: let another than {by} do one of them "
            f"(manage.py approve_allocation {run.month} --as USER), or name the author of the "
            f"next run (manage.py allocate {run.month} --as USER)"
        )


def totals_of(run: AllocationRun) -> list[dict[str, Any]]:
    """What the run's bills come to in each currency, in minor units, as a close names it."""
    totals: dict[str, int] = {}
    for bill in run.bills.order_by("currency"):
        totals[bill.currency] = totals.get(bill.currency, 0) + bill.payable_minor
    return [{"currency": key, "amount_minor": minor} for key, minor in totals.items()]
