"""Invoices: what a customer owes for a cycle, and the second person's approval."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing import push_run
from billing.approvals import NotApproved, approve
from billing.models import Invoice, InvoiceLine
from billing.stripe_gateway import StripeNotConfigured
from config.roles import APPROVE_INVOICE, PUSH_INVOICE
from metering.admin.acts import Act, action, perform
from metering.admin.bases import ReadOnlyAdmin, shown
from metering.admin.figures import (
    NOTHING,
    day,
    digest,
    exact,
    figure,
    instant,
    label,
    link,
    minor,
    number,
)
from metering.admin.tables import Column, Section, figures, text
from metering.people import NotAllowed


@admin.register(Invoice)
class InvoiceAdmin(ReadOnlyAdmin):
    list_display = ("tenant", "cycle", "shown_state", "total_figure", "plan", "number", "author",
                    "approved_by")  # fmt: skip
    list_filter = ("state", "currency")
    list_select_related = ("subscription",)
    date_hierarchy = "end_day"
    search_fields = ("tenant", "number")
    ordering = ("-end_day", "tenant")
    fields = (
        ("tenant", "shown_state"),
        ("cycle", "total_figure"),
        ("plan", "number"),
        ("prepared", "approved"),
        ("made_from", "result"),
    )
    readonly_fields = ("shown_state", "cycle", "total_figure", "plan", "prepared", "approved",
                       "made_from", "result", "replaced", "voided")  # fmt: skip
    actions = ("approve_chosen", "push_chosen")
    actions_detail = ("approve", "push")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A void invoice says why; one that replaces another says which."""
        fields = tuple(super().get_fields(request, obj))
        told = obj is not None and (obj.replaces_id is not None or obj.voided_at is not None)
        return (*fields, ("replaced", "voided")) if told else fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Invoice]:
        return super().get_queryset(request).select_related("subscription", "plan_version")

    def sections(self, request: HttpRequest, row: Invoice) -> Sequence[Section]:  # noqa: ARG002
        return [lines_of(row)]

    def has_approve_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whoever may approve invoices, of an invoice that is a draft."""
        if not request.user.has_perm(APPROVE_INVOICE):
            return False
        drafts = Invoice.objects.filter(state=Invoice.State.DRAFT)
        return object_id is None or drafts.filter(pk=object_id).exists()

    @admin.action(description="Approve the chosen drafts", permissions=["approve"])
    def approve_chosen(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> None:
        """All or none: the first that is refused is told, and nothing is approved."""
        chosen = sorted(queryset.values_list("pk", flat=True))
        try:
            with transaction.atomic():
                for invoice_id in chosen:
                    approve(invoice_id, by=request.user.get_username(), now=timezone.now())
        except (NotApproved, NotAllowed) as error:
            messages.error(request, f"None is approved: {error}")
            return
        messages.success(request, f"{len(chosen)} invoices are approved.")

    @action(description="Approve", url_path="approve", permissions=["approve"], icon="verified")
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice = Invoice.objects.get(pk=object_id)
        person = request.user.get_username()

        def do(_: dict[str, Any]) -> str:
            approve(invoice.pk, by=person, now=timezone.now())
            return f"The invoice of {invoice.tenant} is approved."

        return perform(
            self,
            request,
            Act(
                title=f"Approve the invoice of {invoice.tenant}",
                note=format_html(
                    "{} for {}. Drafted by {}; you approve it as {}. An approved invoice does not "
                    "change any more.",
                    minor(invoice.total_minor, invoice.currency),
                    cycle_of(invoice),
                    invoice.author,
                    person,
                ),
                button="Approve the invoice",
                do=do,
                refusals=(NotApproved, NotAllowed),
                back=reverse("admin:billing_invoice_change", args=[invoice.pk]),
                sections=[lines_of(invoice)],
            ),
        )

    def has_push_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whoever may push invoices, of one that is approved and not yet at Stripe."""
        if not request.user.has_perm(PUSH_INVOICE):
            return False
        approved = Invoice.objects.filter(state=Invoice.State.APPROVED)
        return object_id is None or approved.filter(pk=object_id).exists()

    @admin.action(description="Push the chosen approved ones to Stripe", permissions=["push"])
    def push_chosen(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> None:
        """Drafts among them stay as they are."""
        try:
            said = _push(list(queryset.values_list("pk", flat=True)), request)
        except _PUSH_REFUSALS as error:
            messages.error(request, str(error))
            return
        messages.success(request, said)

    @action(description="Push to Stripe", url_path="push", permissions=["push"], icon="send")
    def push(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice = Invoice.objects.get(pk=object_id)
        return perform(
            self,
            request,
            Act(
                title=f"Push the invoice of {invoice.tenant} to Stripe",
                note=format_html(
                    "{} for {}. Stripe finalizes it and sends it to the customer.",
                    minor(invoice.total_minor, invoice.currency),
                    cycle_of(invoice),
                ),
                button="Push the invoice",
                do=lambda _: _push([invoice.pk], request),
                refusals=_PUSH_REFUSALS,
                back=reverse("admin:billing_invoice_change", args=[invoice.pk]),
                sections=[lines_of(invoice)],
            ),
        )

    @shown("state", order="state")
    def shown_state(self, row: Invoice) -> SafeString:
        return label(row.state)

    @shown("cycle", order="cycle_start")
    def cycle(self, row: Invoice) -> str:
        return cycle_of(row)

    @shown("total", order="total_minor")
    def total_figure(self, row: Invoice) -> SafeString:
        return minor(row.total_minor, row.currency)

    @shown("plan")
    def plan(self, row: Invoice) -> SafeString | str:
        return link("billing_planversion", row.plan_version_id, row.subscription.plan_id)

    @shown("drafted")
    def prepared(self, row: Invoice) -> SafeString:
        return format_html("{}, {}", row.author, instant(row.created_at))

    @shown("approved")
    def approved(self, row: Invoice) -> SafeString | str:
        if row.approved_by is None:
            return "not yet"
        return format_html("{}, {}", row.approved_by, instant(row.approved_at))

    @shown("digest of what was charged")
    def made_from(self, row: Invoice) -> SafeString:
        return digest(row.inputs_digest)

    @shown("digest of the lines")
    def result(self, row: Invoice) -> SafeString:
        return digest(row.outputs_digest)

    @shown("replaces")
    def replaced(self, row: Invoice) -> SafeString | str:
        if row.replaces_id is None:
            return NOTHING
        return link("billing_invoice", row.replaces_id, f"draft {row.replaces_id}")

    @shown("voided")
    def voided(self, row: Invoice) -> SafeString | str:
        if row.voided_at is None:
            return NOTHING
        return format_html("{}: {}", instant(row.voided_at), row.void_reason)


_PUSH_REFUSALS: Final = (push_run.NothingToPush, StripeNotConfigured, NotAllowed)


def _push(invoice_ids: list[int], request: HttpRequest) -> str:
    started = push_run.start(invoice_ids, by=request.user.get_username(), now=timezone.now())
    told = "On its way to Stripe: {}. {}" if started.new else "{} was on its way already. {}"
    run = started.run
    return format_html(told, run.subject, link("metering_workrun", run.pk, "How it goes"))


def cycle_of(invoice: Invoice) -> str:
    """The cycle's first and last day by the customer's clock."""
    last = invoice.end_day - timedelta(days=1)
    zone = "" if invoice.zone == "UTC" else f" ({invoice.zone})"
    return f"{day(invoice.first_day)} to {day(last)}{zone}"


def lines_of(invoice: Invoice) -> Section:
    """Each line explains its amount, and leads to the events beneath it."""
    return Section(
        "Lines",
        [
            *text("line", "kind"),
            *figures("quantity", "price", "amount", "owed"),
            Column("events beneath"),
        ],
        [
            (
                link("billing_invoiceline", line.pk, line.description),
                line.kind,
                figure(line.quantity),
                _price(line, invoice.currency),
                exact(line.amount, invoice.currency),
                minor(line.amount_minor, invoice.currency),
                _events(line),
            )
            for line in invoice.lines.order_by("position")
        ],
        totals=("total", "", "", "", "", minor(invoice.total_minor, invoice.currency), ""),
    )


def _price(line: InvoiceLine, currency: str) -> SafeString:
    price = exact(line.unit_price, currency)
    if line.per == 1:
        return price
    return format_html(
        '{}<span class="figure currency">per {} {}</span>',
        price,
        number(line.per),
        line.unit.replace("_", " "),
    )


def _events(line: InvoiceLine) -> SafeString:
    if not line.evidence_count:
        return NOTHING
    url = reverse("admin:billing_invoiceline_evidence", args=[line.pk])
    return format_html(
        '<a class="link" href="{}">{} events</a><br>{}',
        url,
        number(line.evidence_count),
        digest(line.evidence_digest),
    )
