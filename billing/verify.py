"""Proof over all three books: recomputes what is stored and names the first thing that differs.

Usage, cost and seals from the raw events; bills from their documents; the division of the bills
from its inputs; invoices from the usage beneath them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import datetime
from itertools import chain, zip_longest
from typing import Final, NamedTuple

from django.db import connection, connections

from allocation import verification as allocation_verification
from billing import charge_seals, push_verification
from billing.domain.plans import plan_digest
from billing.drafts import LineContent, recompute_all, stored_lines
from billing.models import Invoice
from metering.domain.periods import Month, Period
from metering.past_usage import latest_changes, usage_as_of
from metering.verification import event_verification
from metering.verification.findings import Finding
from metering.verification.history_verification import changed


class Verified(NamedTuple):
    """What was checked of a month, and everything that did not hold (nothing: it is green)."""

    month: Month
    checks: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        return not self.findings


CHECKS = (
    "every event has the digest it was stored with, and the ledger holds its key",
    "every cost is the sum of its lines, every shared call the sum of its shares",
    "rollups equal the raw events",
    "some days' aggregates, drawn anew each day, are what their request rows add up to one by one",
    "seals of all three books hold and are chained",
    "bills equal their documents",
    "the allocation, computed again, gives the same rows and adds up to the bills",
    "statements add up to the allocation",
    "invoices, computed again, give the same lines and stand on the same events",
    "invoices that are at Stripe asked there for what they say here",
)


CONNECTIONS: Final = 3
"""Checks that are under way at once, each on a connection of its own: most wait for PostgreSQL."""


def verify(month: Month) -> Verified:
    """Run every check over a month, several at a time; inside a transaction, which no other
    connection could see into, one after the other. Findings come in the order of the checks."""
    checks = checks_of(month).values()
    if connection.in_atomic_block:
        found = [list(check()) for check in checks]
    else:
        with ThreadPoolExecutor(CONNECTIONS, "verify") as pool:
            found = list(pool.map(_alone, checks))
    return Verified(month, CHECKS, tuple(chain.from_iterable(found)))


def checks_of(month: Month) -> dict[str, Callable[[], Iterator[Finding]]]:
    """Every check over a month, by name; none depends on another, and the short ones come last."""
    return {
        "bills and allocation": lambda: allocation_verification.check_month(month),
        "invoices": lambda: _invoices(month),
        **event_verification.checks(month),
        "seals of charges": lambda: charge_seals.check(month),
        "Stripe": lambda: push_verification.check(month),
    }


def _alone(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """A check in a thread, which has a connection of its own to give back."""
    try:
        return list(check())
    finally:
        connections.close_all()


def _invoices(month: Month) -> Iterator[Finding]:
    ending = Invoice.objects.filter(
        end_day__gt=month.first_day(), end_day__lte=month.next().first_day()
    ).exclude(state=Invoice.State.VOID)
    invoices = list(
        ending.select_related("plan_version", "subscription").order_by("tenant", "cycle_start")
    )
    named = {invoice.pk: where_of(invoice) for invoice in invoices}
    for change in changed("invoice", "t.id = ANY(%(ids)s)", ids=list(named)):
        yield Finding("invoice", named[change.key], change.what)
    stored = [_Stored(invoice, *stored_lines(invoice)) for invoice in invoices]
    for one in stored:
        yield from _terms(one)
    for as_of, some in _by_knowledge(stored).items():
        with nullcontext() if as_of is None else usage_as_of(*as_of):
            again = recompute_all([one.invoice for one in some])
        for one, (lines, digest) in zip(some, again, strict=True):
            if digest != one.digest:
                yield _difference(one, lines)
            elif not one.intact:
                yield Finding("invoice", one.where, "its digest is not that of its lines")


def _by_knowledge(stored: list[_Stored]) -> dict[tuple[Period, datetime] | None, list[_Stored]]:
    """The invoices by what they are computed again from: usage as it is now, or, for those whose
    usage has changed since they were drafted, as it was then."""
    drafted: dict[Period, datetime] = {}
    for one in stored:
        period, at = one.drafted
        drafted[period] = min(at, drafted.get(period, at))
    changes = {period: latest_changes(period, first) for period, first in drafted.items()}
    found: dict[tuple[Period, datetime] | None, list[_Stored]] = {}
    for one in stored:
        period, at = one.drafted
        changed_at = changes[period].get(one.invoice.tenant)
        overtaken = changed_at is not None and changed_at > at
        found.setdefault(one.drafted if overtaken else None, []).append(one)
    return found


class _Stored(NamedTuple):
    invoice: Invoice
    lines: list[LineContent]
    digest: str

    @property
    def intact(self) -> bool:
        return self.digest == self.invoice.outputs_digest

    @property
    def where(self) -> str:
        return where_of(self.invoice)

    @property
    def drafted(self) -> tuple[Period, datetime]:
        """Of which usage, and when."""
        return self.invoice.period, self.invoice.created_at


def where_of(invoice: Invoice) -> str:
    """How a finding names an invoice."""
    cycle = f"{invoice.first_day} to {invoice.end_day}"
    return f"invoice {invoice.pk} ({invoice.tenant}, {cycle})"


def _terms(stored: _Stored) -> Iterator[Finding]:
    """Whose subscription an invoice stands on, and by which terms."""
    invoice = stored.invoice
    if invoice.subscription.tenant != invoice.tenant:
        yield Finding(
            "invoice", stored.where, f"its subscription is {invoice.subscription.tenant}'s"
        )
    version = invoice.plan_version
    if plan_digest(version.terms) != version.digest:
        yield Finding(
            "plan", f"{version} beneath {stored.where}", "its terms are not those it began with"
        )


def _difference(stored: _Stored, again: list[LineContent]) -> Finding:
    for position, (was, now) in enumerate(zip_longest(again, stored.lines), 1):
        if was != now:
            return Finding(
                "invoice",
                f"{stored.where} line {position}",
                f"computed again {_owed(was)}, stored {_owed(now)}{_also(was, now)}",
            )
    return Finding("invoice", stored.where, "computed again, its total or currency differs")


def _also(was: LineContent | None, now: LineContent | None) -> str:
    """The fields that differ beside those that say what is owed."""
    if was is None or now is None or _owed(was) != _owed(now):
        return ""
    return f"; another {', '.join(name for name in was if was[name] != now.get(name))}"


def _owed(line: LineContent | None) -> str:
    if line is None:
        return "no such line"
    return (
        f"{line['kind']} {line['charge_code']} of {line['amount']} ({line['amount_minor']} minor)"
    )
