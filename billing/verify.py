"""Proof over all three books: recomputes what is stored and names the first thing that differs.

Usage, cost and seals from the raw events; bills from their documents; the division of the bills
from its inputs; invoices from the usage beneath them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from itertools import chain, zip_longest
from typing import Final, NamedTuple

from django.db import InterfaceError, OperationalError, connection, connections, transaction

from allocation import verification as allocation_verification
from billing import charge_seals, push_verification
from billing.domain.plans import InvalidPlan, plan_digest
from billing.drafts import OF_LINES, LineContent, recompute_all, stored_lines
from billing.models import Invoice, InvoiceLine
from metering.domain.periods import Month, Period
from metering.past_usage import latest_changes, usage_as_of
from metering.verification import event_verification, history_verification
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
    "no recorded row is another than its history says, and none is gone",
)


CONNECTIONS: Final = 3
"""Checks that are under way at once, each on a connection of its own: most wait for PostgreSQL."""


def verify(month: Month) -> Verified:
    """Run every check over a month, several at a time; inside a transaction, which no other
    connection could see into, one after the other. Findings come in the order of the checks."""
    checks = checks_of(month).values()
    if connection.in_atomic_block:
        found = [check() for check in checks]
    else:
        with ThreadPoolExecutor(CONNECTIONS, "verify") as pool:
            found = list(pool.map(_alone, checks))
    return Verified(month, CHECKS, tuple(chain.from_iterable(found)))


_NAMED_ELSEWHERE: Final = (
    *("allocation_run", "run_approval", "period_close", "period_reopening", "invoice"),
    *("price_row", "price_list_import"),
)
"""Recorded tables of which another check names what was changed, by the month that it is of."""


def checks_of(month: Month) -> dict[str, Callable[[], list[Finding]]]:
    """Every check over a month, by name; none depends on another, and the short ones come last."""
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        **allocation_verification.checks(month),
        "invoices": lambda: _invoices(month),
        **event_verification.checks(month),
        "seals of charges": lambda: charge_seals.check(month),
        "Stripe": lambda: push_verification.check(month),
        "recorded rows": lambda: history_verification.check(named_elsewhere=_NAMED_ELSEWHERE),
    }
    return {name: partial(_done, name, month, check) for name, check in checks.items()}


def _done(name: str, month: Month, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What a check finds; that it cannot be done is a finding too: rows that say what cannot be
    were written by none of us."""
    found: list[Finding] = []
    try:
        # Inside a transaction, a statement that fails must not take the other checks with it.
        with transaction.atomic() if connection.in_atomic_block else nullcontext():
            found.extend(check())
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # what was tampered with may fail anywhere, in any way
        found.append(Finding(name, str(month), f"cannot be checked: {error}"))
    return found


def _alone(check: Callable[[], list[Finding]]) -> list[Finding]:
    """A check in a thread, which has a connection of its own to give back. No query is divided over
    processes: other checks are at the cores already, and it would cost more in all."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET max_parallel_workers_per_gather = 0")
        return check()
    finally:
        connections.close_all()


def _invoices(month: Month) -> Iterator[Finding]:
    ending = Invoice.objects.filter(
        end_day__gt=month.first_day(), end_day__lte=month.next().first_day()
    )
    ordered = ending.order_by("tenant", "cycle_start")
    invoices = list(ordered.select_related("plan_version").prefetch_related(OF_LINES))
    yield from _recorded(month, {invoice.pk: where_of(invoice) for invoice in invoices})
    every = [_Stored(invoice, *stored_lines(invoice)) for invoice in invoices]
    yield from _misplaced(every)
    # Of a void one nothing is owed: that it is kept as it was is all.
    stored = [one for one in every if one.invoice.state != Invoice.State.VOID]
    for one in every:
        if one not in stored and not one.intact:
            yield Finding("invoice", one.where, _NOT_INTACT)
    for one in stored:
        yield from _terms(one)
    for as_of, some in _by_knowledge(stored).items():
        with nullcontext() if as_of is None else usage_as_of(*as_of):
            again = recompute_all([one.invoice for one in some])
        for one, (lines, digest) in zip(some, again, strict=True):
            if digest != one.digest:
                yield _difference(one, lines)
            elif not one.intact:
                yield Finding("invoice", one.where, _NOT_INTACT)


_NOT_INTACT: Final = "its digest is not that of its lines"


def _misplaced(stored: Sequence[_Stored]) -> Iterator[Finding]:
    """Lines are counted from 1: evidence is exported, and asked for at Stripe, by their places."""
    places: dict[int, list[int]] = {}
    lines = InvoiceLine.objects.filter(invoice__in=[one.invoice.pk for one in stored])
    for invoice, position in lines.order_by("position").values_list("invoice_id", "position"):
        places.setdefault(invoice, []).append(position)
    for one in stored:
        found = places.get(one.invoice.pk, [])
        if found != list(range(1, len(found) + 1)):
            yield Finding("invoice", one.where, f"its lines stand in the places {found}")


def _recorded(month: Month, named: dict[int, str]) -> Iterator[Finding]:
    """Invoices that are not what their history says, also those that it says were of the month."""
    condition = (
        "GREATEST(t.end_day, h.end_day) > %(first)s AND LEAST(t.end_day, h.end_day) <= %(end)s"
    )
    for change in changed(
        "invoice", condition, first=month.first_day(), end=month.next().first_day()
    ):
        yield Finding("invoice", named.get(change.key, f"invoice {change.key}"), change.what)


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
    where = f"plan version {version.pk} ({version}) beneath {stored.where}"
    try:
        digest = plan_digest(version.terms)
    except InvalidPlan as error:
        yield Finding("plan", where, f"its terms cannot be read: {error}")
        return
    if digest != version.digest:
        yield Finding("plan", where, "its terms are not those it began with")


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
