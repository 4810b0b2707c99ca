"""Statements as they were issued, to read and to take away."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from allocation.domain.statements import Statement as Drawn
from allocation.models import Statement
from allocation.rendering.statement_csv import statement_csv
from allocation.rendering.statement_html import statement_html
from allocation.rendering.statement_json import statement_value
from allocation.run_book import Whose, open_book
from allocation.statements import cost_centre_subject, draw
from metering.admin.acts import action
from metering.admin.bases import ReadOnlyAdmin, shown
from metering.admin.evidence import Evidence, evidence_page
from metering.admin.figures import digest, exact, figure, instant, label, link, minor
from metering.admin.tables import Link, Section, figures, text
from metering.domain.periods import Month
from metering.evidence import Selection


@admin.register(Statement)
class StatementAdmin(ReadOnlyAdmin):
    list_display = (
        "cost_centre",
        "month",
        "kind",
        "amount_figure",
        "events_figure",
        "responsible",
        "issued",
    )
    list_filter = ("run__month", "mode")
    list_select_related = ("run",)
    search_fields = ("cost_centre", "name", "responsible")
    ordering = ("-run__month", "-run__number", "cost_centre", "currency")
    fields = (
        ("cost_centre", "name"),
        ("month", "kind"),
        ("amount_figure", "exact_figure"),
        ("responsible", "from_run"),
        ("issued", "asserted"),
        ("events_figure", "events_proof"),
    )
    readonly_fields = (
        "month",
        "kind",
        "amount_figure",
        "exact_figure",
        "from_run",
        "issued",
        "asserted",
        "events_figure",
        "events_proof",
    )
    actions_detail = (
        {"title": "Download", "icon": "download", "items": ["as_page", "as_csv", "as_json"]},
        "evidence",
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("run__rule_version")

    def sections(self, request: HttpRequest, row: Statement) -> Sequence[Section]:  # noqa: ARG002
        settlements = row.run.settlements.filter(
            cost_centre=row.cost_centre, currency=row.currency
        ).order_by("tenant", "bill_id")
        providers = {bill.bill_id: bill.provider for bill in row.run.bills.all()}
        return [
            Section(
                "What it bears, by tenant and bill",
                [*text("tenant", "provider"), *figures("exact", "settled")],
                [
                    (
                        link("metering_tenant", each.tenant, each.tenant)
                        if each.tenant
                        else "(no tenant)",
                        providers.get(each.bill_id, ""),
                        exact(each.exact, each.currency),
                        minor(each.amount_minor, each.currency),
                    )
                    for each in settlements
                ],
                totals=(
                    "total",
                    "",
                    exact(row.exact, row.currency),
                    minor(row.amount_minor, row.currency),
                ),
                links=[
                    Link(
                        "lines of the run",
                        reverse(
                            "admin:allocation_allocationline_changelist",
                            query={"run__exact": row.run_id, "q": row.cost_centre},
                        ),
                    )
                ],
            )
        ]

    @action(description="as a page (HTML)", url_path="html", permissions=["view"])
    def as_page(self, request: HttpRequest, object_id: str) -> HttpResponse:  # noqa: ARG002
        row, drawn = _drawn(object_id)
        return _download(row, statement_html(drawn), "html", "text/html")

    @action(description="as a table (CSV)", url_path="csv", permissions=["view"])
    def as_csv(self, request: HttpRequest, object_id: str) -> HttpResponse:  # noqa: ARG002
        row, drawn = _drawn(object_id)
        return _download(row, statement_csv(drawn), "csv", "text/csv")

    @action(description="for programs (JSON)", url_path="json", permissions=["view"])
    def as_json(self, request: HttpRequest, object_id: str) -> HttpResponse:  # noqa: ARG002
        row, drawn = _drawn(object_id)
        text = json.dumps(statement_value(drawn), indent=2, ensure_ascii=False)
        return _download(row, text, "json", "application/json")

    @action(description="Events beneath", url_path="events", permissions=["view"])
    def evidence(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = Statement.objects.select_related("run").get(pk=object_id)
        selection = Selection(
            period=Month.parse(row.run.month).period,
            cost_centre=row.cost_centre,
            received_by=row.issued_at,
        )
        return evidence_page(
            self,
            request,
            Evidence(
                title=f"Events beneath the statement of {row.cost_centre}, {row.run.month}",
                selections=[selection],
                count=row.events,
                digest=row.events_digest,
                back=reverse("admin:allocation_statement_change", args=[row.pk]),
            ),
        )

    @shown("month", order="run__month")
    def month(self, row: Statement) -> str:
        return row.run.month

    @shown("kind", order="mode")
    def kind(self, row: Statement) -> SafeString:
        return label(row.mode)

    @shown("settled", order="amount_minor")
    def amount_figure(self, row: Statement) -> SafeString:
        return minor(row.amount_minor, row.currency)

    @shown("exact")
    def exact_figure(self, row: Statement) -> SafeString:
        return exact(row.exact, row.currency, extra=10)

    @shown("from")
    def from_run(self, row: Statement) -> SafeString | str:
        return link("allocation_allocationrun", row.run_id, row.run)

    @shown("issued", order="issued_at")
    def issued(self, row: Statement) -> SafeString:
        return instant(row.issued_at)

    @shown("digest")
    def asserted(self, row: Statement) -> SafeString:
        return digest(row.digest)

    @shown("events", order="events")
    def events_figure(self, row: Statement) -> SafeString:
        return figure(row.events)

    @shown("digest of the events")
    def events_proof(self, row: Statement) -> SafeString:
        return digest(row.events_digest)


def _drawn(object_id: str) -> tuple[Statement, Drawn]:
    row = Statement.objects.select_related("run__rule_version").get(pk=object_id)
    book = open_book(row.run, whose=Whose("cost_centre", row.cost_centre))
    return row, draw(book, cost_centre_subject(book, row.cost_centre), row.currency)


def _download(row: Statement, content: str, suffix: str, kind: str) -> HttpResponse:
    response = HttpResponse(content, content_type=f"{kind}; charset=utf-8")
    name = f"statement-{row.run.month}-{row.cost_centre}-{row.currency}.{suffix}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
