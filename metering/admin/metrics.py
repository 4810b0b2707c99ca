"""Programs' own metrics, to be compared with events; none of them counts."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from metering.admin.bases import ReadOnlyAdmin, shown
from metering.admin.figures import instant
from metering.models import MetricReading


@admin.register(MetricReading)
class MetricReadingAdmin(ReadOnlyAdmin):
    list_display = ("source", "model", "kind", "total", "unit", "tenant", "from_when", "until")
    list_filter = ("source", "kind", "cumulative")
    ordering = ("-ended_at", "-id")
    fields = (
        *(("source", "provider", "model"), ("tenant", "kind"), ("total", "unit", "cumulative")),
        ("from_when", "until"),
    )
    readonly_fields = ("from_when", "until")

    @shown("from", order="started_at")
    def from_when(self, row: MetricReading) -> SafeString:
        return instant(row.started_at)

    @shown("until", order="ended_at")
    def until(self, row: MetricReading) -> SafeString:
        return instant(row.ended_at)
