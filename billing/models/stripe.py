"""What Stripe was asked for an invoice, and what it answered.

A push is the work of bringing one approved invoice to Stripe, under a lease. Each call that makes
something there is a request: its row is committed before the call, so that whoever comes after a
kill knows what may have happened.
"""

from __future__ import annotations

import pgtrigger
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q

from billing.models.guards import no_truncate, written_once
from billing.models.invoices import Invoice


class StripeCustomer(models.Model):
    """Who a tenant is at Stripe, in one account (`live`, `test`, or another address's host). One
    that was deleted there is gone, and another takes its place."""

    tenant = models.TextField()
    account = models.TextField()
    customer = models.TextField()
    found_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "stripe_customer"
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "account"],
                condition=Q(gone_at__isnull=True),
                name="one_stripe_customer_per_tenant",
            ),
            models.UniqueConstraint(
                fields=["account", "customer"], name="one_tenant_per_stripe_customer"
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(name="stripe_customer_fixed", exclude=["gone_at"]),
            pgtrigger.Protect(name="stripe_customer_kept", operation=pgtrigger.Delete),
            no_truncate("stripe_customer_not_emptied"),
        ]

    def __str__(self) -> str:
        return f"{self.tenant} is {self.customer}"


class StripePush(models.Model):
    """The push of one invoice. Only who holds the `fence` may go on, until `lease_until`.

    `reference` stands in the metadata of all that is made for the invoice. A draft that was deleted
    at Stripe is made anew in the next `generation`.
    """

    class State(models.TextChoices):
        INTENDED = "intended"
        DRAFTED = "drafted"
        COMPARED = "compared"
        REFUSED = "refused"
        FINALIZED = "finalized"

    invoice = models.OneToOneField(Invoice, on_delete=models.PROTECT, related_name="push")
    account = models.TextField()
    reference = models.TextField(unique=True)
    generation = models.PositiveSmallIntegerField(default=1)
    state = models.TextField(choices=State.choices, default=State.INTENDED)
    customer = models.TextField(blank=True, default="")
    stripe_invoice = models.TextField(null=True, blank=True, unique=True)
    message = models.TextField(blank=True, default="")
    begun_at = models.DateTimeField()
    finalized_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "stripe_push"
        constraints = [
            models.CheckConstraint(
                condition=Q(state="finalized", finalized_at__isnull=False)
                | ~Q(state="finalized") & Q(finalized_at__isnull=True),
                name="push_finalized_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["intended", "refused"])
                | Q(stripe_invoice__isnull=False) & ~Q(customer=""),
                name="push_names_what_it_made",
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="push_fixed", fields=["invoice", "account", "reference", "begun_at"]
            ),
            pgtrigger.Protect(
                name="push_done_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__state="finalized"),
            ),
            pgtrigger.Protect(name="push_kept", operation=pgtrigger.Delete),
            no_truncate("push_not_emptied"),
        ]

    def __str__(self) -> str:
        return f"invoice {self.invoice_id}: {self.state}"


class StripeRequest(models.Model):
    """One call that makes something at Stripe, for the invoice that needed it first.

    `params` are sent as they stand here whenever the call is repeated. `sent` without an answer
    means that nobody knows what happened; `failed` calls are made again under another `key`.
    """

    class Purpose(models.TextChoices):
        CUSTOMER = "customer"
        INVOICE = "invoice"
        ITEM = "item"
        FINALIZE = "finalize"

    class State(models.TextChoices):
        INTENDED = "intended"
        SENT = "sent"
        CONFIRMED = "confirmed"
        FAILED = "failed"

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="requests")
    purpose = models.TextField(choices=Purpose.choices)
    stem = models.TextField()
    attempt = models.PositiveSmallIntegerField()
    key = models.TextField(unique=True)
    params = models.JSONField(encoder=DjangoJSONEncoder)
    state = models.TextField(choices=State.choices, default=State.INTENDED)
    intended_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    object_id = models.TextField(blank=True, default="")
    request_id = models.TextField(blank=True, default="")
    problem = models.TextField(blank=True, default="")

    class Meta:
        db_table = "stripe_request"
        constraints = [
            models.UniqueConstraint(fields=["stem", "attempt"], name="one_stripe_request_a_try"),
            models.UniqueConstraint(
                fields=["stem"],
                condition=Q(state="confirmed"),
                name="one_confirmed_stripe_request",
            ),
            models.CheckConstraint(
                condition=Q(state="confirmed") & ~Q(object_id="")
                | ~Q(state="confirmed") & Q(object_id=""),
                name="confirmed_stripe_request_names_its_object",
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="stripe_request_fixed",
                fields=["invoice", "purpose", "stem", "attempt", "key", "params", "intended_at"],
            ),
            pgtrigger.FSM(
                name="stripe_request_states",
                field="state",
                transitions=[
                    ("intended", "sent"),
                    ("intended", "confirmed"),
                    ("sent", "confirmed"),
                    ("sent", "failed"),
                    ("failed", "confirmed"),
                ],
            ),
            pgtrigger.Protect(name="stripe_request_kept", operation=pgtrigger.Delete),
            no_truncate("stripe_request_not_emptied"),
        ]

    def __str__(self) -> str:
        return f"{self.key} ({self.state})"


class StripeFinding(models.Model):
    """Something at Stripe that is not as it should be, and where. An invoice that differs is not
    finalized."""

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="stripe_findings")
    stripe_invoice = models.TextField(blank=True, default="")
    found_at = models.DateTimeField()
    where = models.TextField()
    what = models.TextField()

    class Meta:
        db_table = "stripe_finding"
        triggers = written_once("stripe_finding")

    def __str__(self) -> str:
        return f"invoice {self.invoice_id}, {self.where}: {self.what}"
