"""The invoice run: a draft for every billing cycle that ends in a month.

Each invoice is one transaction on one snapshot of the database, so a run may be killed, repeated,
or run twice at once: what was stored stays, what was not is stored by the next run, and of two
that store the same cycle the constraints let one win; the other then finds its work done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Literal, TypeVar

from django.db import Error, connection, transaction
from django.db.models import Q
from psycopg import errors

from billing.coverage import NotBilled, not_billed
from billing.domain.charges import NegativeUsage, Uncharged
from billing.domain.cycles import Cycle, cycles_ending_in
from billing.drafts import Draft, LineContent, draft, recompute, store, stored_lines
from billing.models import Invoice, PlanVersion, Subscription
from metering.domain.periods import Month

__all__ = ["InvoiceRun", "Outcome", "lock_tenant", "recompute", "run", "stored_lines"]

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
INVOICE_LOCK: Final = 0x494E5643
"""First half of the advisory lock's key; the second is a hash of the tenant."""

_ATTEMPTS: Final = 4
_RACES: Final = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.ExclusionViolation,
    errors.UniqueViolation,
)
T = TypeVar("T")


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
            if outcome.currency and outcome.status != "withdrawn":
                totals[outcome.currency] = totals.get(outcome.currency, 0) + outcome.total_minor
        return dict(sorted(totals.items()))


def run(
    month: Month, *, author: str, now: datetime, dry_run: bool = False, tenant: str | None = None
) -> InvoiceRun:
    """Draft the invoices of the cycles that end in the month, by each customer's clock.

    A cycle that has not ended at `now` gets a draft too, as a preview: later usage replaces it,
    and it cannot be approved yet. `tenant` limits the run to one customer.
    """
    due = [
        (subscription, cycle)
        for subscription in _subscriptions(month, tenant)
        for cycle in cycles_ending_in(month, subscription.term)
    ]
    outcomes = [
        _settled_race(partial(_invoice, *one, author=author, now=now, dry_run=dry_run))
        for one in due
    ]
    outcomes += [
        _settled_race(partial(_withdraw, invoice, now=now, dry_run=dry_run))
        for invoice in _drafts(month, tenant)
        if not any(
            subscription.tenant == invoice.tenant and cycle.overlaps(invoice.period)
            for subscription, cycle in due
        )
    ]
    return InvoiceRun(month, dry_run, tuple(outcomes), not_billed(month, tenant))


def lock_tenant(tenant: str) -> None:
    """Wait for the tenant's invoices and hold them alone until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [INVOICE_LOCK, tenant])


def _subscriptions(month: Month, tenant: str | None) -> list[Subscription]:
    chosen = Subscription.objects.filter(
        Q(valid_to__isnull=True) | Q(valid_to__gt=month.first_day()),
        valid_from__lte=month.last_day(),
    )
    if tenant is not None:
        chosen = chosen.filter(tenant=tenant)
    return list(chosen.order_by("tenant", "valid_from"))


def _drafts(month: Month, tenant: str | None) -> list[Invoice]:
    chosen = Invoice.objects.filter(
        state=Invoice.State.DRAFT,
        end_day__gt=month.first_day(),
        end_day__lte=month.next().first_day(),
    )
    if tenant is not None:
        chosen = chosen.filter(tenant=tenant)
    return list(chosen.order_by("tenant", "cycle_start"))


def _withdraw(stale: Invoice, *, now: datetime, dry_run: bool) -> Outcome:
    """Void a draft of a cycle that no subscription has any more."""
    with _one_snapshot():
        lock_tenant(stale.tenant)
        invoice = Invoice.objects.select_related("subscription").get(pk=stale.pk)
        if not dry_run and invoice.state == Invoice.State.DRAFT:
            _void(invoice, now, "no subscription has this cycle any more")
    cycle = Cycle(invoice.first_day, invoice.end_day, invoice.zone, invoice.full_days)
    return Outcome(
        invoice.tenant, invoice.subscription.plan_id, cycle, "withdrawn", invoice.pk, invoice.state
    )


def _invoice(
    subscription: Subscription, cycle: Cycle, *, author: str, now: datetime, dry_run: bool
) -> Outcome:
    with _one_snapshot():
        lock_tenant(subscription.tenant)
        standing = _standing(subscription.tenant, cycle)
        same = next((x for x in standing if x.period == cycle.period), None)
        version = (
            _version_for(subscription, cycle)
            if same is None or same.state == Invoice.State.DRAFT
            else same.plan_version
        )
        if version is None:
            message = (
                f"plan {subscription.plan_id} has no version on {cycle.first_day}; "
                "import one that is valid from then or before"
            )
            return _outcome(subscription, cycle, "no_terms", message=message)
        try:
            made = draft(subscription.tenant, cycle, version)
        except NegativeUsage as error:
            return _outcome(subscription, cycle, "failed", message=str(error))
        if same is not None and same.inputs_digest == made.inputs_digest:
            return _made(subscription, made, "unchanged", same)
        if any(x.state != Invoice.State.DRAFT for x in standing):
            return _refused(subscription, made, standing, same)
        status: Status = "replaced" if standing else "created"
        if dry_run:
            return _made(subscription, made, status, None)
        for old in standing:
            _void(old, now, "its usage or terms have changed; another draft replaces it")
        invoice = store(made, subscription, author=author, now=now, replaces=same)
        return _made(subscription, made, status, invoice)


def _version_for(subscription: Subscription, cycle: Cycle) -> PlanVersion | None:
    """The plan's version on the cycle's first day: terms do not change within a cycle."""
    return PlanVersion.objects.filter(
        Q(valid_to__isnull=True) | Q(valid_to__gt=cycle.first_day),
        plan=subscription.plan_id,
        valid_from__lte=cycle.first_day,
    ).first()


def _standing(tenant: str, cycle: Cycle) -> list[Invoice]:
    """The tenant's invoices, not void, that share an instant with the cycle."""
    period = cycle.period
    return list(
        Invoice.objects.filter(
            tenant=tenant, cycle_start__lt=period.end, cycle_end__gt=period.start
        )
        .exclude(state=Invoice.State.VOID)
        .order_by("cycle_start")
    )


def _void(invoice: Invoice, now: datetime, reason: str) -> None:
    invoice.state = Invoice.State.VOID
    invoice.voided_at = now
    invoice.void_reason = reason
    invoice.save(update_fields=["state", "voided_at", "void_reason"])


def _outcome(subscription: Subscription, cycle: Cycle, status: Status, *, message: str) -> Outcome:
    return Outcome(subscription.tenant, subscription.plan_id, cycle, status, message=message)


def _made(
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


def _refused(
    subscription: Subscription, made: Draft, standing: list[Invoice], same: Invoice | None
) -> Outcome:
    if same is None:
        fixed = next(x for x in standing if x.state != Invoice.State.DRAFT)
        message = (
            f"{fixed.first_day} to {fixed.end_day} is already {fixed.state}, invoice {fixed.pk}"
        )
        return _outcome(subscription, made.cycle, "overlapping", message=message)
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
        message=f"usage has changed since invoice {same.pk} was {same.state}; correct it",
    )


@contextmanager
def _one_snapshot() -> Iterator[None]:
    """A transaction whose readings all see one instant (unless it is inside another's)."""
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


def _settled_race(attempt: Callable[[], T]) -> T:
    """Try again where another run came first; its invoice is then seen. Bounded."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return attempt()
        except Error as error:
            if not isinstance(error.__cause__, _RACES):
                raise
    return attempt()
