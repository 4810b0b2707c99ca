"""What Stripe was asked for and what it told: pushes, requests and webhooks, to look at."""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing.models import StripeEvent, StripeFinding, StripePush, StripeRequest
from metering.admin.bases import ReadOnlyAdmin, shown
from metering.admin.figures import NOTHING, digest, instant, label, link
from metering.admin.tables import Section, text

_COLOURS = {
    "intended": "pending",
    "drafted": "running",
    "sent": "running",
    "compared": "running",
    "confirmed": "done",
    "refused": "failed",
    "failed": "failed",
    "applied": "done",
    "ignored": "none",
}


def _state(state: str) -> SafeString:
    return label(_COLOURS.get(state, state), state)


def _invoice(row: StripePush | StripeRequest) -> SafeString | str:
    return link("billing_invoice", row.invoice_id, f"{row.invoice.tenant}, {row.invoice.end_day}")


@admin.register(StripePush)
class StripePushAdmin(ReadOnlyAdmin):
    """An invoice on its way to Stripe."""

    list_display = ("whose", "shown_state", "stripe_invoice", "account", "begun", "finalized")
    list_filter = ("state", "account")
    list_select_related = ("invoice",)
    search_fields = ("invoice__tenant", "stripe_invoice", "reference")
    ordering = ("-begun_at", "-id")
    fields = (
        ("whose", "shown_state"),
        ("stripe_invoice", "customer"),
        ("account", "reference"),
        ("begun", "finalized"),
        "message",
    )
    readonly_fields = ("whose", "shown_state", "begun", "finalized")

    def sections(self, request: HttpRequest, row: StripePush) -> Sequence[Section]:  # noqa: ARG002
        findings = StripeFinding.objects.filter(invoice=row.invoice_id).order_by("id")
        requests = StripeRequest.objects.filter(invoice=row.invoice_id).order_by("id")
        return [
            Section(
                "What is not as it should be",
                text("found", "where", "what"),
                [(instant(each.found_at), each.where, each.what) for each in findings],
                empty="Stripe's invoice is ours, line by line.",
            ),
            Section(
                "Requests",
                text("purpose", "state", "object", "sent", "answered", "problem"),
                [
                    (
                        link("billing_striperequest", each.pk, each.purpose),
                        _state(each.state),
                        each.object_id or NOTHING,
                        instant(each.sent_at),
                        instant(each.answered_at),
                        each.problem or NOTHING,
                    )
                    for each in requests
                ],
            ),
        ]

    @shown("invoice", order="invoice__tenant")
    def whose(self, row: StripePush) -> SafeString | str:
        return _invoice(row)

    @shown("state", order="state")
    def shown_state(self, row: StripePush) -> SafeString:
        return _state(row.state)

    @shown("begun", order="begun_at")
    def begun(self, row: StripePush) -> SafeString:
        return instant(row.begun_at)

    @shown("finalized", order="finalized_at")
    def finalized(self, row: StripePush) -> SafeString:
        return instant(row.finalized_at)


@admin.register(StripeRequest)
class StripeRequestAdmin(ReadOnlyAdmin):
    """A call that makes something at Stripe: intended before it is sent, once for each key."""

    list_display = ("purpose", "whose", "shown_state", "object_id", "attempt", "intended")
    list_filter = ("state", "purpose")
    list_select_related = ("invoice",)
    search_fields = ("invoice__tenant", "object_id", "key", "request_id")
    ordering = ("-id",)
    fields = (
        ("purpose", "whose"),
        ("shown_state", "attempt"),
        ("key", "object_id"),
        ("request_id", "problem"),
        ("intended", "sent", "answered"),
        "asked",
    )
    readonly_fields = ("whose", "shown_state", "intended", "sent", "answered", "asked")

    @shown("invoice", order="invoice__tenant")
    def whose(self, row: StripeRequest) -> SafeString | str:
        return _invoice(row)

    @shown("state", order="state")
    def shown_state(self, row: StripeRequest) -> SafeString:
        return _state(row.state)

    @shown("intended", order="intended_at")
    def intended(self, row: StripeRequest) -> SafeString:
        return instant(row.intended_at)

    @shown("sent")
    def sent(self, row: StripeRequest) -> SafeString:
        return instant(row.sent_at)

    @shown("answered")
    def answered(self, row: StripeRequest) -> SafeString:
        return instant(row.answered_at)

    @shown("what was asked")
    def asked(self, row: StripeRequest) -> SafeString:
        return _as_text(row.params)


@admin.register(StripeEvent)
class StripeEventAdmin(ReadOnlyAdmin):
    """A webhook, kept as it came; what it came to stands beside it once it is applied."""

    list_display = ("event", "type", "became", "of_invoice", "created", "received")
    list_filter = ("type", "outcome__outcome")
    list_select_related = ("outcome__invoice",)
    search_fields = ("event",)
    ordering = ("-id",)
    fields = (
        ("event", "type"),
        ("became", "of_invoice"),
        ("message", "livemode"),
        ("created", "received"),
        "body_digest",
        "content",
    )
    readonly_fields = ("became", "of_invoice", "message", "created", "received", "body_digest",
                       "content")  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[StripeEvent]:
        return super().get_queryset(request).select_related("outcome__invoice")

    @shown("outcome", order="outcome__outcome")
    def became(self, row: StripeEvent) -> SafeString:
        outcome = getattr(row, "outcome", None)
        return label("pending") if outcome is None else _state(outcome.outcome)

    @shown("invoice")
    def of_invoice(self, row: StripeEvent) -> SafeString | str:
        outcome = getattr(row, "outcome", None)
        if outcome is None or outcome.invoice is None:
            return NOTHING
        return link("billing_invoice", outcome.invoice_id, outcome.invoice.tenant)

    @shown("what it came to")
    def message(self, row: StripeEvent) -> SafeString | str:
        outcome = getattr(row, "outcome", None)
        return outcome.message if outcome is not None and outcome.message else NOTHING

    @shown("by Stripe's clock", order="created_at")
    def created(self, row: StripeEvent) -> SafeString:
        return instant(row.created_at)

    @shown("received", order="received_at")
    def received(self, row: StripeEvent) -> SafeString:
        return instant(row.received_at)

    @shown("digest of the bytes")
    def body_digest(self, row: StripeEvent) -> SafeString:
        return digest(row.digest)

    @shown("as it came")
    def content(self, row: StripeEvent) -> SafeString:
        try:
            return _as_text(json.loads(bytes(row.body)))
        except ValueError:
            return _as_text(bytes(row.body).decode(errors="replace"))


def _as_text(value: object) -> SafeString:
    shown_as = value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)
    return format_html('<pre class="raw">{}</pre>', shown_as)
