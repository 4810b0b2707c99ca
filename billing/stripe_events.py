"""Webhooks: stored as received, then applied once.

What an event about an invoice of ours tells are dates (finalized, paid, voided, uncollectible),
each of which holds whatever comes before or after it; so events may come late, twice and in any
order. Events of other kinds, and of objects that are not ours, are kept and acknowledged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from billing.domain.stripe_amounts import to_stripe
from billing.domain.stripe_invoice import Difference, NotAnInvoice, RemoteInvoice, remote_invoice
from billing.models import StripeEvent, StripeEventOutcome, StripePush
from billing.stripe_gateway import verify_webhook
from billing.stripe_standing import note, record

BATCH: Final = 200
_Outcome = StripeEventOutcome.Outcome


class WebhooksNotConfigured(RuntimeError):
    """STRIPE_WEBHOOK_SECRET is not set, so no webhook can be believed."""


class NotAnEvent(ValueError):
    """The signed body is no event of Stripe's."""


class _Envelope(msgspec.Struct):
    """What is read of any event; the rest stays in the stored body."""

    id: str
    type: str
    created: int
    object: str
    livemode: bool = False


class _About(msgspec.Struct):
    object: dict[str, Any]


class _Content(msgspec.Struct):
    data: _About


@dataclass(frozen=True, slots=True)
class Applied:
    """How many events were applied, by outcome."""

    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def receive(body: bytes, signature: str, *, now: datetime) -> StripeEvent:
    """Keep a webhook whose signature holds, byte for byte; sent again, it is the one that is there.

    Raises `WebhooksNotConfigured`, `WebhookRefused` and `NotAnEvent`; then nothing is kept.
    """
    if not settings.STRIPE_WEBHOOK_SECRET:
        raise WebhooksNotConfigured(
            "STRIPE_WEBHOOK_SECRET is not set; set it to the signing secret (whsec_…) that Stripe "
            "shows for this webhook endpoint"
        )
    verify_webhook(body, signature, settings.STRIPE_WEBHOOK_SECRET)
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
    except msgspec.DecodeError as wrong:
        raise NotAnEvent(f"the body is no event of Stripe's: {wrong}") from wrong
    if envelope.object != "event":
        raise NotAnEvent(f"the body is a {envelope.object!r} and no event")
    event, _ = StripeEvent.objects.get_or_create(
        event=envelope.id,
        defaults={
            "type": envelope.type,
            "created_at": datetime.fromtimestamp(envelope.created, UTC),
            "received_at": now,
            "livemode": envelope.livemode,
            "digest": hashlib.sha256(body).hexdigest(),
            "body": body,
        },
    )
    return event


def apply_pending(*, now: datetime, limit: int = BATCH) -> Applied:
    """Apply the events that nobody has applied yet, oldest first, each in a transaction of its
    own. Two at once, or a repetition, apply nothing twice."""
    pending = StripeEvent.objects.filter(outcome=None).order_by("created_at", "id")
    counts: dict[str, int] = {}
    for event_id in list(pending.values_list("pk", flat=True)[:limit]):
        outcome = apply(event_id, now=now)
        if outcome is not None:
            counts[outcome.outcome] = counts.get(outcome.outcome, 0) + 1
    return Applied(counts)


def apply(event_id: int, *, now: datetime) -> StripeEventOutcome | None:
    """Apply one event; nothing if it was applied before."""
    with transaction.atomic():
        event = StripeEvent.objects.select_for_update().get(pk=event_id)
        if StripeEventOutcome.objects.filter(event=event).exists():
            return None
        outcome, push, message = _effect(event, now)
        return StripeEventOutcome.objects.create(
            event=event,
            outcome=outcome,
            invoice=None if push is None else push.invoice,
            applied_at=now,
            message=message,
        )


def _effect(event: StripeEvent, now: datetime) -> tuple[_Outcome, StripePush | None, str]:
    if not event.type.startswith("invoice."):
        return _Outcome.IGNORED, None, "not about an invoice"
    try:
        content = msgspec.json.decode(bytes(event.body), type=_Content).data.object
        if content.get("object") != "invoice":
            return _Outcome.IGNORED, None, f"about a {content.get('object')}, no invoice"
        held = remote_invoice(content)
    except (msgspec.DecodeError, NotAnInvoice) as wrong:
        return _Outcome.REFUSED, None, str(wrong)
    named = Q(stripe_invoice=held.id) | (Q(reference=held.reference) & ~Q(reference=""))
    push = StripePush.objects.select_related("invoice").filter(named).first()
    if push is None:
        return _Outcome.IGNORED, None, f"{held.id} is no invoice of ours"
    if push.stripe_invoice not in (None, held.id):
        found = Difference(
            held.id,
            f"is {held.status} and names itself invoice {push.invoice_id}, which is "
            f"{push.stripe_invoice}",
        )
        note(push.invoice_id, held.id, [found], now=now)
        return _Outcome.REFUSED, push, found.what
    note(push.invoice_id, held.id, _findings(event, push, held), now=now)
    told = record(push.invoice, held, now=now, event=event)
    return _Outcome.APPLIED, push, f"{held.status}; {told} dates that were not known"


def _findings(event: StripeEvent, push: StripePush, held: RemoteInvoice) -> list[Difference]:
    """What a person has to see: Stripe could not finalize, or did over another total than ours."""
    found = []
    if event.type == "invoice.finalization_failed":
        found.append(Difference("finalizing", held.finalization_error or "Stripe says no reason"))
    ours = to_stripe(push.invoice.total_minor, push.invoice.currency)
    if held.status != "draft" and (held.total, held.currency) != (ours, push.invoice.currency):
        found.append(
            Difference(
                f"{held.status} total",
                f"ours is {ours} {push.invoice.currency}, Stripe's {held.total} {held.currency}",
            )
        )
    return found
