"""Closed months: who closed what on which run, and reopening it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from allocation import period_close
from allocation.admin.month import ReopenForm, answered, check_page
from allocation.admin.runs import signature
from allocation.models import PeriodClose
from config.roles import REOPEN_PERIOD
from metering.admin.acts import Act, action, perform
from metering.admin.bases import ReadOnlyAdmin, shown
from metering.admin.figures import digest, instant, label, link, minor
from metering.admin.tables import Section
from metering.domain.periods import Month
from metering.people import NotAllowed


@admin.register(PeriodClose)
class PeriodCloseAdmin(ReadOnlyAdmin):
    list_display = ("month", "sequence", "state", "of_run", "total", "prepared_by", "approved_by",
                    "closed_by", "closed")  # fmt: skip
    list_filter = ("month",)
    list_select_related = ("run", "reopening")
    ordering = ("-month", "-sequence")
    fields = (
        ("month", "state"),
        ("of_run", "total"),
        ("prepared_by", "approved_by"),
        ("signed", "reopened"),
        ("run_proof", "usage_proof"),
    )
    readonly_fields = (
        "state", "of_run", "total", "signed", "reopened", "run_proof", "usage_proof"
    )  # fmt: skip
    actions_detail = ("reopen",)

    def get_urls(self) -> list[URLPattern]:
        check = path(
            "check/<str:month_name>/",
            self.admin_site.admin_view(self.check_month),
            name="allocation_month_check",
        )
        return [check, *super().get_urls()]

    def check_month(self, request: HttpRequest, month_name: str) -> HttpResponse:
        """The four questions of a month, asked now."""
        if not self.has_view_permission(request):
            return self.admin_site.login(request)
        return check_page(self, request, month_name)

    def sections(self, request: HttpRequest, row: PeriodClose) -> Sequence[Section]:  # noqa: ARG002
        return [answered(row.answers)]

    def has_reopen_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whoever may reopen months, of a close that holds."""
        if not request.user.has_perm(REOPEN_PERIOD):
            return False
        return (
            object_id is None or PeriodClose.objects.filter(pk=object_id, reopening=None).exists()
        )

    @action(description="Reopen", url_path="reopen", permissions=["reopen"], icon="lock_open")
    def reopen(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = PeriodClose.objects.get(pk=object_id)
        month, person = Month.parse(row.month), request.user.get_username()

        def do(filled: dict[str, Any]) -> str:
            period_close.reopen(month, reason=filled["reason"], by=person, now=timezone.now())
            return f"{month} is open again."

        return perform(
            self,
            request,
            Act(
                title=f"Reopen {month}",
                note=f"Closed by {row.closed_by}; another person reopens it. Both stay on record, "
                "and statements and seals stay as they were until the month is closed again.",
                button=f"Reopen {month}",
                do=do,
                refusals=(period_close.CloseRefused, NotAllowed),
                back=reverse("admin:allocation_periodclose_change", args=[row.pk]),
                form=ReopenForm,
                is_dangerous=True,
            ),
        )

    @shown("state")
    def state(self, row: PeriodClose) -> SafeString:
        return label("reopened" if hasattr(row, "reopening") else "closed")

    @shown("run")
    def of_run(self, row: PeriodClose) -> SafeString | str:
        return link("allocation_allocationrun", row.run_id, f"run {row.run.number}")

    @shown("payable bills")
    def total(self, row: PeriodClose) -> SafeString:
        return SafeString(
            " ".join(minor(each["amount_minor"], each["currency"]) for each in row.totals)
        )

    @shown("closed", order="closed_at")
    def closed(self, row: PeriodClose) -> SafeString:
        return instant(row.closed_at)

    @shown("closed")
    def signed(self, row: PeriodClose) -> SafeString:
        return signature(row.closed_by, row.closed_at)

    @shown("reopened")
    def reopened(self, row: PeriodClose) -> SafeString | str:
        reopening = getattr(row, "reopening", None)
        if reopening is None:
            return "no"
        return f"{reopening.reason} ({reopening.reopened_by})"

    @shown("digest of the run")
    def run_proof(self, row: PeriodClose) -> SafeString:
        return digest(row.run_digest)

    @shown("digest of the usage")
    def usage_proof(self, row: PeriodClose) -> SafeString:
        return digest(row.usage_digest)
