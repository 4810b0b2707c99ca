"""Proof over all three books: recomputes what is stored and names the first thing that differs.

Usage, cost and seals from the raw events; bills from their documents; the division of the bills
from its inputs; invoices from the usage beneath them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime
from itertools import zip_longest
from typing import Any, NamedTuple

import msgspec

from allocation import verification as allocation_verification
from billing.drafts import LineContent, recompute, stored_lines
from billing.models import Invoice
from metering import verification
from metering.domain.digests import list_digest
from metering.domain.periods import Month, Period
from metering.evidence import Selection, event_keys, received_since
from metering.verification import Finding


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
    "seals hold and are chained",
    "bills equal their documents",
    "the allocation, computed again, gives the same rows and adds up to the bills",
    "statements add up to the allocation",
    "invoices, computed again, give the same lines and stand on the same events",
)


def verify(month: Month) -> Verified:
    """Run every check over a month."""
    findings = (
        *verification.check_month(month),
        *allocation_verification.check_month(month),
        *_invoices(month),
    )
    return Verified(month, CHECKS, findings)


def _invoices(month: Month) -> Iterator[Finding]:
    ending = Invoice.objects.filter(
        end_day__gt=month.first_day(), end_day__lte=month.next().first_day()
    )
    for invoice in ending.exclude(state=Invoice.State.VOID).order_by("tenant", "cycle_start"):
        yield from _invoice(invoice)


def _invoice(invoice: Invoice) -> Iterator[Finding]:
    where = f"invoice {invoice.pk} ({invoice.tenant}, {invoice.first_day} to {invoice.end_day})"
    lines, digest = stored_lines(invoice)
    cycle = Period(invoice.cycle_start, invoice.cycle_end)
    late = received_since(cycle, invoice.created_at, invoice.tenant)
    again, digest_again = recompute(invoice) if not late else (lines, digest)
    for position, (was, now) in enumerate(zip_longest(again, lines), 1):
        if was != now:
            yield Finding(
                "invoice",
                f"{where} line {position}",
                f"computed again {_owed(was)}, stored {_owed(now)}",
            )
            return
    if not digest == digest_again == invoice.outputs_digest:
        yield Finding("invoice", where, "its lines are not those it was drafted with")
        return
    if late:
        for position, line in enumerate(lines, 1):
            yield from _evidence(f"{where} line {position}", line["evidence"], invoice.created_at)


def _owed(line: LineContent | None) -> str:
    if line is None:
        return "no such line"
    return (
        f"{line['kind']} {line['charge_code']} of {line['amount']} ({line['amount_minor']} minor)"
    )


def _evidence(where: str, stored: dict[str, Any], created_at: datetime) -> Iterator[Finding]:
    """The events under a line as they were when it was drafted: usage came in since."""
    if not stored["selections"]:
        return
    chosen = [
        msgspec.structs.replace(msgspec.convert(selection, Selection), received_by=created_at)
        for selection in stored["selections"]
    ]
    events = heapq.merge(*(event_keys(selection) for selection in chosen))
    if list_digest(events) != (stored["count"], stored["digest"]):
        yield Finding("evidence", where, "the events under it are not those it was drafted on")
