"""What came for a month after it was closed, and waits for a correction."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from metering.calls.late_usage import LateUsage, late_usage
from metering.domain.money import plain
from metering.domain.periods import InvalidPeriod, Month
from metering.management.answering import AnsweringCommand


class Command(AnsweringCommand):
    help = (
        "List the usage that came after its month was closed, by owner, with its metered cost: the "
        "closed numbers are without it, and it waits for a correction in an open month or for a "
        "reopening. And the changes of closed usage that were held back."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("period", nargs="?", help="a month, like 2026-10; none: all")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            month = Month.parse(options["period"]) if options["period"] else None
        except InvalidPeriod as error:
            raise CommandError(str(error)) from error
        found = late_usage(month)
        if options["json"]:
            self.stdout.write(json.dumps({"late": [_as_json(each) for each in found]}))
            return
        for each in found:
            self.stdout.write(
                f"{each.month} {each.cost_centre} {each.tenant or '(no tenant)'} {each.provider}:"
                f" {_what(each)}, {_cost(each)}, last on {each.last_received_at:%Y-%m-%d %H:%M} UTC"
            )
        if not found:
            self.stdout.write("Nothing came after a close.")


def _what(each: LateUsage) -> str:
    one, more = (
        ("event came late", "events came late")
        if each.kind == "arrived"
        else ("change was held", "changes were held")
    )
    return f"{each.events} {one if each.events == 1 else more}"


def _cost(each: LateUsage) -> str:
    """What is not known is no 0."""
    known = f"{plain(each.cost)} {each.currency}"
    if not each.unpriced:
        return known
    if each.unpriced == each.events:
        return "without a known price"
    return f"{known} and {each.unpriced} without a known price"


def _as_json(each: LateUsage) -> dict[str, Any]:
    return {
        **each._asdict(),
        "month": str(each.month),
        "cost": plain(each.cost),
        "first_received_at": each.first_received_at.isoformat(),
        "last_received_at": each.last_received_at.isoformat(),
    }
