"""Where an invoice stands at Stripe: open, uncollectible, paid or void, each since when."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from billing.domain.stripe_invoice import Difference, RemoteInvoice
from billing.models import Invoice, InvoiceStanding, StripeEvent, StripeFinding

_SINCE: Final = {
    "finalized_at": InvoiceStanding.Standing.OPEN,
    "marked_uncollectible_at": InvoiceStanding.Standing.UNCOLLECTIBLE,
    "paid_at": InvoiceStanding.Standing.PAID,
    "voided_at": InvoiceStanding.Standing.VOID,
}
"""Stripe's dates of an invoice, by what begins then; a later one replaces those before it."""

_ORDER: Final = {standing.value: rank for rank, standing in enumerate(_SINCE.values())}


def record(
    invoice: Invoice, held: RemoteInvoice, *, now: datetime, event: StripeEvent | None = None
) -> int:
    """Keep every date that Stripe's invoice tells and that is not known yet; how many those are.

    Dates are told again by each later state of the invoice, so a message that is lost, late or
    out of order loses nothing.
    """
    known = set(invoice.standings.values_list("standing", flat=True))
    told = [
        InvoiceStanding(
            invoice=invoice,
            standing=standing,
            since=held.transitions[name],
            learnt_at=now,
            event=event,
        )
        for name, standing in _SINCE.items()
        if name in held.transitions and standing not in known
    ]
    InvoiceStanding.objects.bulk_create(told, ignore_conflicts=True)
    return len(told)


def standing_of(invoice: Invoice) -> InvoiceStanding | None:
    """Where it stands now; nothing before it is finalized at Stripe."""
    return max(invoice.standings.all(), key=lambda x: _ORDER[x.standing], default=None)


def note(invoice_id: int, stripe_invoice: str, found: list[Difference], *, now: datetime) -> None:
    """Keep what was found, once each."""
    for where, what in found:
        StripeFinding.objects.get_or_create(
            invoice_id=invoice_id,
            stripe_invoice=stripe_invoice,
            where=where,
            what=what,
            defaults={"found_at": now},
        )
