"""What a push makes at Stripe, step by step: each is found again or made once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.db import transaction

from billing.domain.stripe_invoice import (
    LINE,
    REFERENCE,
    TENANT_KEY,
    Difference,
    RemoteInvoice,
    Wanted,
    customer_params,
    differences,
    invoice_params,
    item_params,
    remote_invoice,
    remote_line,
)
from billing.models import StripeCustomer, StripeRequest
from billing.stripe_gateway import Purpose, StripeGateway, StripeMissing
from billing.stripe_requests import Ask, Lease, Made, perform
from metering.domain.digests import digest_of

DAYS_UNTIL_DUE: Final = 30

_SKEW: Final = timedelta(hours=1)
"""By how much Stripe's clock may be behind ours."""

_KEY_LENGTH: Final = 32


class PushRefused(ValueError):
    """The invoice cannot be pushed as it is; a person has to look. `found` are the differences."""

    def __init__(
        self, message: str, *, stripe_invoice: str = "", found: Sequence[Difference] = ()
    ) -> None:
        super().__init__(message)
        self.stripe_invoice = stripe_invoice
        self.found = list(found)


class Drafted(NamedTuple):
    """The draft at Stripe, and whether this push has just made it, so that it is empty."""

    id: str
    generation: int
    new: bool


class MadeAtStripe:
    """The steps for one invoice. They raise what `billing.stripe_requests.perform` does, and
    `PushRefused`."""

    def __init__(
        self, asked: Wanted, gateway: StripeGateway, lease: Lease, *, since: datetime
    ) -> None:
        """`since` is when our invoice was made; nothing of it is at Stripe from before."""
        self._asked = asked
        self._gateway = gateway
        self._lease = lease
        self._since = since - _SKEW

    def customer(self) -> str:
        """The tenant's customer: the one that is known here, that Stripe knows, or a new one."""
        tenant, account = self._asked.tenant, self._gateway.account
        customers = StripeCustomer.objects.filter(tenant=tenant, account=account)
        known = customers.filter(gone_at=None).first()
        if known is not None:
            if not self._gateway.customer_is_gone(known.customer):
                return known.customer
            customers.filter(pk=known.pk).update(gone_at=self._lease.clock.now())
        key = digest_of(tenant)[:_KEY_LENGTH]
        there = _ids(self._gateway.customers_with(TENANT_KEY, key), TENANT_KEY, key)
        if len(there) > 1:
            raise PushRefused(
                f"{tenant} is {len(there)} customers at Stripe ({', '.join(there[:3])}); delete "
                "all but one there and push again"
            )
        customer = there[0] if there else self._new_customer(key, customers.count())
        with transaction.atomic(durable=True):
            row, _ = StripeCustomer.objects.get_or_create(
                tenant=tenant,
                account=account,
                gone_at=None,
                defaults={"customer": customer, "found_at": self._lease.clock.now()},
            )
            return row.customer

    def _new_customer(self, key: str, gone: int) -> str:
        def find(request: StripeRequest) -> str | None:
            since = request.intended_at - _SKEW
            made = _ids(self._gateway.customers_since(since), TENANT_KEY, key)
            return made[0] if made else None

        stem = f"apportion-{self._gateway.account}-customer-{key}-{gone}"
        params = customer_params(self._asked.tenant, key)
        ask = Ask(self._asked.invoice_id, "customer", stem, params, shared=True)
        return perform(ask, gateway=self._gateway, lease=self._lease, find=find).id

    def draft(self, customer: str, generation: int, known: str | None) -> Drafted:
        """The draft of this generation, or of the next one if it was deleted (or, finalized by
        another hand, voided) at Stripe."""
        if known is not None:
            if not self._is_gone(known):
                return Drafted(known, generation, new=False)
            generation += 1

        def find(_: StripeRequest) -> str | None:
            there = self._gateway.invoices_of(customer, self._since)
            standing = (x for x in there if x["status"] != "void")
            made = _ids(standing, REFERENCE, self._asked.reference)
            if len(made) > 1:
                raise PushRefused(
                    f"Stripe holds {len(made)} invoices for invoice {self._asked.invoice_id} "
                    f"({', '.join(made[:3])}); delete or void all but one there and push again"
                )
            return made[0] if made else None

        params = invoice_params(self._asked, customer, DAYS_UNTIL_DUE)
        made = self._perform("invoice", generation, "", params, find, look_first=True)
        return Drafted(made.id, generation, made.new)

    def _is_gone(self, stripe_invoice: str) -> bool:
        try:
            return remote_invoice(self._gateway.invoice(stripe_invoice)).status == "void"
        except StripeMissing:
            return True

    def items(self, customer: str, draft: Drafted) -> None:
        """One item a line, attached to the draft."""
        before: dict[str, str] | None = None

        def there(request: StripeRequest) -> dict[str, str]:
            """What the draft has: seen once for what was never tried, else seen anew."""
            nonlocal before
            if before is None or request.sent_at is not None or request.attempt > 1:
                before = {
                    item["metadata"].get(LINE, ""): str(item["id"])
                    for item in self._gateway.invoice_items(draft.id)
                }
            return before

        for line in self._asked.lines:
            position = str(line.position)

            def find(request: StripeRequest, position: str = position) -> str | None:
                return there(request).get(position)

            params = item_params(self._asked, line, customer, draft.id)
            self._perform(
                "item", draft.generation, f"-{position}", params, find, look_first=not draft.new
            )

    def compare(self, customer: str, stripe_invoice: str) -> tuple[RemoteInvoice, list[Difference]]:
        """The invoice read back, and everything in which it is not what was asked for."""
        answered = self._gateway.invoice(stripe_invoice)
        held = remote_invoice(answered)
        lines = [remote_line(line) for line in self._gateway.invoice_lines(answered)]
        return held, list(differences(self._asked, customer, held, lines))

    def finalize(self, draft: Drafted) -> RemoteInvoice:
        def find(_: StripeRequest) -> str | None:
            status = remote_invoice(self._gateway.invoice(draft.id)).status
            return None if status == "draft" else draft.id

        params = {"invoice": draft.id, "auto_advance": True}
        made = self._perform("finalize", draft.generation, "", params, find)
        return remote_invoice(made.content or self._gateway.invoice(draft.id))

    def _perform(
        self,
        purpose: Purpose,
        generation: int,
        part: str,
        params: dict[str, Any],
        find: Callable[[StripeRequest], str | None],
        *,
        look_first: bool = False,
    ) -> Made:
        """Have a part of the invoice made, by a key of the invoice's own."""
        stem = f"apportion-{self._asked.reference}-{generation}-{purpose}{part}"
        ask = Ask(self._asked.invoice_id, purpose, stem, params, look_first)
        return perform(ask, gateway=self._gateway, lease=self._lease, find=find)


def _ids(objects: Iterable[Mapping[str, Any]], name: str, value: str) -> list[str]:
    """The ids of those whose metadata has this value."""
    return [str(x["id"]) for x in objects if (x["metadata"] or {}).get(name) == value]
