"""Reconciliations: the way from metered cost to each provider's bill, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from allocation.admin.preparing import reconciling
from allocation.admin.waterfalls import CAUSES, waterfall
from allocation.models import Reconciliation, ReconciliationEvidence
from config.roles import RECONCILE
from metering.admin.acts import action, perform
from metering.admin.bases import ReadOnlyAdmin, shown
from metering.admin.figures import day, digest, exact, figure, instant
from metering.admin.tables import Section


@admin.register(Reconciliation)
class ReconciliationAdmin(ReadOnlyAdmin):
    list_display = ("month", "number", "providers", "made", "inputs", "outputs")
    list_filter = ("month",)
    ordering = ("-month", "-number")
    fields = (("month", "number"), ("made", "inputs"), ("outputs",))
    readonly_fields = ("made", "inputs", "outputs")

    actions_list = ("reconcile",)

    def has_reconcile_permission(self, request: HttpRequest, object_id: Any = None) -> bool:  # noqa: ARG002
        return request.user.has_perm(RECONCILE)

    @action(
        description="Reconcile a month",
        url_path="reconcile",
        permissions=["reconcile"],
        icon="balance",
    )
    def reconcile(self, request: HttpRequest) -> HttpResponse:
        return perform(self, request, reconciling(request))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reconciliation]:
        return super().get_queryset(request).prefetch_related("results")

    def sections(self, request: HttpRequest, row: Reconciliation) -> Sequence[Section]:  # noqa: ARG002
        results = row.results.prefetch_related("steps").order_by("provider", "currency")
        return [waterfall(result) for result in results]

    @shown("providers")
    def providers(self, row: Reconciliation) -> str:
        return ", ".join(result.provider for result in row.results.all())

    @shown("made", order="reconciled_at")
    def made(self, row: Reconciliation) -> SafeString:
        return instant(row.reconciled_at)

    @shown("digest of bills and usage")
    def inputs(self, row: Reconciliation) -> SafeString:
        return digest(row.inputs_digest)

    @shown("digest of the result")
    def outputs(self, row: Reconciliation) -> SafeString:
        return digest(row.outputs_digest)


@admin.register(ReconciliationEvidence)
class ReconciliationEvidenceAdmin(ReadOnlyAdmin):
    list_display = (
        "when",
        "why",
        "what",
        "billed_figure",
        "metered_figure",
        "amount_figure",
        "note",
    )
    list_filter = ("cause",)
    list_select_related = ("result",)
    search_fields = ("model", "project", "note")
    ordering = ("result", "number")
    fields = (
        ("when", "why"),
        ("what", "project"),
        ("billed_figure", "metered_figure"),
        ("billed_quantity_figure", "metered_quantity_figure"),
        ("amount_figure", "matching"),
        ("note", "lines"),
    )
    readonly_fields = (
        "when",
        "why",
        "what",
        "billed_figure",
        "metered_figure",
        "billed_quantity_figure",
        "metered_quantity_figure",
        "amount_figure",
        "lines",
    )

    @shown("day", order="day")
    def when(self, row: ReconciliationEvidence) -> str:
        return day(row.day)

    @shown("cause", order="cause")
    def why(self, row: ReconciliationEvidence) -> str:
        return CAUSES.get(row.cause, row.cause)

    @shown("usage")
    def what(self, row: ReconciliationEvidence) -> str:
        said = (row.result.provider, row.model, row.token_class.replace("_", " "), row.tier)
        return ", ".join(part for part in said if part)

    @shown("billed", order="billed")
    def billed_figure(self, row: ReconciliationEvidence) -> SafeString:
        return exact(row.billed, row.result.currency)

    @shown("metered", order="metered")
    def metered_figure(self, row: ReconciliationEvidence) -> SafeString:
        return exact(row.metered, row.result.currency)

    @shown("quantity billed")
    def billed_quantity_figure(self, row: ReconciliationEvidence) -> SafeString:
        return figure(row.billed_quantity)

    @shown("quantity metered")
    def metered_quantity_figure(self, row: ReconciliationEvidence) -> SafeString:
        return figure(row.metered_quantity)

    @shown("difference", order="amount")
    def amount_figure(self, row: ReconciliationEvidence) -> SafeString:
        return exact(row.amount, row.result.currency)

    @shown("bill lines")
    def lines(self, row: ReconciliationEvidence) -> str:
        return ", ".join(f"line {line} of bill {bill}" for bill, line in row.bill_lines) or "none"
