"""The lines of an invoice, and whose use each line is made of."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q

from billing.models.guards import line_of_a_draft, sum_holds, written_once
from billing.models.invoices import Invoice
from metering.fields import ExactField


class InvoiceLine(models.Model):
    """One line: `quantity` at `unit_price` per `per`, its exact `amount`, and what is owed of it.

    The evidence is the set of events under the line: `evidence_selections` say which (each the
    fields of `metering.evidence.Selection`; no event is in two of them), how many they are, and
    the digest over them all, sorted by key. A fee has none.
    """

    class Kind(models.TextChoices):
        FEE = "fee"
        ALLOWANCE = "allowance"
        OVERAGE = "overage"

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="lines")
    position = models.PositiveSmallIntegerField()
    kind = models.TextField(choices=Kind.choices)
    charge_code = models.TextField(blank=True, default="")
    description = models.TextField()
    unit = models.TextField()
    quantity = ExactField()
    unit_price = ExactField()
    per = models.BigIntegerField()
    amount = ExactField()
    amount_minor = models.BigIntegerField()
    evidence_selections = models.JSONField(encoder=DjangoJSONEncoder, default=list)
    evidence_count = models.BigIntegerField(default=0)
    evidence_digest = models.TextField(blank=True, default="")

    class Meta:
        db_table = "invoice_line"
        constraints = [
            models.UniqueConstraint(fields=["invoice", "position"], name="one_line_per_position"),
            models.UniqueConstraint(
                fields=["invoice", "kind", "charge_code"], name="one_line_per_kind_and_charge"
            ),
            models.CheckConstraint(
                condition=Q(kind="fee", charge_code="") | ~Q(kind="fee") & ~Q(charge_code=""),
                name="line_names_its_charge",
            ),
            models.CheckConstraint(
                condition=~Q(kind="allowance") | Q(amount=0, amount_minor=0),
                name="allowance_costs_nothing",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gte=0, unit_price__gte=0, per__gte=1),
                name="line_quantity_and_price_not_negative",
            ),
        ]
        triggers = [
            line_of_a_draft("line_of_a_draft", "NEW.invoice_id"),
            *written_once("line"),
            sum_holds("line_adds_up", "invoice_id"),
        ]

    def __str__(self) -> str:
        return self.description


class InvoiceLinePart(models.Model):
    """The part of a line that one requested model and endpoint tag make up; a line's parts add up
    to its quantity and its exact amount."""

    line = models.ForeignKey(InvoiceLine, on_delete=models.PROTECT, related_name="parts")
    model = models.TextField()
    endpoint_tag = models.TextField(blank=True, default="")
    quantity = ExactField()
    amount = ExactField()

    class Meta:
        db_table = "invoice_line_part"
        constraints = [
            models.UniqueConstraint(
                fields=["line", "model", "endpoint_tag"], name="one_part_per_model_and_tag"
            ),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="part_quantity_above_zero"),
        ]
        triggers = [
            line_of_a_draft(
                "part_of_a_draft", "(SELECT invoice_id FROM invoice_line WHERE id = NEW.line_id)"
            ),
            *written_once("part"),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.endpoint_tag}".strip()
