"""An approved invoice to Stripe: draft, items, read back, compare, finalize.

What Stripe holds is compared with ours line by line before it is finalized; a difference is kept
as a finding and nothing is finalized. A push may be killed anywhere, repeated, or run twice at
once: each step is found again or made once (`billing.stripe_requests`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final, Literal

from django.db import IntegrityError, transaction

from billing.domain.stripe_amounts import Unrepresentable
from billing.domain.stripe_invoice import (
    Difference,
    LineTerms,
    NotAnInvoice,
    RemoteInvoice,
    TooManyLines,
    Wanted,
    wanted,
)
from billing.models import Invoice, StripePush
from billing.push_steps import MadeAtStripe, PushRefused
from billing.stripe_gateway import (
    StripeGateway,
    StripeNotConfigured,
    StripeRefused,
    StripeUnavailable,
)
from billing.stripe_requests import Clock, Lease, LeaseLost
from billing.stripe_standing import note, record
from metering.domain.digests import digest_of
from metering.domain.money import plain

__all__ = ["PushOutcome", "StripeNotConfigured", "push", "push_all"]

Status = Literal["finalized", "already", "refused", "busy", "later"]
_State = StripePush.State
_REFERENCE_LENGTH: Final = 32


@dataclass(frozen=True, slots=True)
class PushOutcome:
    """What became of one invoice.

    `finalized` now; `already` before; `refused` needs a person (the message says what for, and
    differences are kept as findings); `busy`: another works on it; `later`: Stripe gave no answer,
    and what it did is looked up by the next push.
    """

    invoice_id: int
    tenant: str
    status: Status
    stripe_invoice: str = ""
    number: str = ""
    message: str = ""

    @property
    def done(self) -> bool:
        return self.status in ("finalized", "already")


def push(invoice_id: int, *, now: datetime, gateway: StripeGateway | None = None) -> PushOutcome:
    """Bring one approved invoice to Stripe and finalize it there and here.

    Call it outside of any transaction. Repeating it is harmless; after a kill, the next push waits
    until the lease of the killed one has ended. Raises `StripeNotConfigured`.
    """
    stripe = gateway or StripeGateway.of_settings()
    invoice = Invoice.objects.get(pk=invoice_id)
    if invoice.state == Invoice.State.FINALIZED:
        return _already(invoice)
    if invoice.state != Invoice.State.APPROVED:
        return _outcome(invoice, "refused", f"it is {invoice.state}; only approved ones are pushed")
    try:
        asked = _wanted(invoice, stripe.account)
    except (TooManyLines, Unrepresentable, PushRefused) as wrong:
        return _outcome(invoice, "refused", str(wrong))
    row = _begin(invoice, asked, stripe.account, now)
    if row.account != stripe.account:
        return _outcome(
            invoice,
            "refused",
            f"its push began in Stripe's account {row.account}; the key is of {stripe.account}",
        )
    lease = Lease.take(row.pk, Clock(now))
    if lease is None:
        invoice.refresh_from_db()
        if invoice.state == Invoice.State.FINALIZED:
            return _already(invoice)
        return _outcome(invoice, "busy", "another push of it is under way, or was cut off lately")
    return _leased(invoice, asked, stripe, lease)


def push_all(invoice_ids: Iterable[int], *, now: datetime) -> Iterator[PushOutcome]:
    """Push invoices one after the other. Raises `StripeNotConfigured`, before any of them."""
    gateway = StripeGateway.of_settings()
    return (push(invoice_id, now=now, gateway=gateway) for invoice_id in invoice_ids)


def _leased(invoice: Invoice, asked: Wanted, gateway: StripeGateway, lease: Lease) -> PushOutcome:
    try:
        return _Push(invoice, asked, gateway, lease).outcome()
    except PushRefused as refusal:
        return _refuse(invoice, lease, refusal)
    except (StripeRefused, NotAnInvoice) as refused:
        return _refuse(invoice, lease, PushRefused(str(refused)))
    except StripeUnavailable as unavailable:
        lease.give_back()
        return _outcome(invoice, "later", str(unavailable))
    except LeaseLost as lost:
        return _outcome(invoice, "busy", str(lost))
    except Exception:
        lease.let_go()
        raise


class _Push:
    """The steps of one push, each of which may already have been taken."""

    def __init__(
        self, invoice: Invoice, asked: Wanted, gateway: StripeGateway, lease: Lease
    ) -> None:
        self._invoice = invoice
        self._asked = asked
        self._lease = lease
        self._stripe = MadeAtStripe(asked, gateway, lease, since=invoice.created_at)

    def outcome(self) -> PushOutcome:
        customer = self._stripe.customer()
        self._lease.tell(state=_State.INTENDED, customer=customer, message="")
        draft = self._stripe.draft(customer, self._row.generation, self._row.stripe_invoice)
        self._lease.tell(state=_State.DRAFTED, stripe_invoice=draft.id, generation=draft.generation)
        self._stripe.items(customer, draft)
        held = self._compared(customer, draft.id)
        if held.status == "draft":
            self._lease.tell(state=_State.COMPARED)
            held = self._stripe.finalize(draft)
        self._done(held)
        return _outcome(self._invoice, "finalized", stripe_invoice=held.id, number=held.number)

    @cached_property
    def _row(self) -> StripePush:
        return StripePush.objects.get(pk=self._lease.push_id)

    def _compared(self, customer: str, stripe_invoice: str) -> RemoteInvoice:
        """The invoice as Stripe holds it, which is the one that was asked for."""
        held, found = self._stripe.compare(customer, stripe_invoice)
        if found:
            raise PushRefused(
                f"Stripe's {held.status} invoice {held.id} is not ours: "
                + "; ".join(f"{where}: {what}" for where, what in found[:3])
                + ". Delete it at Stripe (void it, if it is no draft) and push again",
                stripe_invoice=held.id,
                found=found,
            )
        return held

    def _done(self, held: RemoteInvoice) -> None:
        """Finalized at Stripe: so it is here, and when and under which number Stripe says."""
        at = held.transitions.get("finalized_at")
        if at is None or held.total != self._asked.total:
            raise PushRefused(
                f"Stripe finalized {held.id} over {held.total}, and {self._asked.total} was asked "
                "for: void it at Stripe and push again",
                stripe_invoice=held.id,
                found=[
                    Difference(
                        "after finalizing", f"ours is {self._asked.total}, Stripe's {held.total}"
                    )
                ],
            )
        try:
            self._finalize_here(held, at)
        except IntegrityError as clash:
            raise PushRefused(
                f"Stripe numbered {held.id} {held.number}, which is another invoice's number here",
                stripe_invoice=held.id,
            ) from clash

    def _finalize_here(self, held: RemoteInvoice, at: datetime) -> None:
        now = self._lease.clock.now()
        done = {"state": _State.FINALIZED, "finalized_at": at, "message": "", "lease_until": None}
        with self._lease.step(**done):
            Invoice.objects.filter(pk=self._invoice.pk, state=Invoice.State.APPROVED).update(
                state=Invoice.State.FINALIZED, number=held.number or held.id, finalized_at=at
            )
            record(self._invoice, held, now=now)


def _wanted(invoice: Invoice, account: str) -> Wanted:
    lines = [
        LineTerms(
            line.position,
            line.description,
            line.amount_minor,
            {
                "apportion_kind": line.kind,
                "apportion_charge": line.charge_code,
                "apportion_quantity": plain(line.quantity),
                "apportion_unit": line.unit,
                "apportion_unit_price": plain(line.unit_price),
                "apportion_per": str(line.per),
                "apportion_evidence_count": str(line.evidence_count),
                "apportion_evidence_digest": line.evidence_digest,
            },
        )
        for line in invoice.lines.order_by("position")
    ]
    if not lines:
        raise PushRefused("it has no lines, so there is nothing to push; it stays approved")
    return wanted(
        reference=_reference(invoice, account),
        invoice_id=invoice.pk,
        tenant=invoice.tenant,
        currency=invoice.currency,
        period=invoice.period,
        outputs_digest=invoice.outputs_digest,
        lines=lines,
    )


def _reference(invoice: Invoice, account: str) -> str:
    """Names this invoice of this database, also after the database was restored: the instant of
    its making tells it from invoices of the same number in other databases."""
    named = {
        "account": account,
        "invoice": invoice.pk,
        "tenant": invoice.tenant,
        "created_at": invoice.created_at,
        "outputs": invoice.outputs_digest,
    }
    return digest_of(named)[:_REFERENCE_LENGTH]


def _begin(invoice: Invoice, asked: Wanted, account: str, now: datetime) -> StripePush:
    with transaction.atomic(durable=True):
        row, _ = StripePush.objects.get_or_create(
            invoice=invoice,
            defaults={"account": account, "reference": asked.reference, "begun_at": now},
        )
        return row


def _refuse(invoice: Invoice, lease: Lease, refusal: PushRefused) -> PushOutcome:
    message = str(refusal)
    try:
        with lease.step(state=_State.REFUSED, message=message, lease_until=None):
            found = refusal.found or [Difference("push", message)]
            note(invoice.pk, refusal.stripe_invoice, found, now=lease.clock.now())
    except LeaseLost as lost:
        return _outcome(invoice, "busy", str(lost))
    return _outcome(invoice, "refused", message, stripe_invoice=refusal.stripe_invoice)


def _already(invoice: Invoice) -> PushOutcome:
    row = StripePush.objects.filter(invoice=invoice).first()
    stripe_invoice = (row.stripe_invoice or "") if row else ""
    return _outcome(invoice, "already", stripe_invoice=stripe_invoice, number=invoice.number or "")


def _outcome(
    invoice: Invoice,
    status: Status,
    message: str = "",
    *,
    stripe_invoice: str = "",
    number: str = "",
) -> PushOutcome:
    return PushOutcome(invoice.pk, invoice.tenant, status, stripe_invoice, number, message)
