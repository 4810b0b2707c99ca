"""An invoice run as programs and people read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from billing.domain.charges import Uncharged
from billing.drafts import LineContent, line_ids
from billing.invoice_run import InvoiceRun, Outcome
from billing.push import PushOutcome
from metering.domain.money import from_minor, minor_digits, plain


def as_json(result: InvoiceRun) -> dict[str, Any]:
    """One JSON object; amounts and quantities are decimal strings, instants UTC."""
    ids = line_ids([x.invoice_id for x in result.outcomes if x.invoice_id is not None])
    return {
        "period": str(result.month),
        "dry_run": result.dry_run,
        "complete": result.complete,
        "totals": {
            currency: _money(minor, currency) for currency, minor in result.totals_minor().items()
        },
        "invoices": [_invoice(x, ids.get(x.invoice_id or 0, [])) for x in result.outcomes],
        "not_billed": [
            {
                "tenant": x.tenant,
                "first_day": x.first_day.isoformat(),
                "end_day": x.end_day.isoformat(),
                "zone": x.zone,
                "tokens": x.tokens,
                "requests": x.requests,
                "reason": "no plan",
            }
            for x in result.not_billed
        ],
    }


def as_text(result: InvoiceRun) -> Iterator[str]:
    """A line for each invoice, what is not billed, and the totals."""
    width = max((len(x.tenant) for x in result.outcomes), default=0)
    for x in result.outcomes:
        total = f"{x.currency} {_money(x.total_minor, x.currency)}" if x.currency else "-"
        invoice = f"#{x.invoice_id}" if x.invoice_id else "-"
        yield (
            f"{x.tenant:<{width}}  {x.cycle.first_day} to {x.cycle.last_day}  {x.status:<11} "
            f"{x.state:<9} {invoice:>6} {total:>18}  {x.message}"
        ).rstrip()
    for gap in result.not_billed:
        yield (
            f"not billed: no plan for {gap.tenant}, {gap.first_day} until {gap.end_day}: "
            f"{gap.requests:,} requests, {gap.tokens:,} tokens"
        )
    verb = "would come" if result.dry_run else "come"
    totals = ", ".join(f"{c} {_money(m, c)}" for c, m in result.totals_minor().items()) or "nothing"
    yield f"{result.month}: {len(result.outcomes)} invoices {verb} to {totals}"


def pushes_as_json(outcomes: Sequence[PushOutcome]) -> list[dict[str, Any]]:
    return [
        {
            "invoice": x.invoice_id,
            "tenant": x.tenant,
            "status": x.status,
            "stripe_invoice": x.stripe_invoice,
            "number": x.number,
            "message": x.message,
        }
        for x in outcomes
    ]


def pushes_as_text(outcomes: Sequence[PushOutcome]) -> Iterator[str]:
    """A line for each invoice that was to be pushed."""
    for x in outcomes:
        told = " ".join(filter(None, (x.stripe_invoice, x.number, x.message)))
        yield f"Stripe: #{x.invoice_id} {x.tenant} {x.status} {told}".rstrip()
    if not outcomes:
        yield "Stripe: no invoice of this run is approved, so nothing is pushed"


def _invoice(outcome: Outcome, ids: list[int]) -> dict[str, Any]:
    period = outcome.cycle.period
    return {
        "tenant": outcome.tenant,
        "plan": outcome.plan,
        "cycle_start": period.start.isoformat().replace("+00:00", "Z"),
        "cycle_end": period.end.isoformat().replace("+00:00", "Z"),
        "first_day": outcome.cycle.first_day.isoformat(),
        "end_day": outcome.cycle.end_day.isoformat(),
        "zone": outcome.cycle.zone,
        "status": outcome.status,
        "invoice": outcome.invoice_id,
        "state": outcome.state,
        "currency": outcome.currency,
        "total": _money(outcome.total_minor, outcome.currency),
        "total_minor": outcome.total_minor,
        "difference": _money(outcome.difference_minor, outcome.currency),
        "lines": [
            _line(line, ids[i] if i < len(ids) else None, outcome.currency)
            for i, line in enumerate(outcome.lines)
        ],
        "uncharged": [_uncharged(x) for x in outcome.uncharged],
        "message": outcome.message,
    }


def _line(line: LineContent, line_id: int | None, currency: str) -> dict[str, Any]:
    return {
        "id": line_id,
        "kind": line["kind"],
        "charge": line["charge_code"],
        "description": line["description"],
        "unit": line["unit"],
        "quantity": plain(line["quantity"]),
        "unit_price": plain(line["unit_price"]),
        "per": line["per"],
        "amount": plain(line["amount"]),
        "owed": _money(line["amount_minor"], currency),
        "amount_minor": line["amount_minor"],
        "parts": [
            {
                "model": model,
                "endpoint_tag": endpoint_tag,
                "quantity": plain(quantity),
                "amount": plain(amount),
            }
            for model, endpoint_tag, quantity, amount in line["parts"]
        ],
        "evidence": {key: line["evidence"][key] for key in ("count", "digest")},
    }


def _uncharged(x: Uncharged) -> dict[str, str]:
    return {
        "reason": x.reason,
        "model": x.model,
        "token_class": x.token_class,
        "quantity": plain(x.quantity),
    }


def _money(amount_minor: int, currency: str) -> str:
    """With all the decimals of its currency: USD 5 is 5.00, JPY 5 is 5."""
    if not currency:
        return "0"
    return f"{from_minor(amount_minor, currency):.{minor_digits(currency)}f}"
