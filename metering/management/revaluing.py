"""What the commands that value stored events anew have in common: their answer."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any, Final

from django.core.management.base import CommandError
from django.utils import timezone

from config.garbage import collect_rarely
from metering import people
from metering.domain.money import plain
from metering.domain.periods import InvalidPeriod, Month
from metering.management.answering import AnsweringCommand
from metering.people import NotAllowed
from metering.pricing.revaluation import MonthClosed, Moved, Revalued, Sums

_SHOWN: Final = 30


class RevaluingCommand(AnsweringCommand):
    """A run over an open month whose differences are listed. Subclasses name the right it takes
    and do it."""

    permission: str
    reason: str
    run: Callable[..., Revalued]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("period", help="the month, like 2026-10")
        parser.add_argument("--dry-run", action="store_true", help="list what would change")
        parser.add_argument("--reason", default=self.reason, help="kept with every change")
        parser.add_argument("--as", dest="person", default="", help="who does it")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def more(self, options: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - for subclasses
        """What else the run is told."""
        return {}

    def handle(self, *_args: Any, **options: Any) -> None:
        collect_rarely()
        try:
            month = Month.parse(options["period"])
            author = people.author(options["person"], self.permission)
            found = type(self).run(
                month,
                author=author or "manage.py",
                reason=options["reason"].strip() or self.reason,
                now=timezone.now(),
                dry_run=options["dry_run"],
                **self.more(options),
            )
        except (InvalidPeriod, NotAllowed, MonthClosed) as error:
            raise CommandError(str(error)) from error
        ordered = sorted(found.differences.items(), key=lambda each: (-each[1].events, each[0]))
        if options["json"]:
            answer: dict[str, Any] = {
                "run": found.run,
                "period": str(month),
                "dryRun": options["dry_run"],
                "lookedAt": found.looked_at,
                "changed": found.changed,
                "totals": [
                    {"currency": currency, "cost": [plain(before), plain(after)]}
                    for currency, before, after in found.totals
                ],
                "differences": [_as_json(moved, sums) for moved, sums in ordered],
            }
            self.stdout.write(json.dumps(answer))
            return
        for moved, sums in ordered[:_SHOWN]:
            self.stdout.write(in_words(moved, sums))
        if len(ordered) > _SHOWN:
            self.stdout.write(f"… and {len(ordered) - _SHOWN} more (all with --json)")
        for currency, before, after in found.totals:
            self.stdout.write(f"in all: {plain(before)} → {plain(after)} {currency}")
        self.stdout.write(
            ("" if found.run is None else f"re-rating {found.run} of ")
            + f"{month}: {found.looked_at} events looked at, {found.changed} "
            + ("would change" if options["dry_run"] else "changed")
        )


def in_words(moved: Moved, sums: Sums) -> str:
    """`openai gpt-4o: 12 events, unpriced → priced, no cost → 1.25 USD`."""
    said = [f"{sums.events} {'event' if sums.events == 1 else 'events'}"]
    if moved.pricing_before != moved.pricing_after:
        said.append(f"{moved.pricing_before} → {moved.pricing_after}")
    if moved.owner_before != moved.owner_after:
        before, after = (
            f"{owner.cost_centre}/{owner.tenant or '(no tenant)'}"
            for owner in (moved.owner_before, moved.owner_after)
        )
        said.append(f"{before} → {after}")
    return f"{moved.provider} {moved.model}: {', '.join(said)}, {_costs(moved, sums)}"


def _costs(moved: Moved, sums: Sums) -> str:
    was = "no cost" if moved.pricing_before == "unpriced" else plain(sums.cost_before)
    if moved.pricing_after == "unpriced":
        return (
            f"{was} as before" if was == "no cost" else f"{was} {moved.currency_before} → no cost"
        )
    if was != "no cost" and moved.currency_before != moved.currency:
        was += f" {moved.currency_before}"
    return f"{was} → {plain(sums.cost_after)} {moved.currency}"


def _as_json(moved: Moved, sums: Sums) -> dict[str, Any]:
    return {
        "provider": moved.provider,
        "model": moved.model,
        "events": sums.events,
        "pricing": [moved.pricing_before, moved.pricing_after],
        "owner": [
            {"costCentre": owner.cost_centre, "tenant": owner.tenant}
            for owner in (moved.owner_before, moved.owner_after)
        ],
        "cost": [plain(sums.cost_before), plain(sums.cost_after)],
        "currency": moved.currency,
        "currencyBefore": moved.currency_before,
    }
