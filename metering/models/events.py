"""Events as the admin lists them: the table is written by COPY and laid out in `0002_usage`."""

from __future__ import annotations

from django.db import models

from metering.fields import ExactField


class UsageEvent(models.Model):
    """A row of the partitioned table, to be read only. Its values are those known at ingest
    (revision 0); what counts now is in `metering.events` and `metering.event_story`.

    The declared key is `event_key`; the table's own is that and the day's partition, so a reader
    who knows the key alone finds the day in the ledger.
    """

    event_key = models.UUIDField(primary_key=True)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    source = models.TextField()
    external_request_id = models.TextField()
    provider = models.TextField()
    model = models.TextField()
    model_executed = models.TextField(null=True)  # noqa: DJ001 - not reported is not an empty name
    input_tokens = models.IntegerField(null=True)
    output_tokens = models.IntegerField(null=True)
    endpoint_tag = models.TextField(null=True)  # noqa: DJ001 - not reported is not an empty name
    status = models.TextField()
    tenant = models.TextField()
    cost_centre = models.TextField()
    pricing = models.TextField()
    cost = ExactField(null=True)  # type: ignore[misc]
    currency = models.TextField()

    class Meta:
        managed = False
        db_table = "usage_event"
        verbose_name = "usage event"

    def __str__(self) -> str:
        return str(self.event_key)
