"""Usage events: listed a day at a time, and told in full one by one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from metering.admin.bases import BoundedList, ReadOnlyAdmin, shown
from metering.admin.event_days import (
    DayFilter,
    ModelFilter,
    PricingFilter,
    TenantFilter,
    days_of,
)
from metering.admin.event_pages import sections_of
from metering.admin.figures import (
    day,
    digest,
    exact,
    figure,
    instant,
    label,
    number,
)
from metering.admin.tables import Section
from metering.event_story import event_story, occurred_at
from metering.models import UsageEvent

BY_TIME_UP_TO: Final = 100_000
"""A day of more events than this is listed in order of key: that order needs no sorting."""


class EventList(BoundedList):
    """Orders a day by time, or a very full one by key."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:  # noqa: ARG002
        if days_of(request).events > BY_TIME_UP_TO:
            return ["event_key"]
        return ["occurred_at", "event_key"]


@admin.register(UsageEvent)
class UsageEventAdmin(ReadOnlyAdmin):
    list_display = (
        "when",
        "tenant",
        "cost_centre",
        "what",
        "endpoint_tag",
        "tokens_in_figure",
        "tokens_out_figure",
        "priced",
        "cost_figure",
    )
    list_display_links = ("when",)
    list_before_template = "metering/admin/days.html"
    list_filter = (DayFilter, TenantFilter, ModelFilter, PricingFilter)
    sortable_by = ()
    search_fields = ("event_key", "external_request_id")
    search_help_text = "an event key, or the request id of a call of the chosen day"
    fields = (
        ("key", "counts"),
        ("when_exactly", "received"),
        ("model", "model_executed"),
        ("tenant", "cost_centre"),
        ("priced", "cost_figure"),
    )
    readonly_fields = ("key", "counts", "when_exactly", "received", "priced", "cost_figure")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        found = days_of(request)
        around = {"day_name": day(found.chosen), "events_of_day": number(found.events)}
        if found.chosen is not None:
            around |= {
                name: f"?day={(found.chosen + timedelta(days=step)).isoformat()}"
                for name, step in (("day_before", -1), ("day_after", 1))
            }
        return super().changelist_view(request, {**around, **(extra_context or {})})

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002
        return EventList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            key = UUID(term)
        except ValueError:
            return queryset.filter(external_request_id=term), False
        at = occurred_at(key)
        found = self.get_queryset(request)
        found = found.none() if at is None else found.filter(event_key=key, occurred_at=at)
        return found.order_by("event_key"), False

    def get_object(
        self,
        request: HttpRequest,
        object_id: str,
        from_field: str | None = None,  # noqa: ARG002
    ) -> UsageEvent | None:
        """By the key, through the ledger: so that one partition is asked, not all."""
        try:
            key = UUID(object_id)
        except ValueError:
            return None
        at = occurred_at(key)
        row: UsageEvent | None = (
            self.get_queryset(request).filter(event_key=key, occurred_at=at).first() if at else None
        )
        return row

    def sections(self, request: HttpRequest, row: UsageEvent) -> Sequence[Section]:  # noqa: ARG002
        story = event_story(row.event_key)
        return () if story is None else sections_of(story)

    @shown("when")
    def when(self, row: UsageEvent) -> SafeString:
        return instant(row.occurred_at, seconds=True)

    @shown("model")
    def what(self, row: UsageEvent) -> SafeString | str:
        executed = row.model_executed
        if executed and executed != row.model:
            return format_html(
                '{} <span class="asked-for">asked for {}</span>', executed, row.model
            )
        return row.model

    @shown("input tokens")
    def tokens_in_figure(self, row: UsageEvent) -> SafeString:
        return figure(row.input_tokens)

    @shown("output tokens")
    def tokens_out_figure(self, row: UsageEvent) -> SafeString:
        return figure(row.output_tokens)

    @shown("pricing")
    def priced(self, row: UsageEvent) -> SafeString:
        return label(row.pricing)

    @shown("cost at ingest")
    def cost_figure(self, row: UsageEvent) -> SafeString:
        return exact(row.cost, row.currency)

    @shown("event key")
    def key(self, row: UsageEvent) -> SafeString:
        return digest(str(row.event_key), length=36)

    @shown("state")
    def counts(self, row: UsageEvent) -> SafeString:
        story = event_story(row.event_key)
        return label(story.state if story else "missing")

    @shown("occurred")
    def when_exactly(self, row: UsageEvent) -> SafeString:
        return instant(row.occurred_at, seconds=True)

    @shown("received")
    def received(self, row: UsageEvent) -> SafeString:
        return instant(row.received_at, seconds=True)
