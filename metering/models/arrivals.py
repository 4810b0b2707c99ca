"""What came for a month that was closed already: a queue for corrections, or for a reopening."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class LateArrival(models.Model):
    """Something that was told of a closed month's usage after its close. Written once.

    *Arrived*: an event, which was taken in; the numbers that were closed are without it. *Held*:
    a change of an event that the month was closed on, which was not made.
    """

    class Kind(models.TextChoices):
        ARRIVED = "arrived", "arrived: usage that the closed numbers are without"
        HELD = "held", "held: a change of closed usage that was not made"

    month = models.TextField()
    kind = models.TextField(choices=Kind.choices)
    event_key = models.UUIDField()
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    source = models.TextField()
    reason = models.TextField()

    class Meta:
        db_table = "late_arrival"
        ordering = ["-received_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["event_key", "kind"], name="late_arrival_once"),
            models.CheckConstraint(
                condition=Q(kind__in=["arrived", "held"]), name="late_arrival_kind_known"
            ),
        ]
        indexes = [models.Index(fields=["month", "received_at"], name="late_arrival_month")]

    def __str__(self) -> str:
        return f"{self.month} {self.event_key} {self.kind}"
