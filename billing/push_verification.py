"""Do the invoices that were finalized at Stripe ask there for what they say here?"""

from __future__ import annotations

from collections.abc import Iterator

from billing.domain.stripe_amounts import to_stripe
from billing.models import Invoice, InvoiceLine, StripePush, StripeRequest
from metering.domain.periods import Month
from metering.verification.findings import Finding


def check(month: Month) -> Iterator[Finding]:
    """Every line of a pushed invoice against the item that Stripe confirmed for it."""
    pushes = StripePush.objects.filter(
        state=StripePush.State.FINALIZED,
        invoice__end_day__gt=month.first_day(),
        invoice__end_day__lte=month.next().first_day(),
    )
    by_invoice = {x.invoice_id: x for x in pushes.select_related("invoice").order_by("invoice_id")}
    asked = _asked(by_invoice)
    owed: dict[int, dict[int, int]] = {}
    lines = InvoiceLine.objects.filter(invoice__in=by_invoice).select_related("invoice")
    for line in lines.order_by("position"):
        amount = to_stripe(line.amount_minor, line.invoice.currency)
        owed.setdefault(line.invoice_id, {})[line.position] = amount
    for invoice_id, push in by_invoice.items():
        where = f"invoice {invoice_id} ({push.invoice.tenant}) at Stripe, {push.stripe_invoice}"
        if push.invoice.state != Invoice.State.FINALIZED:
            yield Finding("push", where, f"is finalized there and {push.invoice.state} here")
        ours, theirs = owed.get(invoice_id, {}), asked.get(invoice_id, {})
        for position in sorted(ours.keys() | theirs.keys()):
            if ours.get(position) != theirs.get(position):
                yield Finding(
                    "push",
                    f"{where}, line {position}",
                    f"{ours.get(position)} is owed in Stripe's units, "
                    f"{theirs.get(position)} was asked for",
                )


def _asked(pushes: dict[int, StripePush]) -> dict[int, dict[int, int]]:
    """Stripe's amounts by invoice and line, of the generation that was finalized."""
    asked: dict[int, dict[int, int]] = {}
    requests = StripeRequest.objects.filter(
        invoice__in=pushes,
        purpose=StripeRequest.Purpose.ITEM,
        state=StripeRequest.State.CONFIRMED,
    )
    for request in requests:
        push = pushes[request.invoice_id]
        stem, _, position = request.stem.rpartition("-")
        if stem == f"apportion-{push.reference}-{push.generation}-item":
            asked.setdefault(request.invoice_id, {})[int(position)] = int(request.params["amount"])
    return asked
