"""`manage.py reconcile 2026-10`: from metered cost to the provider's bill, cause by cause."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from django.core.management.base import CommandError
from django.utils import timezone

from allocation.closed_months import MonthIsClosed
from allocation.models import Reconciliation
from allocation.reconciliation import (
    CannotCompare,
    EvidenceRow,
    NothingToReconcile,
    ProviderResult,
    reconcile,
    results_of,
    totals_of,
)
from config.roles import RECONCILE
from metering.domain.money import plain
from metering.domain.periods import InvalidPeriod, Month
from metering.management.answering import AnsweringCommand
from metering.people import NotAllowed, author

REFUSALS: Final = (InvalidPeriod, NothingToReconcile, CannotCompare, MonthIsClosed, NotAllowed)

_WORDS: Final = {
    "metered_not_billed": "metered, not billed",
    "executed_not_requested": "executed, not requested",
    "estimated_usage": "estimated usage",
    "free_allowance": "free allowance",
    "volume_price": "volume price",
    "price_difference": "price difference",
    "reserved_capacity": "reserved capacity",
    "committed_minimum": "committed minimum",
}


class Command(AnsweringCommand):
    help = "Explains the difference between a month's provider bills and its metered cost."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("period", metavar="PERIOD", help="a month, like 2026-10")
        parser.add_argument("--as", dest="person", default="", help="who reconciles")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            author(options["person"], RECONCILE)
            reconciliation = reconcile(Month.parse(options["period"]), now=timezone.now())
        except REFUSALS as error:
            raise CommandError(str(error)) from error
        results = results_of(reconciliation)
        if options["json"]:
            self.stdout.write(json.dumps(_value(reconciliation, results)))
            return
        self.stdout.write(f"{reconciliation.month}: reconciliation {reconciliation.number}")
        for result in results:
            self.stdout.write(_table(result))
        self.stdout.write(
            f"inputs  {reconciliation.inputs_digest}\noutputs {reconciliation.outputs_digest}"
        )


def _value(reconciliation: Reconciliation, results: Sequence[ProviderResult]) -> dict[str, Any]:
    return {
        "period": reconciliation.month,
        "reconciliation": reconciliation.number,
        "reconciled_at": reconciliation.reconciled_at.isoformat(),
        "inputs_digest": reconciliation.inputs_digest,
        "digest": reconciliation.outputs_digest,
        "totals": _totals(results),
        "providers": [_provider_value(result) for result in results],
    }


def _totals(results: Sequence[ProviderResult]) -> list[dict[str, Any]]:
    return [
        {
            "currency": total.currency,
            "metered": plain(total.metered),
            "matched": plain(total.matched),
            "bill": plain(total.bill),
            "steps": {cause: plain(amount) for cause, amount in total.steps},
        }
        for total in totals_of(results)
    ]


def _provider_value(result: ProviderResult) -> dict[str, Any]:
    return {
        "provider": result.provider,
        "currency": result.currency,
        "metered": plain(result.metered),
        "matched": plain(result.matched),
        "bill": _number(result.bill),
        "unpriced_quantity": plain(result.unpriced_quantity),
        "rounding_mean": _number(result.rounding_mean),
        "unexplained_owner": result.unexplained_owner,
        "steps": [{"cause": cause, "amount": plain(amount)} for cause, amount in result.steps],
        "lines": [_line_value(row) for row in result.evidence],
    }


def _line_value(row: EvidenceRow) -> dict[str, Any]:
    return {
        name: value.isoformat()
        if name == "day"
        else plain(value)
        if isinstance(value, Decimal)
        else value
        for name, value in row._asdict().items()
    }


def _number(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)


def _table(result: ProviderResult) -> str:
    head = f"\n{result.provider} ({result.currency or 'no currency'})"
    rows = [("metered cost", result.metered, 0)]
    if result.bill is None:
        said = [head, _row(*rows[0]), "  no bill yet: nothing to compare with", *_told(result)]
        return "\n".join(said)
    counted = {
        cause: sum(1 for row in result.evidence if row.cause == cause)
        for cause in {row.cause for row in result.evidence}
    }
    for cause, amount in result.steps:
        if amount or counted.get(cause):
            rows.append((_WORDS.get(cause, cause), amount, counted.get(cause, 0)))
        if cause == "metered_not_billed":
            rows.append(("= confirmed by the bill", result.matched, counted.get("matched", 0)))
    rows.append(("= bill", result.bill, 0))
    lines = [head, *(_row(*row) for row in rows)]
    if result.unpriced_quantity:
        lines.append(f"  {plain(result.unpriced_quantity)} tokens or units have no price")
    if result.rounding_mean is not None:
        lines.append(f"  rounding is {plain(result.rounding_mean)} a cell on average")
    if dict(result.steps)["unexplained"]:
        lines.append(f"  {result.unexplained_owner or 'nobody'} answers for what is unexplained")
    lines += _told(result)
    return "\n".join(lines)


def _told(result: ProviderResult) -> list[str]:
    """What should be on the bill by a contract, and is not."""
    return [
        f"  {row.note}"
        for row in result.evidence
        if row.note and not row.amount and row.cause in ("reserved_capacity", "committed_minimum")
    ]


def _row(words: str, amount: Decimal, cells: int) -> str:
    of_cells = f"{cells:>7} cell{'' if cells == 1 else 's'}" if cells else ""
    return f"  {words:<26}{amount:>20,.6f}{of_cells}"
