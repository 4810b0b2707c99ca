"""An invoice as Stripe is asked to hold it, as it was read back, and how the two differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from billing.domain.stripe_amounts import to_stripe
from metering.domain.periods import Period

MAX_ITEMS: Final = 250
"""Invoice items that Stripe takes on one invoice (its reference, `invoiceitems.create`)."""

_LONGEST_VALUE: Final = 500
"""Characters of a metadata value; descriptions are cut to the same."""

REFERENCE: Final = "apportion_reference"
INVOICE: Final = "apportion_invoice"
LINE: Final = "apportion_line"
TENANT: Final = "apportion_tenant"
TENANT_KEY: Final = "apportion_tenant_key"


class TooManyLines(ValueError):
    """The invoice has more lines than Stripe takes on one."""


class NotAnInvoice(ValueError):
    """What Stripe sent has not the shape of its invoices."""


@dataclass(frozen=True, slots=True)
class WantedLine:
    """One invoice item: an amount in Stripe's units for the line at `position` of our invoice."""

    position: int
    amount: int
    description: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What Stripe must hold for one approved invoice. `reference` names this invoice of this
    database and nothing else; it stands in the metadata of all that is made for it.

    The lines add up to `total`; there are at most `MAX_ITEMS`.
    """

    reference: str
    invoice_id: int
    tenant: str
    currency: str
    total: int
    start: int
    end: int
    outputs_digest: str
    lines: tuple[WantedLine, ...]

    def __post_init__(self) -> None:
        if len(self.lines) > MAX_ITEMS:
            raise TooManyLines(
                f"invoice {self.invoice_id} has {len(self.lines)} lines and Stripe takes "
                f"{MAX_ITEMS} on one invoice; part its plan's charges over fewer codes"
            )
        assert sum(x.amount for x in self.lines) == self.total


class LineTerms(NamedTuple):
    """A stored line: where it stands, what it says, what is owed, and what it stands on."""

    position: int
    description: str
    amount_minor: int
    facts: Mapping[str, str]


def wanted(
    *,
    reference: str,
    invoice_id: int,
    tenant: str,
    currency: str,
    period: Period,
    outputs_digest: str,
    lines: Sequence[LineTerms],
) -> Wanted:
    """What is asked of Stripe for these lines, those of nothing included: they say what the plan
    includes. Stripe's periods include their last second, ours end before theirs.

    Raises `Unrepresentable` and `TooManyLines`.
    """
    items = tuple(
        WantedLine(
            line.position,
            to_stripe(line.amount_minor, currency),
            line.description[:_LONGEST_VALUE],
            _metadata(
                {
                    REFERENCE: reference,
                    INVOICE: str(invoice_id),
                    LINE: str(line.position),
                    TENANT: tenant,
                    **line.facts,
                }
            ),
        )
        for line in lines
    )
    return Wanted(
        reference=reference,
        invoice_id=invoice_id,
        tenant=tenant,
        currency=currency,
        total=sum(x.amount for x in items),
        start=_second(period.start),
        end=_second(period.end) - 1,
        outputs_digest=outputs_digest,
        lines=items,
    )


def invoice_params(asked: Wanted, customer: str, days_until_due: int) -> dict[str, Any]:
    """A draft that Stripe neither finalizes by itself nor adds anything to: no items that wait
    for the customer's next invoice, no discount of theirs, no tax of its own."""
    return {
        "customer": customer,
        "currency": asked.currency.lower(),
        "auto_advance": False,
        "automatic_tax": {"enabled": False},
        "collection_method": "send_invoice",
        "days_until_due": days_until_due,
        "discounts": "",
        "pending_invoice_items_behavior": "exclude",
        "metadata": _metadata(
            {
                REFERENCE: asked.reference,
                INVOICE: str(asked.invoice_id),
                TENANT: asked.tenant,
                "apportion_outputs_digest": asked.outputs_digest,
            }
        ),
    }


def item_params(asked: Wanted, line: WantedLine, customer: str, invoice: str) -> dict[str, Any]:
    return {
        "customer": customer,
        "invoice": invoice,
        "currency": asked.currency.lower(),
        "amount": line.amount,
        "description": line.description,
        "discountable": False,
        "period": {"start": asked.start, "end": asked.end},
        "metadata": dict(line.metadata),
    }


def customer_params(tenant: str, tenant_key: str) -> dict[str, Any]:
    return {
        "name": tenant[:_LONGEST_VALUE],
        "metadata": _metadata({TENANT: tenant, TENANT_KEY: tenant_key}),
    }


@dataclass(frozen=True, slots=True)
class RemoteLine:
    """A line of an invoice as Stripe holds it."""

    id: str
    amount: int
    currency: str
    description: str
    start: int
    end: int
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RemoteInvoice:
    """An invoice as Stripe holds it; `transitions` are the instants of what happened to it
    (`finalized_at`, `paid_at`, `voided_at`, `marked_uncollectible_at`), where they did."""

    id: str
    status: str
    number: str
    customer: str
    currency: str
    total: int
    metadata: Mapping[str, str]
    transitions: Mapping[str, datetime]
    finalization_error: str

    @property
    def reference(self) -> str:
        return self.metadata.get(REFERENCE, "")


class Difference(NamedTuple):
    """Where what Stripe holds is not what we asked for."""

    where: str
    what: str


def remote_invoice(content: Mapping[str, Any]) -> RemoteInvoice:
    """Read Stripe's invoice object. Raises `NotAnInvoice`."""
    try:
        if content["object"] != "invoice":
            raise NotAnInvoice(f"a {content['object']}, no invoice")
        happened = content["status_transitions"]
        error = content.get("last_finalization_error") or {}
        return RemoteInvoice(
            id=str(content["id"]),
            status=str(content["status"]),
            number=str(content.get("number") or ""),
            customer=str(content["customer"]),
            currency=str(content["currency"]).upper(),
            total=int(content["total"]),
            metadata=dict(content.get("metadata") or {}),
            transitions={
                name: datetime.fromtimestamp(at, UTC) for name, at in happened.items() if at
            },
            finalization_error=str(error.get("message") or error.get("code") or ""),
        )
    except (KeyError, TypeError, AttributeError) as wrong:
        raise NotAnInvoice(f"not the shape of Stripe's invoices: {wrong!r}") from wrong


def remote_line(content: Mapping[str, Any]) -> RemoteLine:
    """Read Stripe's line item object. Raises `NotAnInvoice`."""
    try:
        return RemoteLine(
            id=str(content["id"]),
            amount=int(content["amount"]),
            currency=str(content["currency"]).upper(),
            description=str(content.get("description") or ""),
            start=int(content["period"]["start"]),
            end=int(content["period"]["end"]),
            metadata=dict(content.get("metadata") or {}),
        )
    except (KeyError, TypeError) as wrong:
        raise NotAnInvoice(f"not the shape of Stripe's line items: {wrong!r}") from wrong


def differences(
    asked: Wanted, customer: str, held: RemoteInvoice, lines: Sequence[RemoteLine]
) -> Iterator[Difference]:
    """Everything in which the invoice that Stripe holds is not the one that was asked for."""
    for name, ours, theirs in (
        ("customer", customer, held.customer),
        ("currency", asked.currency, held.currency),
        ("reference", asked.reference, held.reference),
        ("total", asked.total, held.total),
        ("number of lines", len(asked.lines), len(lines)),
    ):
        if ours != theirs:
            yield Difference(name, f"ours is {ours}, Stripe's is {theirs}")
    theirs_at: dict[str, list[RemoteLine]] = {}
    for line in lines:
        theirs_at.setdefault(line.metadata.get(LINE, ""), []).append(line)
    for ours_at in asked.lines:
        found = theirs_at.pop(str(ours_at.position), [])
        where = f"line {ours_at.position}"
        if len(found) != 1:
            yield Difference(where, f"is {len(found)} times at Stripe")
        for one in found:
            yield from _line_differences(where, asked, ours_at, one)
    for foreign in (line for rest in theirs_at.values() for line in rest):
        yield Difference(f"Stripe's line {foreign.id}", f"of {foreign.amount} is none of ours")


def _line_differences(
    where: str, asked: Wanted, ours: WantedLine, theirs: RemoteLine
) -> Iterator[Difference]:
    for name, mine, held in (
        ("amount", ours.amount, theirs.amount),
        ("currency", asked.currency, theirs.currency),
        ("description", ours.description, theirs.description),
        ("period", (asked.start, asked.end), (theirs.start, theirs.end)),
        ("metadata", dict(ours.metadata), dict(theirs.metadata)),
    ):
        if mine != held:
            yield Difference(f"{where} {name}", f"ours is {mine}, Stripe's is {held}")


def _metadata(values: Mapping[str, str]) -> dict[str, str]:
    """Stripe keeps no empty values, and 500 characters of the others."""
    return {name: value[:_LONGEST_VALUE] for name, value in values.items() if value}


def _second(instant: datetime) -> int:
    return int(instant.timestamp())
