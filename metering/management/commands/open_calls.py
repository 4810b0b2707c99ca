"""Calls that were told in part: what each waits for, or why it can be no event."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from metering.calls.call_upkeep import OpenCall, keep_up, open_calls
from metering.management.answering import AnsweringCommand


class Command(AnsweringCommand):
    help = (
        "List the spans of traces that are no event though they may be calls, those that wait "
        "longest first. With --keep-up, first end the calls of which nothing was told for a day "
        "(they count without usage), make what waited for a month that was reopened, and forget "
        "what is old: what a schedule does every hour."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--source", help="of this source only")
        parser.add_argument("--most", type=int, default=100, help="how many to list (100)")
        parser.add_argument("--keep-up", action="store_true")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        done = keep_up(now=timezone.now()) if options["keep_up"] else None
        found = open_calls(most=options["most"], source=options["source"])
        if options["json"]:
            answer: dict[str, Any] = {"calls": [_as_json(each) for each in found]}
            if done is not None:
                answer["kept_up"] = done._asdict()
            self.stdout.write(json.dumps(answer))
            return
        if done is not None:
            self.stdout.write(
                f"{done.ended} calls ended, {done.settled} traces settled anew,"
                f" {done.traces} traces and {done.identities} identities forgotten"
            )
        for each in found:
            model = f" {each.provider} {each.model}".rstrip()
            self.stdout.write(
                f"{each.source} trace {each.trace_id} span {each.span_id}{model}: {each.place},"
                f" {each.reason.replace('_', ' ')}, since {each.since:%Y-%m-%d %H:%M} UTC"
            )
        if not found:
            self.stdout.write("No call is open.")


def _as_json(each: OpenCall) -> dict[str, Any]:
    return {**each._asdict(), "since": each.since.isoformat()}
