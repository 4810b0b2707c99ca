"""Pushing approved invoices as work: a part for each, done by any worker, however often tried.

`billing.push` has its own lease and finds each step it has taken, so a part may be begun anew by
another worker at any time. What Stripe does not answer waits; what it refuses waits for a person.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from billing.models import Invoice
from billing.push import push
from billing.stripe_gateway import StripeGateway, StripeNotConfigured
from config.roles import PUSH_INVOICE
from metering.background import work
from metering.background.flows import Flow, Leased, Part, Step, register
from metering.background.work import Started
from metering.domain.digests import digest_of
from metering.people import acting

KIND: Final = "push"
LOOKS_AGAIN: Final = timedelta(minutes=5)


class NothingToPush(ValueError):
    """None of the invoices is approved and not yet at Stripe."""


class StripeSilent(RuntimeError):
    """Stripe gave no answer, or another push of the invoice is under way; the message says which.
    What was done is looked up by the next try."""


class PushStopped(ValueError):
    """Stripe, or what it holds, is not as it must be; the message says what a person has to do."""


def start(invoice_ids: Collection[int], *, by: str, now: datetime) -> Started:
    """Start pushing those of the invoices that are approved, by a person with the right to; the
    same ones again joins what is at work.

    Raises `StripeNotConfigured`, `NothingToPush`, or `metering.people.NotAllowed`.
    """
    with transaction.atomic():
        acting(by, PUSH_INVOICE)
        StripeGateway.of_settings()
        approved = Invoice.objects.filter(pk__in=invoice_ids, state=Invoice.State.APPROVED)
        chosen = sorted(approved.values_list("pk", flat=True))
        if not chosen:
            raise NothingToPush("none of these invoices is approved and waits to be pushed")
        return work.start(
            KIND, _subject(chosen), author=by, now=now, arguments={"invoices": chosen}
        )


def open_parts(leased: Leased) -> None:
    """Open a part for each invoice."""
    chosen = Invoice.objects.filter(pk__in=leased.arguments["invoices"])
    named = chosen.order_by("tenant", "pk").values_list("pk", "tenant")
    with transaction.atomic():
        work.complete(
            leased,
            opens=[Part(f"invoice {key} ({tenant})", str(key).encode()) for key, tenant in named],
        )


def push_invoice(leased: Leased) -> None:
    """Push one invoice. The part is completed after it, not with it: done twice, the second finds
    it done."""
    outcome = push(int(leased.material or b""), now=leased.at)
    if outcome.status in ("later", "busy"):
        raise StripeSilent(outcome.message)
    if not outcome.done:
        raise PushStopped(outcome.message)
    with transaction.atomic():
        work.complete(leased, note=f"{outcome.status}: {outcome.number}")


def _subject(chosen: list[int]) -> str:
    if len(chosen) == 1:
        return f"invoice {chosen[0]}"
    return f"{len(chosen)} invoices, {chosen[0]} to {chosen[-1]} ({digest_of(chosen)[:8]})"


FLOW: Final = register(
    Flow(
        KIND,
        (
            Step("invoices", open_parts),
            Step(
                "push",
                push_invoice,
                waits_for=(StripeSilent,),
                looks_again=LOOKS_AGAIN,
                refused_by=(PushStopped, StripeNotConfigured),
            ),
        ),
    )
)
