"""Every REST route of the product, found in the URL resolver, with a case for each.

A new route without a case turns the tests red, so none is forgotten where it is asked who may
reach what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver, reverse

from allocation.models import AllocationRun, ProviderBill, Reconciliation
from billing.models import Invoice
from metering.domain.periods import Month
from metering.models import BudgetRow, Rerating, UsageEvent
from metering.pricing import rerating_acts

Arguments = Mapping[str, Any]


def names(prefix: str) -> list[str]:
    """The names of the routes under the prefix. A route without a name cannot have a case."""
    return sorted(_found(get_resolver().url_patterns, "", prefix))


def _found(patterns: list[Any], path: str, prefix: str) -> Iterator[str]:
    for pattern in patterns:
        here = path + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _found(pattern.url_patterns, here, prefix)
        elif isinstance(pattern, URLPattern) and here.startswith(prefix):
            assert pattern.name, f"the route {here} has no name"
            yield pattern.name


def _invoice_of(tenant: str) -> Invoice:
    return Invoice.objects.get(tenant=tenant)


def _line_of(tenant: str) -> Arguments:
    line = _invoice_of(tenant).lines.filter(kind="overage", quantity__gt=0).first()
    assert line is not None
    return {"invoice": line.invoice_id, "position": line.position}


def _nothing(_: str) -> Arguments:
    return {}


PORTAL: Mapping[str, Callable[[str], Arguments]] = {
    "portal-usage": _nothing,
    "portal-series": _nothing,
    "portal-charges": _nothing,
    "portal-invoices": _nothing,
    "portal-invoice": lambda tenant: {"invoice": _invoice_of(tenant).pk},
    "portal-line-parts": _line_of,
    "portal-line-evidence": _line_of,
}
"""What each portal route takes for what belongs to a tenant."""

OCTOBER: Arguments = {"from": "2026-10-01", "to": "2026-11-01"}
QUERIES: Mapping[str, Arguments] = {
    "portal-usage": OCTOBER,
    "portal-series": {**OCTOBER, "by": "model"},
    "portal-charges": {"on": "2026-10-15"},
}


def _bill(_: str) -> Arguments:
    return {"bill": ProviderBill.objects.get().pk}


def _event(tenant: str) -> Arguments:
    return {"event": str(UsageEvent.objects.filter(tenant=tenant).latest("event_key").pk)}


def _run(_: str) -> Arguments:
    return {"run": AllocationRun.objects.get().pk}


def _reconciliation(_: str) -> Arguments:
    return {"reconciliation": Reconciliation.objects.get().pk}


def _rerating(_: str) -> Arguments:
    month, now = Month(2026, 10), datetime(2026, 11, 2, tzinfo=UTC)
    act = Rerating.objects.first() or rerating_acts.begin(
        month, model=None, author="controller", reason="to read it", now=now
    )
    return {"rerating": act.pk}


def _budget(_: str) -> Arguments:
    row = BudgetRow.objects.first() or BudgetRow.objects.create(
        amount=Decimal(100), currency="USD", valid_from=date(2026, 10, 1)
    )
    return {"budget": row.pk}


FINANCE: Mapping[str, Callable[[str], Arguments]] = {
    "finance-cost-centres": _nothing,
    "finance-event-cost": _event,
    "finance-budgets": _nothing,
    "finance-budget": _budget,
    "finance-reratings": _nothing,
    "finance-rerating": _rerating,
    "finance-rerating-differences": _rerating,
    "finance-bills": _nothing,
    "finance-bill": _bill,
    "finance-bill-lines": _bill,
    "finance-reconciliations": _nothing,
    "finance-reconciliation": _reconciliation,
    "finance-reconciliation-cells": _reconciliation,
    "finance-runs": _nothing,
    "finance-run": _run,
    "finance-run-lines": _run,
    "finance-run-settlements": _run,
    "finance-approvals-runs": _nothing,
    "finance-approvals-invoices": _nothing,
    "finance-statements": _nothing,
    "finance-statement": lambda _: {"period": "2026-10"},
    "finance-month": lambda _: {"period": "2026-10"},
    "finance-closes": _nothing,
    "finance-rules": _nothing,
    "finance-invoices": _nothing,
    "finance-invoice": lambda tenant: {"invoice": _invoice_of(tenant).pk},
    "finance-invoice-line-parts": _line_of,
    "finance-invoice-line-evidence": _line_of,
}

WRITTEN_TO: Mapping[str, frozenset[str]] = {"finance-budgets": frozenset({"post"})}
"""Routes by which something is written, and the methods that do it; all others only read."""


def path_of(name: str, tenant: str) -> str:
    """The route's path to something of that tenant."""
    return reverse(name, kwargs=dict({**PORTAL, **FINANCE}[name](tenant)))
