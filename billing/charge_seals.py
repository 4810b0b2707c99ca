"""The charge book: what has become owed is sealed when it is approved, and held against its seal.

A seal's bucket is one invoice: its digest covers who owes what for which cycle, on which inputs
and lines, and whose two names stand under it. What comes later (its number, Stripe, voiding) is
not in it: that an approved invoice was voided is told by the invoice, which is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby

from django.db.models import Sum

from billing.models import Invoice, InvoiceLine
from metering import seals
from metering.domain.digests import digest_of
from metering.domain.periods import Month
from metering.seals import Bucket
from metering.verification.findings import Finding


def seal(invoices: Iterable[Invoice], *, now: datetime) -> None:
    """Seal invoices that are being approved: one seal for each month that their cycles end in.
    Belongs into the transaction that approves them."""
    by_month = sorted(invoices, key=month_of)
    events = _events([invoice.pk for invoice in by_month])
    for month, approved in groupby(by_month, key=month_of):
        found = [_bucket(invoice, events.get(invoice.pk, 0)) for invoice in approved]
        seals.seal_charges(month, found, now=now)


def month_of(invoice: Invoice) -> Month:
    """The month that the cycle ends in: of its last day, by the customer's clock."""
    last = invoice.end_day - timedelta(days=1)
    return Month(last.year, last.month)


def check(month: Month) -> Iterator[Finding]:
    """Approved invoices that are not as they were sealed, or never were; sealed ones that are
    gone."""
    sealed = seals.sealed_charges(month)
    approved = Invoice.objects.filter(
        end_day__gt=month.first_day(),
        end_day__lte=month.next().first_day(),
        approved_by__isnull=False,
    ).order_by("tenant", "cycle_start", "pk")
    events = _events([invoice.pk for invoice in approved])
    standing = set()
    for invoice in approved:
        bucket = _bucket(invoice, events.get(invoice.pk, 0))
        standing.add(bucket)
        if bucket not in sealed:
            yield Finding(
                "seal of the charge book",
                f"invoice {invoice.pk} ({invoice.tenant})",
                "it is not as it was sealed when it was approved, or was approved without a seal",
            )
    for bucket in sealed:
        if bucket not in standing:
            yield Finding(
                "seal of the charge book",
                f"{bucket.tenant}, cycle until {bucket.hour_at:%Y-%m-%d %H:%M} UTC",
                "no approved invoice is as it was sealed",
            )


def _events(invoices: list[int]) -> dict[int, int]:
    """How many events stand beneath the lines of each invoice, added up."""
    counted = InvoiceLine.objects.filter(invoice__in=invoices).values_list("invoice")
    return dict(counted.annotate(Sum("evidence_count")).order_by())


def _bucket(invoice: Invoice, events: int) -> Bucket:
    content = (
        invoice.pk,
        invoice.tenant,
        invoice.cycle_start,
        invoice.cycle_end,
        invoice.currency,
        invoice.total_minor,
        invoice.inputs_digest,
        invoice.outputs_digest,
        invoice.author,
        invoice.approved_by,
        invoice.approved_at,
    )
    return Bucket(invoice.tenant, invoice.cycle_end, events, digest_of(content))
