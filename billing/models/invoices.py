"""Invoices: what a customer owes for one billing cycle.

What an invoice says never changes: its rows are written with it and guarded by triggers, and only
its state moves, draft → approved → finalized, or to void. A draft that new usage has overtaken is
voided and kept beside the one that replaces it.
"""

from __future__ import annotations

import pgtrigger
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Func, Q

from billing.models.guards import no_truncate, only_on, sum_holds
from billing.models.plans import PlanVersion, Subscription
from metering.domain.periods import Period


class CycleRange(Func):
    """The half-open instants of a cycle, for the exclusion constraint."""

    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


class Invoice(models.Model):
    """What a customer owes for one billing cycle.

    `author` is who started the run that drafted it. `inputs_digest` covers what was charged (the
    terms, the cycle, the usage and its events), `outputs_digest` the lines as they are owed. The
    number comes with finalizing.
    """

    class State(models.TextChoices):
        DRAFT = "draft"
        APPROVED = "approved"
        FINALIZED = "finalized"
        VOID = "void"

    tenant = models.TextField()
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="invoices"
    )
    plan_version = models.ForeignKey(PlanVersion, on_delete=models.PROTECT, related_name="+")
    cycle_start = models.DateTimeField()
    cycle_end = models.DateTimeField()
    first_day = models.DateField()
    end_day = models.DateField()
    full_days = models.PositiveSmallIntegerField()
    zone = models.TextField()
    currency = models.CharField(max_length=3)
    total_minor = models.BigIntegerField()
    inputs_digest = models.TextField()
    outputs_digest = models.TextField()
    author = models.TextField()
    created_at = models.DateTimeField()
    replaces = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="replaced_by"
    )
    state = models.TextField(choices=State.choices, default=State.DRAFT)
    approved_by = models.TextField(null=True, blank=True)  # noqa: DJ001 - nobody is not an empty name
    approved_at = models.DateTimeField(null=True, blank=True)
    number = models.TextField(null=True, blank=True, unique=True)
    finalized_at = models.DateTimeField(null=True, blank=True)
    voided_at = models.DateTimeField(null=True, blank=True)
    void_reason = models.TextField(blank=True, default="")

    class Meta:
        db_table = "invoice"
        permissions = [
            ("approve_invoice", "Can approve another person's draft"),
            ("push_invoice", "Can send an approved invoice to Stripe"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "cycle_start", "cycle_end"],
                condition=~Q(state="void"),
                name="one_invoice_per_tenant_and_cycle",
            ),
            ExclusionConstraint(
                name="no_instant_is_invoiced_twice",
                expressions=[
                    ("tenant", RangeOperators.EQUAL),
                    (
                        CycleRange(F("cycle_start"), F("cycle_end"), RangeBoundary()),
                        RangeOperators.OVERLAPS,
                    ),
                ],
                condition=~Q(state="void"),
            ),
            models.CheckConstraint(
                condition=Q(cycle_end__gt=F("cycle_start")), name="invoice_cycle_not_empty"
            ),
            models.CheckConstraint(condition=~Q(author=""), name="invoice_has_an_author"),
            models.CheckConstraint(
                condition=(
                    Q(state__in=["approved", "finalized"], approved_by__isnull=False)
                    | Q(state="draft", approved_by__isnull=True)
                    | Q(state="void")
                ),
                name="invoice_approved_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True)
                | ~Q(approved_by=F("author")) & ~Q(approved_by=""),
                name="invoice_approved_by_another_person",
            ),
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True, approved_at__isnull=True)
                | Q(approved_by__isnull=False, approved_at__isnull=False),
                name="invoice_approval_has_its_time",
            ),
            models.CheckConstraint(
                condition=Q(state="finalized", number__isnull=False, finalized_at__isnull=False)
                | ~Q(state="finalized") & Q(number__isnull=True, finalized_at__isnull=True),
                name="invoice_numbered_when_finalized",
            ),
            models.CheckConstraint(
                condition=Q(state="void", voided_at__isnull=False) & ~Q(void_reason="")
                | ~Q(state="void") & Q(voided_at__isnull=True, void_reason=""),
                name="invoice_void_for_a_reason",
            ),
        ]
        triggers = [
            pgtrigger.Protect(
                name="invoice_starts_as_draft",
                operation=pgtrigger.Insert,
                condition=~pgtrigger.Q(new__state="draft"),
            ),
            pgtrigger.FSM(
                name="invoice_states",
                field="state",
                transitions=[
                    ("draft", "approved"),
                    ("approved", "finalized"),
                    ("draft", "void"),
                    ("approved", "void"),
                ],
            ),
            pgtrigger.ReadOnly(
                name="invoice_fixed",
                exclude=[
                    "state",
                    "approved_by",
                    "approved_at",
                    "number",
                    "finalized_at",
                    "voided_at",
                    "void_reason",
                ],
            ),
            only_on("invoice_approval", "draft", "approved", "approved_by", "approved_at"),
            only_on("invoice_numbering", "approved", "finalized", "number", "finalized_at"),
            only_on("invoice_voiding", None, "void", "voided_at", "void_reason"),
            pgtrigger.Protect(name="invoice_kept", operation=pgtrigger.Delete),
            no_truncate("invoice_not_emptied"),
            sum_holds("invoice_adds_up", "id"),
        ]

    def __str__(self) -> str:
        return f"{self.tenant} {self.first_day} to {self.end_day} ({self.state})"

    @property
    def period(self) -> Period:
        return Period(self.cycle_start, self.cycle_end)
