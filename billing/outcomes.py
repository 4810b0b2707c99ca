"""What an invoice run did: one outcome a cycle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from billing.coverage import NotBilled
from billing.domain.charges import Uncharged
from billing.domain.cycles import Cycle
from billing.drafts import Draft, LineContent, stored_lines
from billing.models import Invoice, Subscription
from metering.domain.money import from_minor, minor_digits
from metering.domain.periods import Month

Status = Literal[
    "created",
    "unchanged",
    "replaced",
    "withdrawn",
    "late_usage",
    "overlapping",
    "no_terms",
    "failed",
]
NOT_INVOICED: Final = frozenset({"overlapping", "no_terms", "failed"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one cycle.

    `created` and `replaced` (a draft that its usage has overtaken is voided) are new drafts;
    `unchanged` is an invoice that already says this; `withdrawn` a draft, now void, of a cycle that
    no subscription has any more. An approved or finalized invoice never
    changes: `late_usage` says by how much (`difference_minor`) its usage now comes to something
    else. `overlapping`: part of the cycle is approved under other dates. `no_terms`: the plan has
    no version for the cycle. `failed` has a `message`; nothing of the cycle was stored.
    `lines` are those of the draft, each with its evidence (none where an invoice stands).
    In a dry run the status is what a run would do.
    """

    tenant: str
    plan: str
    cycle: Cycle
    status: Status
    invoice_id: int | None = None
    state: str = ""
    currency: str = ""
    total_minor: int = 0
    difference_minor: int = 0
    lines: tuple[LineContent, ...] = ()
    uncharged: tuple[Uncharged, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class InvoiceRun:
    """Every cycle that ends in the month, by tenant, and the usage that nobody is billed for."""

    month: Month
    dry_run: bool
    outcomes: tuple[Outcome, ...]
    not_billed: tuple[NotBilled, ...]

    @property
    def not_invoiced(self) -> tuple[Outcome, ...]:
        """Cycles that are not on an invoice of their own, each with its message."""
        return tuple(x for x in self.outcomes if x.status in NOT_INVOICED)

    @property
    def complete(self) -> bool:
        """Whether every cycle is on an invoice (late usage is for a correction)."""
        return not self.not_invoiced

    def totals_minor(self) -> dict[str, int]:
        """What the invoices of the month come to, by currency."""
        totals: dict[str, int] = {}
        for outcome in self.outcomes:
            if outcome.currency:
                totals[outcome.currency] = totals.get(outcome.currency, 0) + outcome.total_minor
        return dict(sorted(totals.items()))


def told(subscription: Subscription, cycle: Cycle, status: Status, *, message: str) -> Outcome:
    return Outcome(subscription.tenant, subscription.plan_id, cycle, status, message=message)


def invoiced(
    subscription: Subscription, made: Draft, status: Status, invoice: Invoice | None
) -> Outcome:
    return Outcome(
        subscription.tenant,
        subscription.plan_id,
        made.cycle,
        status,
        invoice_id=None if invoice is None else invoice.pk,
        state=Invoice.State.DRAFT if invoice is None else invoice.state,
        currency=made.settled.currency,
        total_minor=made.settled.total_minor,
        lines=tuple(made.lines),
        uncharged=made.charged.uncharged,
    )


def stands(subscription: Subscription, invoice: Invoice, left: tuple[Uncharged, ...]) -> Outcome:
    """An invoice as it is stored, and what its plan leaves uncharged."""
    cycle = Cycle(invoice.first_day, invoice.end_day, invoice.zone, invoice.full_days)
    return Outcome(
        subscription.tenant,
        subscription.plan_id,
        cycle,
        "unchanged",
        invoice_id=invoice.pk,
        state=invoice.state,
        currency=invoice.currency,
        total_minor=invoice.total_minor,
        lines=tuple(stored_lines(invoice)[0]),
        uncharged=left,
    )


def refused(
    subscription: Subscription, made: Draft, standing: list[Invoice], same: Invoice | None
) -> Outcome:
    if same is None:
        fixed = next(x for x in standing if x.state != Invoice.State.DRAFT)
        message = (
            f"{fixed.first_day} to {fixed.end_day} is already {fixed.state}, invoice {fixed.pk}"
        )
        return told(subscription, made.cycle, "overlapping", message=message)
    difference = made.settled.total_minor - same.total_minor
    return Outcome(
        subscription.tenant,
        subscription.plan_id,
        made.cycle,
        "late_usage",
        invoice_id=same.pk,
        state=same.state,
        currency=same.currency,
        total_minor=same.total_minor,
        difference_minor=difference,
        uncharged=made.charged.uncharged,
        message=f"usage has changed since invoice {same.pk} was {same.state}"
        f"{_by_how_much(difference, same.currency)}",
    )


def _by_how_much(difference_minor: int, currency: str) -> str:
    """What late usage makes of what is owed: an allowance may take it in."""
    if not difference_minor:
        return ", and comes to the same: there is nothing to correct"
    digits = minor_digits(currency)
    amount = f"{currency} {from_minor(abs(difference_minor), currency):.{digits}f}"
    return f", and comes to {amount} {'more' if difference_minor > 0 else 'less'}: correct it"
