"""`manage.py run_invoices PERIOD`: draft, approve and push the invoices of the cycles that end in
a month."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import datetime
from typing import Any, Final

from django.core.management.base import CommandError
from django.utils import timezone

from billing.approvals import NotApproved, approve_run
from billing.invoice_run import InvoiceRun, UnknownTenant, run
from billing.push import PushOutcome, push_all
from billing.run_report import as_json, as_text, pushes_as_json, pushes_as_text
from billing.stripe_gateway import StripeGateway, StripeNotConfigured
from config.roles import DRAFT_INVOICES, PUSH_INVOICE
from metering.domain.periods import InvalidPeriod, Month
from metering.management.answering import AnsweringCommand
from metering.people import NotAllowed, acting, author

AUTHOR: Final = "run_invoices"
"""The author of what the command drafts where no person is named, or where the person named is
the one who approves: a program, which approves nothing."""


class Command(AnsweringCommand):
    help = "Draft the invoices of the billing cycles that end in PERIOD; repeating it is harmless."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("period", help="the month that the cycles end in, like 2026-10")
        parser.add_argument("--tenant", help="this customer only")
        parser.add_argument("--dry-run", action="store_true", help="store nothing")
        parser.add_argument("--approve", action="store_true", help="approve the drafts")
        parser.add_argument("--push", action="store_true", help="push what is approved to Stripe")
        parser.add_argument("--as", dest="person", default="", help="who drafts; approves")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            month = Month.parse(options["period"])
        except InvalidPeriod as error:
            raise CommandError(str(error)) from error
        if options["approve"] and (options["dry_run"] or not options["person"].strip()):
            raise CommandError("--approve needs --as USER, a person, and no --dry-run")
        _refuse_push(options)
        now = timezone.now()
        drafted_by = _author(options)
        try:
            result = run(
                month,
                author=drafted_by,
                now=now,
                dry_run=options["dry_run"],
                tenants=None if options["tenant"] is None else [options["tenant"]],
            )
            if options["approve"]:
                result = approve_run(result, by=options["person"], now=now)
        except (NotApproved, NotAllowed, UnknownTenant) as error:
            raise CommandError(str(error)) from error
        pushed = _pushed(result, now) if options["push"] else None
        self._print(result, pushed, as_object=options["json"])
        if not result.complete:
            missing = ", ".join(sorted({x.tenant for x in result.not_invoiced}))
            raise CommandError(f"not every cycle has its invoice: {missing}; see above")
        if left := sorted({x.tenant for x in pushed or () if not x.done}):
            raise CommandError(f"not every invoice is at Stripe: {', '.join(left)}; see above")

    def _print(
        self, result: InvoiceRun, pushed: list[PushOutcome] | None, *, as_object: bool
    ) -> None:
        if as_object:
            more = {} if pushed is None else {"pushed": pushes_as_json(pushed)}
            self.stdout.write(json.dumps(as_json(result) | more))
            return
        for line in as_text(result):
            self.stdout.write(line)
        for line in pushes_as_text(pushed) if pushed is not None else ():
            self.stdout.write(line)


def _refuse_push(options: dict[str, Any]) -> None:
    """Before anything is drafted: a push that cannot be, or that this person may not do."""
    if not options["push"]:
        return
    if options["dry_run"]:
        raise CommandError("--push goes with no --dry-run")
    try:
        StripeGateway.of_settings()
        if options["person"].strip():
            acting(options["person"], PUSH_INVOICE)
    except (StripeNotConfigured, NotAllowed) as error:
        raise CommandError(str(error)) from error


def _pushed(result: InvoiceRun, now: datetime) -> list[PushOutcome]:
    standing = [x.invoice_id for x in result.outcomes if x.state in ("approved", "finalized")]
    try:
        return list(push_all(filter(None, standing), now=now))
    except StripeNotConfigured as refused:
        raise CommandError(str(refused)) from refused


def _author(options: dict[str, Any]) -> str:
    if options["approve"]:
        return AUTHOR
    try:
        return author(options["person"], DRAFT_INVOICES) or AUTHOR
    except NotAllowed as error:
        raise CommandError(str(error)) from error
