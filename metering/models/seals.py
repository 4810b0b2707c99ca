"""Seals: what the events of a closed month were, so that no later change goes unnoticed."""

from __future__ import annotations

from django.db import models


class Seal(models.Model):
    """The root over one book's buckets of one month, chained to the book's seal before it.

    `sequence` counts a book's seals from 1; `events` are those beneath all the buckets.
    """

    book = models.TextField()
    month = models.TextField()
    sequence = models.PositiveIntegerField()
    events = models.BigIntegerField()
    root = models.TextField()
    previous_root = models.TextField(blank=True, default="")
    sealed_at = models.DateTimeField()

    class Meta:
        db_table = "seal"
        constraints = [
            models.UniqueConstraint(fields=["book", "sequence"], name="one_chain_per_book"),
        ]

    def __str__(self) -> str:
        return f"{self.book} {self.month} {self.root[:12]}"


class SealBucket(models.Model):
    """What one tenant's events of one UTC hour hashed to when the month was sealed; in the charge
    book, the invoice of one tenant whose cycle ends at `hour_at` when it was approved."""

    seal = models.ForeignKey(Seal, on_delete=models.PROTECT, related_name="buckets")
    tenant = models.TextField()
    hour_at = models.DateTimeField()
    events = models.BigIntegerField()
    digest = models.TextField()

    class Meta:
        db_table = "seal_bucket"
        constraints = [
            models.UniqueConstraint(
                fields=["seal", "tenant", "hour_at"], name="one_seal_bucket_per_tenant_and_hour"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tenant} {self.hour_at:%Y-%m-%dT%H}"
