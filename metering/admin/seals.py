"""Seals: what the events of a closed month were."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from metering.admin.bases import ReadOnlyAdmin, shown
from metering.admin.figures import digest, figure, instant, listing
from metering.models import Seal, SealBucket


@admin.register(Seal)
class SealAdmin(ReadOnlyAdmin):
    list_display = ("month", "book", "sequence", "events_figure", "root_digest", "before", "sealed")
    list_filter = ("book", "month")
    ordering = ("-month", "book", "-sequence")
    fields = (
        ("month", "book"),
        ("sequence", "sealed"),
        ("whole_root", "before"),
        ("events_figure", "hours"),
    )
    readonly_fields = ("whole_root", "before", "sealed", "events_figure", "hours")

    @shown("events")
    def events_figure(self, row: Seal) -> SafeString:
        return figure(row.events)

    @shown("root")
    def root_digest(self, row: Seal) -> SafeString:
        return digest(row.root)

    @shown("root")
    def whole_root(self, row: Seal) -> SafeString:
        return digest(row.root, length=64)

    @shown("root before it")
    def before(self, row: Seal) -> SafeString:
        return digest(row.previous_root)

    @shown("sealed", order="sealed_at")
    def sealed(self, row: Seal) -> SafeString:
        return instant(row.sealed_at)

    @shown("hours")
    def hours(self, row: Seal) -> SafeString:
        return listing("metering_sealbucket", "by tenant and hour", seal__id__exact=row.pk)


@admin.register(SealBucket)
class SealBucketAdmin(ReadOnlyAdmin):
    list_display = ("hour", "tenant", "events_figure", "hashed")
    list_select_related = ("seal",)
    search_fields = ("tenant",)
    ordering = ("seal", "tenant", "hour_at")
    fields = (("seal", "tenant"), ("hour", "events_figure"), "hashed")
    readonly_fields = ("hour", "events_figure", "hashed")

    @shown("hour")
    def hour(self, row: SealBucket) -> SafeString:
        return instant(row.hour_at)

    @shown("events")
    def events_figure(self, row: SealBucket) -> SafeString:
        return figure(row.events)

    @shown("digest")
    def hashed(self, row: SealBucket) -> SafeString:
        return digest(row.digest)
