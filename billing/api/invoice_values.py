"""Invoices, their lines and the events under them, as REST writes them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.exceptions import NotFound

from billing.domain.invoicing import SettledLine
from billing.evidence import stored_selections
from billing.models import Invoice, InvoiceLine
from metering.api.paging import Page, page_of_rows, paged, position_of
from metering.api.values import Day, Exact, Instant, Text, Truth, Whole, money
from metering.evidence_listing import EventFacts, events_under


class ChargeLineSerializer(serializers.Serializer[Any]):
    """`quantity` of `unit` at `unit_price` per `per`: what it comes to exactly, and what is owed of
    it after the one rounding to the currency's minor unit (half to even)."""

    position = Whole("place on the invoice, from 1", 3)
    kind = Text("fee, allowance (what the fee includes) or overage", "overage")
    charge = Text("the charge's code; empty for the fee", "tokens")
    description = Text(
        "in words", "Model tokens: 250,000 tokens above the 1,000,000 included at USD 2.5 per …"
    )
    unit = Text("tokens, requests, days or a unit that calls report", "tokens")
    quantity = Exact("how much", "250000")
    unit_price = Exact("price of `per` units, in the invoice's currency", "2.5")
    per = Whole("how many units the price is for", 1_000_000)
    amount = Exact("the exact amount", "0.625")
    owed = Text("what is owed, with the currency's decimals", "0.62")
    amount_minor = Whole("the same in minor units", 62)


class EvidenceSerializer(serializers.Serializer[Any]):
    """The events under a line: how many, and SHA-256 over event key (16 bytes) and seal digest (32
    bytes) of each, sorted by key. Lines of one charge stand on the same events; a fee on none."""

    count = Whole("how many events", 4_211)
    digest = Text("hexadecimal; empty where there are none", "9f2c…")


class InvoiceLineSerializer(ChargeLineSerializer):
    """A line of an invoice, with its evidence."""

    id = Whole("the line's own number, by which `export evidence` knows it", 118)
    evidence = EvidenceSerializer(read_only=True)


class InvoiceSummarySerializer(serializers.Serializer[Any]):
    """What is owed for one billing cycle."""

    id = Whole("the invoice", 17)
    number = Text("the number on it; null until it is final", "2026-000017", null=True)
    state = Text("approved or finalized; void where it was withdrawn after approval", "finalized")
    plan = Text("the plan's code", "pro")
    zone = Text("the clock by which the cycle's days are meant", "Asia/Kolkata")
    first_day = Day("the cycle's first day", "2026-10-01")
    end_day = Day("the first day after it", "2026-11-01")
    cycle_start = Instant("the instant at which it begins", "2026-09-30T18:30:00Z")
    cycle_end = Instant("the instant at which it ends", "2026-10-31T18:30:00Z")
    currency = Text("ISO 4217", "USD")
    total = Text("the lines' sum, with the currency's decimals", "50.12")
    total_minor = Whole("the same in minor units", 5012)
    approved_at = Instant("when it became owed", "2026-11-02T10:00:00Z", null=True)
    finalized_at = Instant("when it got its number", "2026-11-03T10:00:00Z", null=True)
    voided_at = Instant("when it was withdrawn", None, null=True)
    digest = Text("SHA-256 over the lines as they are owed", "5be1…")


class InvoiceSerializer(InvoiceSummarySerializer):
    """An invoice with its lines, which add up to its total."""

    lines = InvoiceLineSerializer(many=True, read_only=True)


class PartSerializer(serializers.Serializer[Any]):
    """The part of a line that one requested model and endpoint tag make up. A line's parts add up
    to its quantity and its exact amount."""

    model = Text("the requested model", "gpt-4o-mini")
    endpoint_tag = Text("the endpoint tag; empty for calls without", "checkout.summary")
    quantity = Exact("how much", "120000")
    amount = Exact("the exact amount", "0.3")


class EventSerializer(serializers.Serializer[Any]):
    """One event under a line, and what the tenant used of it."""

    event_key = Text("the event's key", "4b1c6a0e-8f2d-5c57-9a53-0c3f8f0d9a11")
    seal_digest = Text("what of the event the line's digest covers", "07ab…")
    occurred_at = Instant("when", "2026-10-03T12:00:00.123000Z")
    own = Truth("whether the call was the tenant's own; false: it has a share in it", True)  # noqa: FBT003 - an example
    shared = Truth("whether tenants share the call", False)  # noqa: FBT003 - an example
    requests = Whole("1; 0 for a share in another's call", 1)
    external_request_id = Text("the id it was reported under; null unless own", "req_1", null=True)
    user = Text("random pseudonym of who called; null: not told, or not own", None, null=True)
    model = Text("the requested model", "gpt-4o-mini")
    endpoint_tag = Text("the endpoint tag; empty for none", "checkout.summary")
    status = Text("success or error", "success")
    data_mode = Text("real, test or demo", "real")
    environment = Text("prod, staging or dev", "prod")
    served_from = Text("provider or caller_cache", "provider")
    classes = serializers.DictField(
        child=Exact(),
        read_only=True,
        help_text="what the tenant used of it by disjoint class of token, and units",
    )


def invoice_value(invoice: Invoice) -> dict[str, Any]:
    """The summary of an invoice (its subscription is read with it, or one by one)."""
    return {
        "id": invoice.pk,
        "number": invoice.number,
        "state": invoice.state,
        "tenant": invoice.tenant,
        "plan": invoice.subscription.plan_id,
        "zone": invoice.zone,
        "first_day": invoice.first_day,
        "end_day": invoice.end_day,
        "cycle_start": invoice.cycle_start,
        "cycle_end": invoice.cycle_end,
        "currency": invoice.currency,
        "total": money(invoice.total_minor, invoice.currency),
        "total_minor": invoice.total_minor,
        "author": invoice.author,
        "created_at": invoice.created_at,
        "approved_by": invoice.approved_by,
        "approved_at": invoice.approved_at,
        "finalized_at": invoice.finalized_at,
        "voided_at": invoice.voided_at,
        "void_reason": invoice.void_reason,
        "digest": invoice.outputs_digest,
    }


def invoice_with_lines(invoice: Invoice) -> dict[str, Any]:
    return {
        **invoice_value(invoice),
        "lines": [_line_value(row, invoice.currency) for row in invoice.lines.order_by("position")],
    }


def settled_line_value(position: int, settled: SettledLine, currency: str) -> dict[str, Any]:
    """A line that is computed, and not stored (yet)."""
    line = settled.line
    return {
        "position": position,
        "kind": line.kind,
        "charge": line.charge_code,
        "description": line.description,
        "unit": line.unit,
        "quantity": line.quantity,
        "unit_price": line.unit_price,
        "per": line.per,
        "amount": line.amount,
        "owed": money(settled.amount_minor, currency),
        "amount_minor": settled.amount_minor,
    }


def _line_value(row: InvoiceLine, currency: str) -> dict[str, Any]:
    return {
        "id": row.pk,
        "position": row.position,
        "kind": row.kind,
        "charge": row.charge_code,
        "description": row.description,
        "unit": row.unit,
        "quantity": row.quantity,
        "unit_price": row.unit_price,
        "per": row.per,
        "amount": row.amount,
        "owed": money(row.amount_minor, currency),
        "amount_minor": row.amount_minor,
        "evidence": {"count": row.evidence_count, "digest": row.evidence_digest},
    }


def invoice_page(invoices: QuerySet[Invoice], asked: dict[str, Any]) -> Page:
    """A page of invoices, the latest cycle first."""
    rows = invoices.select_related("subscription")
    found = page_of_rows(rows, asked, by="id", downwards=True)
    return found._replace(items=[invoice_value(row) for row in found.items])


def the_invoice(invoices: QuerySet[Invoice], invoice_id: int) -> Invoice:
    """The invoice, of those that whoever asks may see. Raises `NotFound`."""
    found = invoices.select_related("subscription").filter(pk=invoice_id).first()
    if found is None:
        raise NotFound(
            f"there is no invoice {invoice_id}; the list of invoices has those there are"
        )
    return found


def the_line(invoices: QuerySet[Invoice], invoice_id: int, position: int) -> InvoiceLine:
    """A line of such an invoice, by its position. Raises `NotFound`."""
    invoice = the_invoice(invoices, invoice_id)
    line = invoice.lines.select_related("invoice").filter(position=position).first()
    if line is None:
        raise NotFound(f"invoice {invoice_id} has no line {position}")
    return line


def parts_page(line: InvoiceLine, asked: dict[str, Any]) -> Page:
    return page_of_rows(line.parts.all(), asked, by="id")


def events_page(line: InvoiceLine, asked: dict[str, Any]) -> Page:
    """A page of the events under the line, by key, as they were when the invoice was drafted."""
    after = position_of(asked.get("cursor"), UUID)
    limit: int = asked["limit"]
    found: list[EventFacts] = events_under(
        stored_selections(line), line.invoice.tenant, limit + 1, after
    )
    return paged(found, limit, lambda event: event.event_key)
