"""The rows of what is owed for time: reserved capacity, monthly minimums."""

from __future__ import annotations

import pgtrigger
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models
from django.db.models import F, Q

from metering.domain.commitments import KINDS, LARGEST
from metering.fields import ExactField
from metering.models.owners import validity
from metering.models.prices import PriceListImport


class CommitmentRow(models.Model):
    """A dated commitment (`metering.domain.commitments.Commitment`), as a contract states it.

    What it says never changes; only its end may be set, or moved to an earlier instant. A row that
    was taken back before it began ends where it starts, and holds at no instant.
    """

    book = models.TextField(help_text="the contract's: contract:acme")
    kind = models.TextField()
    provider = models.TextField()
    model_id = models.TextField(blank=True)
    units = models.PositiveIntegerField(help_text="of capacity; 1 for a minimum")
    price = ExactField(help_text="of a unit an hour; or the month's minimum")
    currency = models.CharField(max_length=3)
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True)
    opened_by = models.ForeignKey(
        PriceListImport, on_delete=models.PROTECT, related_name="commitments"
    )

    class Meta:
        db_table = "commitment"
        verbose_name = "commitment"
        ordering = ["provider", "model_id", "valid_from"]
        constraints = [
            ExclusionConstraint(
                name="one_commitment_of_a_kind_at_a_time",
                expressions=[
                    ("kind", RangeOperators.EQUAL),
                    ("provider", RangeOperators.EQUAL),
                    ("model_id", RangeOperators.EQUAL),
                    (validity(), RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(condition=Q(kind__in=list(KINDS)), name="commitment_kind_known"),
            models.CheckConstraint(
                condition=Q(price__gte=0) & Q(price__lt=LARGEST) & Q(units__gte=1),
                name="commitment_is_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(kind="reserved_capacity") & ~Q(model_id="")
                | Q(kind="monthly_minimum", model_id="", units=1),
                name="capacity_is_of_a_model_and_a_minimum_of_none",
            ),
            models.CheckConstraint(
                condition=Q(valid_to=None) | Q(valid_to__gte=F("valid_from")),
                name="commitment_ends_after_it_starts",
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(name="only_a_commitments_end_may_change", exclude=["valid_to"]),
            pgtrigger.Protect(
                name="a_commitment_may_only_end_earlier",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "OLD.valid_to IS NOT NULL"
                    " AND (NEW.valid_to IS NULL OR NEW.valid_to > OLD.valid_to)"
                ),
            ),
            pgtrigger.Protect(name="a_commitment_is_never_deleted", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')} of {self.provider} {self.model_id}".strip()
