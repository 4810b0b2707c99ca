"""Approval of invoices: a draft becomes owed only by a second person's word."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from django.db import transaction

from billing import charge_seals
from billing.invoice_run import InvoiceRun, lock_tenant
from billing.models import Invoice
from config.roles import APPROVE_INVOICE
from metering.domain.periods import Month
from metering.people import acting


class NotApproved(ValueError):
    """The invoice cannot be approved by this person now; the message says why."""


def approve_run(result: InvoiceRun, *, by: str, now: datetime) -> InvoiceRun:
    """Approve every draft of a run, all or none, and give the run with their new state.

    Raises `NotApproved`, or `metering.people.NotAllowed` for a person without the right; then no
    draft of the run is approved.
    """
    drafts = {x.invoice_id for x in result.outcomes if x.state == Invoice.State.DRAFT}
    _approve_all(filter(None, drafts), by=by, now=now)
    return replace(
        result,
        outcomes=tuple(
            replace(x, state=Invoice.State.APPROVED) if x.invoice_id in drafts else x
            for x in result.outcomes
        ),
    )


def approve_month(month: Month, *, by: str, now: datetime) -> list[Invoice]:
    """Approve every draft of a cycle that ends in the month, all or none. Raises as `approve_run`
    does."""
    ending = Invoice.objects.filter(
        end_day__gt=month.first_day(), end_day__lte=month.next().first_day()
    )
    drafts = ending.filter(state=Invoice.State.DRAFT).values_list("pk", flat=True)
    return _approve_all(drafts, by=by, now=now)


def _approve_all(drafts: Iterable[int], *, by: str, now: datetime) -> list[Invoice]:
    acting(by, APPROVE_INVOICE)
    with transaction.atomic():
        approved = [_approve(pk, by=by, now=now) for pk in sorted(drafts)]
        charge_seals.seal(approved, now=now)
    return approved


def approve(invoice_id: int, *, by: str, now: datetime) -> Invoice:
    """Approve a draft, and seal it. Approving it again by the same person changes nothing.

    Raises `NotApproved` for one's own draft, for a cycle that has not ended at `now`, and for an
    invoice that is no draft any more; `metering.people.NotAllowed` for a person without the right.
    """
    acting(by, APPROVE_INVOICE)
    with transaction.atomic():
        standing = Invoice.objects.get(pk=invoice_id)
        if standing.state == Invoice.State.APPROVED and standing.approved_by == by:
            return standing
        approved = _approve(invoice_id, by=by, now=now)
        charge_seals.seal([approved], now=now)
        return approved


def _approve(invoice_id: int, *, by: str, now: datetime) -> Invoice:
    invoice = Invoice.objects.get(pk=invoice_id)
    lock_tenant(invoice.tenant)
    invoice.refresh_from_db()
    if invoice.state != Invoice.State.DRAFT:
        raise NotApproved(f"invoice {invoice.pk} is {invoice.state}; only a draft is approved")
    if invoice.author == by:
        raise NotApproved(f"{by} made invoice {invoice.pk}; another person must approve it")
    if now < invoice.cycle_end:
        raise NotApproved(
            f"the cycle of invoice {invoice.pk} ends {invoice.cycle_end:%Y-%m-%d %H:%M} UTC; "
            "approve it after that"
        )
    invoice.state = Invoice.State.APPROVED
    invoice.approved_by = by
    invoice.approved_at = now
    invoice.save(update_fields=["state", "approved_by", "approved_at"])
    return invoice
