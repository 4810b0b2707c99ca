"""The invoice run: a draft for every billing cycle that ends in a month.

All cycles are charged on one snapshot of the database; then each invoice is stored in a transaction
of its own. So a run may be killed, repeated, or run twice at once: what was stored stays, what was
not is stored by the next run, and of two that store the same cycle one comes first; the other sees
that its snapshot is out of date, and charges that cycle again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from django.db import Error, connection, transaction
from django.db.models import Q, prefetch_related_objects
from psycopg import errors

from billing.coverage import not_billed
from billing.domain.charges import NegativeUsage
from billing.domain.cycles import Cycle, cycles_ending_in
from billing.drafts import (
    OF_LINES,
    Draft,
    Due,
    draft,
    recompute,
    recompute_all,
    store,
    stored_lines,
    uncharged,
)
from billing.models import Invoice, PlanVersion, Subscription
from billing.outcomes import InvoiceRun, Outcome, Status, invoiced, refused, stands, told
from metering import registered
from metering.domain.periods import Month
from metering.domain.spelling import meant
from metering.past_usage import one_snapshot

__all__ = [
    "InvoiceRun",
    "Outcome",
    "UnknownTenant",
    "lock_tenant",
    "recompute",
    "recompute_all",
    "run",
    "standing",
    "stored_lines",
    "tenants_due",
]

INVOICE_LOCK: Final = 0x494E5643
"""First half of the advisory lock's key; the second is a hash of the tenant."""

_ATTEMPTS: Final = 4
_RACES: Final = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.ExclusionViolation,
    errors.UniqueViolation,
)


_Due = tuple[Subscription, Cycle]


class UnknownTenant(ValueError):
    """The run was to be for a tenant that is not there; the message names it."""


def run(
    month: Month,
    *,
    author: str,
    now: datetime,
    dry_run: bool = False,
    tenants: Collection[str] | None = None,
    may_store: Callable[[], None] = lambda: None,
) -> InvoiceRun:
    """Draft the invoices of the cycles that end in the month, by each customer's clock.

    A cycle that has not ended at `now` gets a draft too, as a preview: later usage replaces it,
    and it cannot be approved yet. `tenants` limits the run to these customers; raises
    `UnknownTenant` for one that has no subscription and that metering has never heard of.
    `may_store` is called first in each transaction that stores something, and ends the run by
    raising.
    """
    if tenants is not None:
        _refuse_unknown(tenants)
    due = _due(month, tenants)
    terms = _Terms(author, now, dry_run, may_store)
    outcomes = [_conclude(x, terms) for x in _charged(due)]
    outcomes += [
        _withdraw(invoice, terms)
        for invoice in _drafts(month, tenants)
        if not any(
            subscription.tenant == invoice.tenant and cycle.overlaps(invoice.period)
            for subscription, cycle in due
        )
    ]
    return InvoiceRun(month, dry_run, tuple(outcomes), not_billed(month, tenants))


def standing(month: Month) -> InvoiceRun:
    """The month's run as others have stored it: what is on the invoices is read, not charged
    again. A cycle that has none has failed. Raises `NegativeUsage`."""
    due = _due(month, None)
    with one_snapshot():
        found = [
            (*one, _same(invoices, one[1]))
            for one, invoices in zip(due, _standing(due), strict=True)
        ]
        invoiced = [(invoice, cycle) for _, cycle, invoice in found if invoice is not None]
        prefetch_related_objects([invoice for invoice, _ in invoiced], OF_LINES)
        left = iter(uncharged([Due(x.tenant, cycle, x.plan_version) for x, cycle in invoiced]))
        outcomes = tuple(
            told(subscription, cycle, "failed", message="it has no invoice")
            if invoice is None
            else stands(subscription, invoice, next(left))
            for subscription, cycle, invoice in found
        )
        return InvoiceRun(month, dry_run=False, outcomes=outcomes, not_billed=not_billed(month))


def tenants_due(month: Month) -> tuple[str, ...]:
    """Whom a run of the month would draft or withdraw an invoice for, if anything."""
    rows: list[Subscription | Invoice] = [*_subscriptions(month, None), *_drafts(month, None)]
    return tuple(sorted({row.tenant for row in rows}))


def _refuse_unknown(chosen: Collection[str]) -> None:
    subscribed = Subscription.objects.values_list("tenant", flat=True)
    without = set(chosen) - set(subscribed.filter(tenant__in=chosen))
    known = registered.tenants() if without else set()
    for tenant in sorted(without - known):
        raise UnknownTenant(
            f"there is no tenant {tenant!r}: it has neither usage nor a subscription"
            f"{meant(tenant, known | set(subscribed))}"
        )


def lock_tenant(tenant: str) -> None:
    """Wait for the tenant's invoices and hold them alone until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [INVOICE_LOCK, tenant])


def _subscriptions(month: Month, tenants: Collection[str] | None) -> list[Subscription]:
    chosen = Subscription.objects.filter(
        Q(valid_to__isnull=True) | Q(valid_to__gt=month.first_day()),
        valid_from__lte=month.last_day(),
    )
    if tenants is not None:
        chosen = chosen.filter(tenant__in=tenants)
    return list(chosen.order_by("tenant", "valid_from"))


def _due(month: Month, tenants: Collection[str] | None) -> list[_Due]:
    return [
        (subscription, cycle)
        for subscription in _subscriptions(month, tenants)
        for cycle in cycles_ending_in(month, subscription.term)
    ]


def _drafts(month: Month, tenants: Collection[str] | None) -> list[Invoice]:
    chosen = Invoice.objects.filter(
        state=Invoice.State.DRAFT,
        end_day__gt=month.first_day(),
        end_day__lte=month.next().first_day(),
    )
    if tenants is not None:
        chosen = chosen.filter(tenant__in=tenants)
    return list(chosen.order_by("tenant", "cycle_start"))


def _withdraw(stale: Invoice, terms: _Terms) -> Outcome:
    """Void a draft of a cycle that no subscription has any more."""
    with transaction.atomic():
        terms.may_store()
        lock_tenant(stale.tenant)
        invoice = Invoice.objects.select_related("subscription").get(pk=stale.pk)
        if not terms.dry_run and invoice.state == Invoice.State.DRAFT:
            _void(invoice, terms.now, "no subscription has this cycle any more")
    cycle = Cycle(invoice.first_day, invoice.end_day, invoice.zone, invoice.full_days)
    return Outcome(
        invoice.tenant, invoice.subscription.plan_id, cycle, "withdrawn", invoice.pk, invoice.state
    )


class _Terms(NamedTuple):
    """Who runs, when, and whether anything is stored at all."""

    author: str
    now: datetime
    dry_run: bool
    may_store: Callable[[], None]


class _Charged(NamedTuple):
    """A due cycle as one snapshot saw it: the invoices that stood, and what it comes to (`None`:
    the plan has no version for it)."""

    subscription: Subscription
    cycle: Cycle
    standing: frozenset[tuple[int, str]]
    made: Draft | NegativeUsage | None


class _Overtaken(Exception):
    """The tenant's invoices are not those that the snapshot saw."""


def _charged(due: Sequence[_Due]) -> list[_Charged]:
    """Charge the cycles, all on one snapshot."""
    with one_snapshot():
        standing = _standing(due)
        versions = _versions(due, standing)
        drafts = iter(
            draft(
                [
                    Due(subscription.tenant, cycle, version)
                    for (subscription, cycle), version in zip(due, versions, strict=True)
                    if version is not None
                ]
            )
        )
        return [
            _Charged(*one, _seen(invoices), None if version is None else next(drafts))
            for one, invoices, version in zip(due, standing, versions, strict=True)
        ]


def _conclude(charged: _Charged, terms: _Terms) -> Outcome:
    """Store what was charged, or say why not; charge again where others came first. Bounded."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return _invoice(charged, terms)
        except _Overtaken:
            pass
        except Error as error:
            if not isinstance(error.__cause__, _RACES):
                raise
        (charged,) = _charged([(charged.subscription, charged.cycle)])
    return _invoice(charged, terms)


def _invoice(charged: _Charged, terms: _Terms) -> Outcome:
    subscription, cycle, seen, made = charged
    if made is None:
        message = (
            f"plan {subscription.plan_id} has no version on {cycle.first_day}; "
            "import one that is valid from then or before"
        )
        return told(subscription, cycle, "no_terms", message=message)
    if isinstance(made, NegativeUsage):
        return told(subscription, cycle, "failed", message=str(made))
    with transaction.atomic():
        terms.may_store()
        lock_tenant(subscription.tenant)
        [standing] = _standing([(subscription, cycle)])
        if _seen(standing) != seen:
            raise _Overtaken
        same = _same(standing, cycle)
        if same is not None and same.inputs_digest == made.inputs_digest:
            return invoiced(subscription, made, "unchanged", same)
        if any(x.state != Invoice.State.DRAFT for x in standing):
            return refused(subscription, made, standing, same)
        status: Status = "replaced" if standing else "created"
        if terms.dry_run:
            return invoiced(subscription, made, status, None)
        for old in standing:
            _void(old, terms.now, "its usage or terms have changed; another draft replaces it")
        invoice = store(made, subscription, author=terms.author, now=terms.now, replaces=same)
        return invoiced(subscription, made, status, invoice)


def _seen(invoices: Iterable[Invoice]) -> frozenset[tuple[int, str]]:
    return frozenset((x.pk, x.state) for x in invoices)


def _same(invoices: Iterable[Invoice], cycle: Cycle) -> Invoice | None:
    return next((x for x in invoices if x.period == cycle.period), None)


def _versions(
    due: Sequence[_Due], standing: Sequence[Sequence[Invoice]]
) -> list[PlanVersion | None]:
    """Of each cycle the plan's version on its first day, since terms do not change within a cycle;
    for an invoice that is approved already, the one it was drafted by."""
    of_plan = defaultdict[str, list[PlanVersion]](list)
    for version in PlanVersion.objects.filter(plan__in={x.plan_id for x, _ in due}):
        of_plan[version.plan_id].append(version)
    return [
        _version(of_plan[subscription.plan_id], cycle, _same(invoices, cycle))
        for (subscription, cycle), invoices in zip(due, standing, strict=True)
    ]


def _version(
    versions: Iterable[PlanVersion], cycle: Cycle, same: Invoice | None
) -> PlanVersion | None:
    if same is not None and same.state != Invoice.State.DRAFT:
        return same.plan_version
    day = cycle.first_day
    return next(
        (x for x in versions if x.valid_from <= day and (x.valid_to is None or day < x.valid_to)),
        None,
    )


def _standing(due: Sequence[_Due]) -> list[list[Invoice]]:
    """Of each cycle the tenant's invoices, not void, that share an instant with it."""
    if not due:
        return []
    of_tenant = defaultdict[str, list[Invoice]](list)
    chosen = Invoice.objects.filter(
        tenant__in={subscription.tenant for subscription, _ in due},
        cycle_start__lt=max(cycle.period.end for _, cycle in due),
        cycle_end__gt=min(cycle.period.start for _, cycle in due),
    ).exclude(state=Invoice.State.VOID)
    for invoice in chosen.select_related("plan_version").order_by("cycle_start"):
        of_tenant[invoice.tenant].append(invoice)
    return [
        [invoice for invoice in of_tenant[subscription.tenant] if cycle.overlaps(invoice.period)]
        for subscription, cycle in due
    ]


def _void(invoice: Invoice, now: datetime, reason: str) -> None:
    invoice.state = Invoice.State.VOID
    invoice.voided_at = now
    invoice.void_reason = reason
    invoice.save(update_fields=["state", "voided_at", "void_reason"])
