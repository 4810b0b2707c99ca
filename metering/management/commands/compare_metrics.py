"""What programs' own metrics say of a month, beside the events that were taken in."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from metering.domain.money import plain
from metering.domain.periods import InvalidPeriod, Month
from metering.management.answering import AnsweringCommand
from metering.metric_readings import Compared, compare


class Command(AnsweringCommand):
    help = (
        "Compare OpenTelemetry's metrics of tokens and cost (POST /v1/metrics) with events, by "
        "source, model and kind. Metrics are never counted: more of them than of events says that "
        "events are missing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("period", help="a month, like 2026-10")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            month = Month.parse(options["period"])
        except InvalidPeriod as error:
            raise CommandError(str(error)) from error
        found = compare(month.period)
        if options["json"]:
            self.stdout.write(json.dumps({"compared": [_as_json(each) for each in found]}))
            return
        for each in found:
            unit = "tokens" if each.kind != "cost" else each.unit
            self.stdout.write(
                f"{each.source} {each.model or '(no model)'} {each.kind}:"
                f" metrics {plain(each.metrics)}, events {plain(each.events)},"
                f" difference {plain(each.difference)} {unit}"
            )
        if not found:
            self.stdout.write("No metrics of tokens or cost were sent for this month.")


def _as_json(each: Compared) -> dict[str, Any]:
    figures = {name: plain(getattr(each, name)) for name in ("metrics", "events", "difference")}
    return {**each._asdict(), **figures}
