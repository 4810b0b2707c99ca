"""The days that events are listed by, and what was used on one: the filters of the list."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest

from metering.admin.figures import day
from metering.models import UsageEvent
from metering.rollups import CELL, DAY

if TYPE_CHECKING:
    from django.contrib.admin import SimpleListFilter as DropdownFilter
else:
    from unfold.contrib.filters.admin import DropdownFilter

DAYS: Final = 62

_PARTITIONS: Final = """
    SELECT right(relname, 8)::date FROM pg_inherits
    JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'usage_event'::regclass AND right(relname, 8)::date <= %s
    ORDER BY 1 DESC LIMIT %s
"""


def days_with_usage(today: date) -> list[date]:
    """The latest UTC days that have a partition, newest first; the first one has events."""
    with connection.cursor() as cursor:
        cursor.execute(_PARTITIONS, [today, DAYS])
        days = [row[0] for row in cursor.fetchall()]
    for i, found in enumerate(days):
        if UsageEvent.objects.filter(**within(found)).exists():
            return days[i:]
    return []


def within(on: date) -> dict[str, datetime]:
    start = datetime(on.year, on.month, on.day, tzinfo=UTC)
    return {"occurred_at__gte": start, "occurred_at__lt": start + timedelta(days=1)}


class Days:
    """The days of one request: those to choose from, and the chosen one."""

    def __init__(self, request: HttpRequest) -> None:
        self.offered = days_with_usage(datetime.now(UTC).date())
        try:
            self.chosen: date | None = date.fromisoformat(request.GET.get("day", ""))
        except ValueError:
            self.chosen = next(iter(self.offered), None)

    @cached_property
    def events(self) -> int:
        """How many events count on the chosen day."""
        return 0 if self.chosen is None else events_of(self.chosen)


def days_of(request: HttpRequest) -> Days:
    """Found out once a request."""
    found: Days | None = getattr(request, "_days_of_events", None)
    if found is None:
        found = Days(request)
        request._days_of_events = found  # type: ignore[attr-defined]  # noqa: SLF001
    return found


def chosen_day(request: HttpRequest) -> date | None:
    """The day asked for, else the latest with usage; `None` while there is none."""
    return days_of(request).chosen


class DayFilter(DropdownFilter):
    title = "day (UTC)"
    parameter_name = "day"
    all_option = None

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        days, on = list(days_of(request).offered), chosen_day(request)
        if on is not None and on not in days:
            days.append(on)
        return [(found.isoformat(), day(found)) for found in days]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        on = chosen_day(request)
        return queryset.none() if on is None else queryset.filter(**within(on))


class _UsedOnTheDay(DropdownFilter):
    """A pick list of what was used on the day, from the rollup."""

    column: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        on = chosen_day(request)
        if on is None:
            return []
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT DISTINCT {self.column} FROM {CELL.relation(['day', self.column])} cells"
                " WHERE day = %s ORDER BY 1",
                [on],
            )
            return [(value, value or "(none)") for (value,) in cursor.fetchall()]


class TenantFilter(_UsedOnTheDay):
    title = "tenant"
    parameter_name = column = "tenant"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        return queryset.filter(tenant=self.value()) if self.value() else queryset


class ModelFilter(_UsedOnTheDay):
    title = "model that executed"
    parameter_name = column = "model"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        if not self.value():
            return queryset
        return queryset.filter(model_executed=self.value()) | queryset.filter(
            model_executed=None, model=self.value()
        )


class PricingFilter(DropdownFilter):
    title = "pricing"
    parameter_name = "pricing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return [(value, value) for value in ("priced", "unpriced", "free")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        return queryset.filter(pricing=self.value()) if self.value() else queryset


def events_of(on: date) -> int:
    """How many events count on a UTC day, from the rollup."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT coalesce(sum(events), 0) FROM {DAY.relation(['day', 'events'])} cells"
            " WHERE day = %s",
            [on],
        )
        return int(cursor.fetchone()[0])
