"""What programs' own metrics say of usage: kept to be compared with events, and never counted."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class MetricReading(models.Model):
    """The sum of one series of a metric over one window, as a program measured it.

    `kind` is `input`, `output` or another type of token, or `cost` (then `unit` is a currency).
    `series` tells what the program tells apart (a digest of all of its attributes). Of a cumulative
    series each reading is the sum since `started_at`; of others, the sum of its window. The same
    reading sent again is the same row.
    """

    series = models.BinaryField(max_length=32)
    source = models.TextField()
    provider = models.TextField(blank=True, default="")
    model = models.TextField(blank=True, default="")
    tenant = models.TextField(blank=True, default="")
    kind = models.TextField()
    unit = models.TextField()
    cumulative = models.BooleanField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    total = models.DecimalField(max_digits=40, decimal_places=12)
    received_at = models.DateTimeField()

    class Meta:
        db_table = "metric_reading"
        ordering = ["-ended_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["series", "started_at", "ended_at"], name="metric_reading_once"
            ),
            models.CheckConstraint(condition=Q(total__gte=0), name="metric_reading_not_negative"),
        ]
        indexes = [models.Index(fields=["source", "ended_at"], name="metric_reading_by_source")]

    def __str__(self) -> str:
        return f"{self.source} {self.model} {self.kind} {self.total} until {self.ended_at}"
