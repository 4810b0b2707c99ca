"""The events under invoice lines and statements, written out so that anyone can count them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

from allocation.models import Statement as IssuedStatement
from billing.evidence import stored_selections
from billing.models import InvoiceLine
from metering.domain.digests import canonical_json
from metering.domain.periods import Month
from metering.evidence import Selection, event_keys


class NoSuchLine(LookupError):
    """The line or statement that evidence was asked for is not there."""


def of_month(month: Month) -> Iterator[bytes]:
    """Evidence of every statement issued for the month and of every line of the invoices whose
    cycle ends in it: a head (what it is of, count, digest), then one row per event, as JSON."""
    for statement in IssuedStatement.objects.filter(run__month=str(month)).exclude(
        run__state="superseded"
    ):
        yield from _of_statement(statement, month)
    lines = InvoiceLine.objects.filter(
        invoice__end_day__gt=month.first_day(), invoice__end_day__lte=month.next().first_day()
    ).exclude(invoice__state="void")
    for line in lines.select_related("invoice").order_by("invoice_id", "position"):
        yield from _of_line(line)


def of_invoice_line(line_id: int) -> Iterator[bytes]:
    """Evidence of one invoice line. Raises `NoSuchLine`."""
    line = InvoiceLine.objects.select_related("invoice").filter(pk=line_id).first()
    if line is None:
        raise NoSuchLine(f"there is no invoice line {line_id}; `run_invoices` lists them")
    yield from _of_line(line)


def of_cost_centre(code: str, month: Month) -> Iterator[bytes]:
    """Evidence of a cost centre's statements of the month. Raises `NoSuchLine`."""
    issued = IssuedStatement.objects.filter(run__month=str(month), cost_centre=code).exclude(
        run__state="superseded"
    )
    if not issued:
        raise NoSuchLine(f"no statement of {code} has been issued for {month}")
    for statement in issued:
        yield from _of_statement(statement, month)


def _of_statement(statement: IssuedStatement, month: Month) -> Iterator[bytes]:
    selection = Selection(
        period=month.period, cost_centre=statement.cost_centre, received_by=statement.issued_at
    )
    head = {
        "statement": statement.pk,
        "costCentre": statement.cost_centre,
        "count": statement.events,
        "digest": statement.events_digest,
    }
    yield from _listed(head, [selection])


def _of_line(line: InvoiceLine) -> Iterator[bytes]:
    head = {
        "invoiceLine": line.pk,
        "invoice": line.invoice_id,
        "tenant": line.invoice.tenant,
        "charge": line.charge_code,
        "count": line.evidence_count,
        "digest": line.evidence_digest,
    }
    yield from _listed(head, stored_selections(line))


def _listed(head: dict[str, Any], selections: list[Selection]) -> Iterator[bytes]:
    yield canonical_json(head)
    for key, digest in heapq.merge(*(event_keys(selection) for selection in selections)):
        yield canonical_json({"eventKey": key, "sealDigest": digest})
