"""`manage.py allocate 2026-10`: divide a month's bills over their owners."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from allocation import allocation_run
from allocation.closed_months import MonthIsClosed
from allocation.domain.allocations import Allocation
from allocation.domain.pools import AmountTooFine
from allocation.domain.rules import InvalidRule
from allocation.models import AllocationRun
from allocation.rendering.run_json import allocation_value, owner_totals
from allocation.rule_book import NoSuchRule
from allocation.run_rows import read_allocation
from config.roles import RUN_ALLOCATION
from metering.domain.apportionment import InvalidWeight
from metering.domain.money import UnknownCurrency, plain
from metering.domain.periods import InvalidPeriod, Month
from metering.management.answering import AnsweringCommand
from metering.people import NotAllowed, author

REFUSALS = (
    InvalidPeriod,
    allocation_run.NoBills,
    MonthIsClosed,
    NoSuchRule,
    InvalidRule,
    AmountTooFine,
    InvalidWeight,
    UnknownCurrency,
    NotAllowed,
)


class Command(AnsweringCommand):
    help = "Divides the month's provider bills over cost centres and tenants, exactly."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("period", metavar="PERIOD", help="a month, like 2026-10")
        parser.add_argument("--rule", help="the rule to divide by (default: standard)")
        parser.add_argument("--as", dest="author", default="", help="who runs it; another approves")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            run = allocation_run.run(
                Month.parse(options["period"]),
                rule=options["rule"],
                author=author(options["author"], RUN_ALLOCATION),
                now=timezone.now(),
            )
        except REFUSALS as error:
            raise CommandError(str(error)) from error
        allocation = read_allocation(run.pk)
        if options["json"]:
            self.stdout.write(json.dumps(_head(run) | allocation_value(allocation)))
        else:
            self._print(run, allocation)

    def _print(self, run: AllocationRun, allocation: Allocation) -> None:
        head = _head(run)
        self.stdout.write(
            f"{run.month}: run {run.number} ({run.state}), rule {run.rule_version}, "
            f"{len(allocation.lines)} lines"
        )
        totals = owner_totals(allocation)
        owners = [f"{t.cost_centre} / {t.tenant or '-'}" for t in totals]
        width = max((len(owner) for owner in owners), default=0)
        for owner, total in zip(owners, totals, strict=True):
            self.stdout.write(f"  {owner:<{width}}  {total.amount:>16,f} {total.currency}")
        for bill in allocation.bills:
            self.stdout.write(
                f"bill {bill.bill_id} ({bill.provider}): {plain(bill.exact)} {bill.currency}, "
                f"payable {bill.payable:,f}, allocated in full"
            )
        self.stdout.write(f"inputs  {head['inputs_digest']}\noutputs {head['digest']}")


def _head(run: AllocationRun) -> dict[str, Any]:
    version = run.rule_version
    return {
        "period": run.month,
        "run": run.number,
        "state": run.state,
        "author": run.author,
        "created_at": run.created_at.isoformat(),
        "rule": {"name": version.rule_id, "version": version.number, "digest": version.digest},
        "usage_digest": run.usage_digest,
        "inputs_digest": run.inputs_digest,
        "digest": run.outputs_digest,
    }
