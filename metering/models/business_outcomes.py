"""What calls were made for, once it came about: the denominator of cost per outcome."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class BusinessOutcome(models.Model):
    """One outcome that a source told, once. Written once; names no person.

    Texts that were not told are empty. `content_digest` covers what was told, times left out, so
    that a resend can be told from another outcome under the same id.
    """

    source = models.TextField()
    outcome_id = models.TextField()
    kind = models.TextField(help_text="the sender's word for it, like ticket_resolved")
    quantity = models.DecimalField(max_digits=22, decimal_places=9)
    occurred_at = models.DateTimeField()
    time_reported = models.BooleanField(help_text="false: the time is that of its receipt")
    received_at = models.DateTimeField()
    tenant = models.TextField(blank=True, default="")
    endpoint_tag = models.TextField(blank=True, default="")
    prompt_version = models.TextField(blank=True, default="")
    workflow = models.TextField(blank=True, default="")
    external_request_id = models.TextField(blank=True, default="")
    trace_id = models.TextField(blank=True, default="")
    cost_centre = models.TextField(blank=True, default="", help_text="as it was named")
    data_mode = models.TextField()
    environment = models.TextField()
    tags = models.JSONField(default=dict)
    content_digest = models.BinaryField()

    class Meta:
        db_table = "business_outcome"
        ordering = ["-occurred_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["source", "outcome_id"], name="business_outcome_once"),
            models.CheckConstraint(
                condition=Q(quantity__gt=0), name="business_outcome_of_some_quantity"
            ),
        ]
        indexes = [
            models.Index(fields=["kind", "occurred_at"], name="business_outcome_kind"),
            models.Index(fields=["tenant", "occurred_at"], name="business_outcome_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.outcome_id}"
