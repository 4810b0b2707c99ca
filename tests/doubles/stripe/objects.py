"""Objects as Stripe's API gives them (version 2026-10-28), every required field of them."""

from __future__ import annotations

from typing import Any

Content = dict[str, Any]


def customer(id: str, given: Content, *, created: int, prefix: str) -> Content:
    return {
        "id": id,
        "object": "customer",
        "address": None,
        "balance": given.get("balance", 0),
        "created": created,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": given.get("description"),
        "discount": None,
        "email": given.get("email"),
        "invoice_prefix": prefix,
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": dict(given.get("metadata") or {}),
        "name": given.get("name"),
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def invoice(id: str, given: Content, *, created: int, name: str | None) -> Content:
    """A draft without items."""
    send = given.get("collection_method") == "send_invoice"
    days = given.get("days_until_due")
    return {
        "id": id,
        "object": "invoice",
        "account_country": "US",
        "account_name": None,
        "account_tax_ids": None,
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": given.get("auto_advance", False),
        "automatic_tax": {
            "enabled": False,
            "liability": None,
            "status": None,
            "disabled_reason": None,
            "provider": None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": "manual",
        "collection_method": "send_invoice" if send else "charge_automatically",
        "created": created,
        "currency": given["currency"],
        "custom_fields": None,
        "customer": given["customer"],
        "customer_account": None,
        "customer_address": None,
        "customer_email": None,
        "customer_name": name,
        "customer_phone": None,
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": given.get("description"),
        "discounts": [],
        "due_date": created + days * 86_400 if days is not None else None,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": None,
        "livemode": False,
        "metadata": dict(given.get("metadata") or {}),
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": None,
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": created,
        "period_start": created,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": 0,
        "statement_descriptor": None,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "test_clock": None,
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": None,
    }


def item(id: str, given: Content, *, created: int) -> Content:
    period = given.get("period") or {"start": created, "end": created}
    return {
        "id": id,
        "object": "invoiceitem",
        "amount": given["amount"],
        "currency": given["currency"],
        "customer": given["customer"],
        "customer_account": None,
        "date": created,
        "description": given.get("description"),
        "discountable": given.get("discountable", True),
        "discounts": [],
        "invoice": given.get("invoice"),
        "livemode": False,
        "metadata": dict(given.get("metadata") or {}),
        "net_amount": given["amount"],
        "parent": None,
        "period": dict(period),
        "pricing": {"type": "price_details", "unit_amount_decimal": str(given["amount"])},
        "proration": False,
        "quantity": 1,
        "quantity_decimal": "1",
        "tax_rates": [],
        "test_clock": None,
    }


def line(one: Content) -> Content:
    """The line of an invoice that an invoice item is."""
    return {
        "id": "il_" + one["id"].removeprefix("ii_"),
        "object": "line_item",
        "amount": one["amount"],
        "currency": one["currency"],
        "description": one["description"],
        "discount_amounts": [],
        "discountable": one["discountable"],
        "discounts": [],
        "invoice": one["invoice"],
        "livemode": False,
        "metadata": dict(one["metadata"]),
        "parent": {
            "invoice_item_details": {
                "invoice_item": one["id"],
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": None,
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
        "period": dict(one["period"]),
        "pretax_credit_amounts": [],
        "pricing": dict(one["pricing"]),
        "quantity": one["quantity"],
        "quantity_decimal": one["quantity_decimal"],
        "subscription": None,
        "subtotal": one["amount"],
        "taxes": [],
    }


def event(id: str, kind: str, content: Content, *, created: int, request: str | None) -> Content:
    return {
        "id": id,
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": created,
        "data": {"object": content},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": request, "idempotency_key": None},
        "type": kind,
    }


def page(url: str, data: list[Content], *, has_more: bool) -> Content:
    return {"object": "list", "url": url, "has_more": has_more, "data": data}
