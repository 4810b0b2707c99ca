"""What runs by itself and when: django-celery-beat's rows, without a way to run something else.

Which tasks there are is decided in code; whether and when they run, here.
"""

from __future__ import annotations

import django_celery_beat.admin  # noqa: F401 - registers its own pages, which these replace
from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from metering.admin.bases import EditableAdmin, shown
from metering.admin.figures import instant, label

for _replaced in (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule):
    admin.site.unregister(_replaced)


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(EditableAdmin):
    list_display = ("name", "state", "when", "last", "runs")
    list_filter = ("enabled",)
    search_fields = ("name", "task")
    ordering = ("name",)
    list_select_related = ("crontab", "interval")
    fields = ("name", "task", "description", "enabled", "crontab", "interval", "last", "runs")
    readonly_fields = ("name", "task", "last", "runs")

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    @shown("runs", order="enabled")
    def state(self, row: PeriodicTask) -> SafeString:
        return label("active", "on") if row.enabled else label("none", "off")

    @shown("when")
    def when(self, row: PeriodicTask) -> str:
        if row.crontab is not None:
            return f"{row.crontab.human_readable}"
        return "" if row.schedule is None else str(row.interval or row.schedule)

    @shown("last run", order="last_run_at")
    def last(self, row: PeriodicTask) -> SafeString:
        return instant(row.last_run_at)

    @shown("times run", order="total_run_count")
    def runs(self, row: PeriodicTask) -> str:
        return f"{row.total_run_count:,}"


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(EditableAdmin):
    list_display = ("said", "timezone")
    fields = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone")

    @shown("when")
    def said(self, row: CrontabSchedule) -> str:
        return str(row.human_readable)


@admin.register(IntervalSchedule)
class IntervalScheduleAdmin(EditableAdmin):
    list_display = ("__str__",)
    fields = ("every", "period")
