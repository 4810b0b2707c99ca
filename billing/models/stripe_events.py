"""What Stripe told by webhook, as received, and what became of it."""

from __future__ import annotations

from django.db import models

from billing.models.guards import written_once
from billing.models.invoices import Invoice


class StripeEvent(models.Model):
    """A webhook with a good signature, byte for byte; kept once however often it is sent."""

    event = models.TextField(unique=True)
    type = models.TextField()
    created_at = models.DateTimeField()
    received_at = models.DateTimeField()
    livemode = models.BooleanField()
    digest = models.TextField()
    body = models.BinaryField()

    class Meta:
        db_table = "stripe_event"
        triggers = written_once("stripe_event")

    def __str__(self) -> str:
        return f"{self.event} {self.type}"


class StripeEventOutcome(models.Model):
    """That an event was applied, and what that came to. An event without one is pending."""

    class Outcome(models.TextChoices):
        APPLIED = "applied"
        IGNORED = "ignored"
        REFUSED = "refused"

    event = models.OneToOneField(StripeEvent, on_delete=models.PROTECT, related_name="outcome")
    outcome = models.TextField(choices=Outcome.choices)
    invoice = models.ForeignKey(
        Invoice, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    applied_at = models.DateTimeField()
    message = models.TextField(blank=True, default="")

    class Meta:
        db_table = "stripe_event_outcome"
        triggers = written_once("stripe_event_outcome")

    def __str__(self) -> str:
        return f"{self.event_id}: {self.outcome}"


class InvoiceStanding(models.Model):
    """Since when an invoice is open, paid, void or uncollectible at Stripe, by Stripe's clock.

    Stripe's invoices never return to a standing they have left, so each is told at most once, and
    the order in which they are told does not matter (`billing.stripe_standing`).
    """

    class Standing(models.TextChoices):
        OPEN = "open"
        UNCOLLECTIBLE = "uncollectible"
        PAID = "paid"
        VOID = "void"

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="standings")
    standing = models.TextField(choices=Standing.choices)
    since = models.DateTimeField()
    learnt_at = models.DateTimeField()
    event = models.ForeignKey(
        StripeEvent, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        db_table = "invoice_standing"
        constraints = [
            models.UniqueConstraint(
                fields=["invoice", "standing"], name="one_date_per_invoice_standing"
            )
        ]
        triggers = written_once("invoice_standing")

    def __str__(self) -> str:
        return f"invoice {self.invoice_id} {self.standing} since {self.since:%Y-%m-%d}"
