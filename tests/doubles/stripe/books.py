"""What this Stripe holds, and what its calls do to it."""

from __future__ import annotations

import copy
import re
import secrets
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from tests.doubles.stripe import objects
from tests.doubles.stripe.errors import ApiError, invalid, missing
from tests.doubles.stripe.objects import Content

MAX_ITEMS: Final = 250
MAX_METADATA: Final = 50
STEPS: Final = {
    **dict.fromkeys(("bhd", "jod", "kwd", "omr", "tnd"), 10),
    **dict.fromkeys(("isk", "ugx"), 100),
}
"""What amounts of a currency must be a multiple of (docs.stripe.com/currencies)."""

_QUERY: Final = re.compile(r"metadata\['([^']+)'\]:'([^']*)'")


class Books:
    """Customers, invoices, items and events, in the order of their making.

    `clock` gives Unix seconds. `search_lag`: search does not see what is younger, in seconds.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.search_lag = 0
        self.customers: dict[str, Content] = {}
        self.invoices: dict[str, Content] = {}
        self.items: dict[str, Content] = {}
        self.events: list[Content] = []
        self._serial = count(1)
        self._salt = secrets.token_hex(4)

    def create_customer(self, given: Content) -> Content:
        _check_metadata(given)
        id = self._id("cus")
        prefix = f"{self._salt}{next(self._serial):04}".upper()
        made = objects.customer(id, given, created=self.clock(), prefix=prefix)
        self.customers[id] = made
        self._tell("customer.created", made)
        return made

    def customer(self, id: str) -> Content:
        if id not in self.customers:
            raise missing("customer", id)
        return self.customers[id]

    def delete_customer(self, id: str) -> Content:
        self.customer(id)
        self.customers[id] = {"id": id, "object": "customer", "deleted": True}
        return self.customers[id]

    def list_customers(self, given: Content) -> list[Content]:
        standing = [x for x in self.customers.values() if not x.get("deleted")]
        return _newest(_since(standing, given))

    def search_customers(self, given: Content) -> list[Content]:
        query = _QUERY.fullmatch(given["query"])
        if query is None:
            raise invalid("We were unable to parse your search query.", param="query")
        name, value = query.groups()
        return [
            x
            for x in self.list_customers({})
            if x["metadata"].get(name) == value and x["created"] + self.search_lag <= self.clock()
        ]

    def create_invoice(self, given: Content) -> Content:
        _check_metadata(given)
        who = self._standing_customer(given)
        sent = given.get("collection_method") == "send_invoice"
        if sent and "days_until_due" not in given and "due_date" not in given:
            raise invalid(
                "If invoice.collection_method=send_invoice, you must set days_until_due or "
                "due_date.",
                param="days_until_due",
            )
        given = {"currency": "usd", **given}
        id = self._id("in")
        made = objects.invoice(id, given, created=self.clock(), name=who["name"])
        self.invoices[id] = made
        self._tell("invoice.created", self.invoice(id))
        return self.invoice(id)

    def invoice(self, id: str) -> Content:
        """The invoice with what its items come to, and its first ten lines."""
        if id not in self.invoices:
            raise missing("invoice", id)
        held = self.invoices[id]
        if held["status"] == "draft":
            total = sum(x["amount"] for x in self.items_of(id))
            held |= dict.fromkeys(
                ("subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"), total
            )
            held |= {"amount_due": total, "amount_remaining": total}
        lines = self.lines(id)
        held["lines"] = objects.page(
            f"/v1/invoices/{id}/lines", lines[:10], has_more=lines[10:] != []
        )
        return held

    def list_invoices(self, given: Content) -> list[Content]:
        found = [
            x
            for x in self.invoices
            if given.get("customer") in (None, self.invoices[x]["customer"])
        ]
        return _newest(_since([self.invoice(x) for x in found], given))

    def items_of(self, invoice: str) -> list[Content]:
        return [x for x in self.items.values() if x["invoice"] == invoice]

    def lines(self, invoice: str) -> list[Content]:
        if invoice not in self.invoices:
            raise missing("invoice", invoice)
        return [objects.line(x) for x in _newest(self.items_of(invoice))]

    def delete_invoice(self, id: str) -> Content:
        self._draft(id, "You can only delete draft invoices.")
        gone = self.invoices.pop(id)
        self.items = {k: x for k, x in self.items.items() if x["invoice"] != id}
        self._tell("invoice.deleted", gone)
        return {"id": id, "object": "invoice", "deleted": True}

    def create_item(self, given: Content) -> Content:
        _check_metadata(given)
        self._standing_customer(given)
        if "amount" not in given:
            raise invalid("You must provide one of amount or price.", param="amount")
        given = {"currency": "usd", **given}
        step = STEPS.get(given["currency"], 1)
        if given["amount"] % step:
            raise invalid(
                f"Invalid amount: {given['currency']} amounts must be a multiple of {step}.",
                param="amount",
                code="parameter_invalid_integer",
            )
        if "invoice" in given:
            self._check_place(given)
        id = self._id("ii")
        made = objects.item(id, given, created=self.clock())
        self.items[id] = made
        self._tell("invoiceitem.created", made)
        return made

    def _check_place(self, given: Content) -> None:
        held = self._draft(given["invoice"], "Invoice items can only be added to draft invoices.")
        if held["customer"] != given["customer"]:
            raise invalid("The invoice belongs to another customer.", param="invoice")
        if held["currency"] != given["currency"]:
            raise invalid("The currency must match the invoice's.", param="currency")
        if len(self.items_of(given["invoice"])) >= MAX_ITEMS:
            raise invalid(
                f"Invoices can have at most {MAX_ITEMS} invoice items.",
                code="invoice_line_items_limit_exceeded",
            )

    def list_items(self, given: Content) -> list[Content]:
        invoice = given.get("invoice")
        if invoice is not None and invoice not in self.invoices:
            raise missing("invoice", invoice, param="invoice")
        return _newest([x for x in self.items.values() if invoice in (None, x["invoice"])])

    def change_item(self, id: str, given: Content) -> Content:
        if id not in self.items:
            raise missing("invoiceitem", id)
        self._draft(self.items[id]["invoice"], "The invoice item's invoice is no draft.")
        self.items[id] |= given
        return self.items[id]

    def delete_item(self, id: str) -> Content:
        if id not in self.items:
            raise missing("invoiceitem", id)
        self._draft(self.items[id]["invoice"], "The invoice item's invoice is no draft.")
        del self.items[id]
        return {"id": id, "object": "invoiceitem", "deleted": True}

    def finalize(self, id: str, given: Content) -> Content:
        held = self._draft(
            id, "This invoice is already finalized, you can't re-finalize a non-draft invoice."
        )
        if not self.items_of(id):
            raise invalid("Nothing to invoice for customer", code="invoice_no_customer_line_items")
        who = self.customers[held["customer"]]
        held["status"] = "open"
        held["auto_advance"] = given.get("auto_advance", held["auto_advance"])
        held["number"] = f"{who['invoice_prefix']}-{who['next_invoice_sequence']:04}"
        who["next_invoice_sequence"] += 1
        held["effective_at"] = self.clock()
        held["hosted_invoice_url"] = f"https://invoice.example/{id}"
        self._pass(id, "finalized_at", "invoice.finalized")
        return self.pay(id) if held["total"] == 0 else self.invoice(id)

    def pay(self, id: str) -> Content:
        held = self._standing_invoice(id, "open", "uncollectible")
        held |= {"status": "paid", "amount_paid": held["amount_due"], "amount_remaining": 0}
        return self._pass(id, "paid_at", "invoice.paid")

    def void(self, id: str) -> Content:
        held = self._standing_invoice(id, "open", "uncollectible")
        held |= {"status": "void", "amount_remaining": 0}
        return self._pass(id, "voided_at", "invoice.voided")

    def mark_uncollectible(self, id: str) -> Content:
        self._standing_invoice(id, "open")["status"] = "uncollectible"
        return self._pass(id, "marked_uncollectible_at", "invoice.marked_uncollectible")

    def _pass(self, id: str, transition: str, kind: str) -> Content:
        held = self.invoice(id)
        held["status_transitions"][transition] = self.clock()
        self._tell(kind, held)
        return held

    def _tell(self, kind: str, content: Content) -> None:
        told = copy.deepcopy(content)
        made = objects.event(self._id("evt"), kind, told, created=self.clock(), request=None)
        self.events.append(made)

    def _standing_customer(self, given: Content) -> Content:
        who = self.customers.get(given.get("customer", ""))
        if who is None or who.get("deleted"):
            raise missing("customer", given.get("customer", ""), "customer", status=400)
        return who

    def _draft(self, id: str, message: str) -> Content:
        held = self.invoice(id)
        if held["status"] != "draft":
            raise invalid(message, code="invoice_not_editable")
        return held

    def _standing_invoice(self, id: str, *statuses: str) -> Content:
        held = self.invoice(id)
        if held["status"] not in statuses:
            raise invalid(f"The invoice is {held['status']}.", code="invoice_not_editable")
        return held

    def _id(self, kind: str) -> str:
        return f"{kind}_{self._salt}{next(self._serial):08}"


def _check_metadata(given: dict[str, Any]) -> None:
    metadata = given.get("metadata") or {}
    if len(metadata) > MAX_METADATA:
        raise ApiError(400, "You can have up to 50 metadata keys.", param="metadata")
    for name, value in metadata.items():
        if len(name) > 40 or len(value) > 500:
            raise invalid(
                "Metadata names have up to 40 characters and values up to 500.",
                param=f"metadata[{name}]",
            )


def _newest(made: list[Content]) -> list[Content]:
    """Stripe lists the newest first."""
    return list(reversed(made))


def _since(made: list[Content], given: Content) -> list[Content]:
    created = given.get("created") or {}
    return [x for x in made if x["created"] >= created.get("gte", 0)]
