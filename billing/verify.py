"""Proof over all three books: recomputes what is stored and names the first thing that differs.

Usage, cost and seals from the raw events; bills from their documents; the division of the bills
from its inputs; invoices from the usage beneath them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import chain, zip_longest
from typing import Any, Final, NamedTuple

import msgspec
from django.db import connection, connections

from allocation import verification as allocation_verification
from billing import charge_seals, push_verification
from billing.domain.plans import plan_digest
from billing.drafts import LineContent, recompute_all, stored_lines
from billing.models import Invoice
from metering import verification
from metering.domain.periods import Month, Period
from metering.evidence import Selection, evidence_under, late_tenants
from metering.findings import Finding
from metering.history_verification import changed


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
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        lambda: _invoices(month),
        lambda: charge_seals.check(month),
        lambda: push_verification.check(month),
        lambda: allocation_verification.check_month(month),
        *verification.checks(month),
    )
    if connection.in_atomic_block:
        found = [list(check()) for check in checks]
    else:
        with ThreadPoolExecutor(CONNECTIONS, "verify") as pool:
            found = list(pool.map(_alone, checks))
    return Verified(month, CHECKS, tuple(chain.from_iterable(found)))


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
    late: dict[tuple[Period, datetime], set[str]] = {}
    untouched: list[_Stored] = []
    overtaken: list[_Stored] = []
    for invoice in invoices:
        stored = _Stored(invoice, *stored_lines(invoice))
        yield from _terms(stored)
        drafted = Period(invoice.cycle_start, invoice.cycle_end), invoice.created_at
        if drafted not in late:
            late[drafted] = late_tenants(*drafted)
        if invoice.tenant not in late[drafted]:
            untouched.append(stored)
        elif stored.intact:
            overtaken.append(stored)
        else:
            yield Finding("invoice", stored.where, "its lines are not those it was drafted with")
    again = recompute_all([stored.invoice for stored in untouched])
    for stored, (lines, digest) in zip(untouched, again, strict=True):
        if digest != stored.digest:
            yield _difference(stored, lines)
        elif not stored.intact:
            yield Finding("invoice", stored.where, "its digest is not that of its lines")
    yield from _evidence(overtaken)


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


def _evidence(overtaken: list[_Stored]) -> Iterator[Finding]:
    """Invoices since whose draft usage came in: were their lines drafted on the events that were
    there then?"""
    named: list[tuple[str, dict[str, Any], list[Selection]]] = [
        (
            f"{stored.where} line {position}",
            line["evidence"],
            [
                msgspec.structs.replace(
                    msgspec.convert(selection, Selection), received_by=stored.invoice.created_at
                )
                for selection in line["evidence"]["selections"]
            ],
        )
        for stored in overtaken
        for position, line in enumerate(stored.lines, 1)
        if line["evidence"]["selections"]
    ]
    found = evidence_under([selections for _, _, selections in named])
    for (where, stored_evidence, _), now in zip(named, found, strict=True):
        if (now.count, now.digest) != (stored_evidence["count"], stored_evidence["digest"]):
            yield Finding("evidence", where, "the events under it are not those it was drafted on")
