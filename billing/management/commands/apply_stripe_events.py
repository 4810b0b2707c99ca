"""`manage.py apply_stripe_events`: apply the webhooks that were stored and not applied yet."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from billing.stripe_events import apply_pending
from metering.management.answering import AnsweringCommand


class Command(AnsweringCommand):
    help = "Apply Stripe's events that are stored and pending; repeating it is harmless."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        applied = apply_pending(now=timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps({"events": applied.total, "outcomes": applied.counts}))
            return
        told = ", ".join(f"{n} {outcome}" for outcome, n in sorted(applied.counts.items()))
        self.stdout.write(f"{applied.total} events: {told or 'nothing was pending'}")
