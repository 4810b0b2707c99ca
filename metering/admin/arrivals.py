"""What came for months that were closed: the late queue."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from metering.admin.bases import ReadOnlyAdmin, shown
from metering.admin.figures import instant, label, link
from metering.models import LateArrival


@admin.register(LateArrival)
class LateArrivalAdmin(ReadOnlyAdmin):
    list_display = ("received", "month", "what", "source", "event", "occurred", "reason")
    list_filter = ("month", "kind", "source")
    ordering = ("-received_at", "-id")
    fields = (("month", "what"), ("received", "occurred"), ("source", "event"), "reason")
    readonly_fields = ("received", "occurred", "event", "what")

    @shown("received", order="received_at")
    def received(self, row: LateArrival) -> SafeString:
        return instant(row.received_at)

    @shown("occurred", order="occurred_at")
    def occurred(self, row: LateArrival) -> SafeString:
        return instant(row.occurred_at)

    @shown("kind", order="kind")
    def what(self, row: LateArrival) -> SafeString:
        return label(row.kind)

    @shown("event")
    def event(self, row: LateArrival) -> SafeString | str:
        return link("metering_usageevent", row.event_key, str(row.event_key))
