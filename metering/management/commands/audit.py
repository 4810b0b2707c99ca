"""`audit [--object MODEL] [--from DATE --to DATE]`: who changed what, when, by what way and why."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from metering import history
from metering.management.answering import AnsweringCommand

_NEWEST = 200


class Command(AnsweringCommand):
    help = "Lists changes to all that can move money, newest first: by days (UTC), and of a model."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--object", help="one model only, like costcentre")
        parser.add_argument("--from", dest="first", type=date.fromisoformat, help="first day")
        parser.add_argument("--to", dest="last", type=date.fromisoformat, help="last day")
        parser.add_argument("--limit", type=int, default=_NEWEST, help="at most so many")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        last = options["last"] or timezone.now().date()
        first = options["first"] or last - timedelta(days=30)
        since = datetime.combine(first, time(), UTC)
        until = datetime.combine(last, time(), UTC) + timedelta(days=1)
        try:
            found = history.changes(since, until, of=options["object"], limit=options["limit"])
        except history.NoHistory as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            answer = {"from": first, "to": last, "changes": [_value(change) for change in found]}
            self.stdout.write(json.dumps(answer, cls=DjangoJSONEncoder))
            return
        for change in found:
            who = change.by or "nobody named (by SQL)"
            fields = ", ".join(sorted(change.fields))
            reason = f"; why: {change.reason}" if change.reason else ""
            self.stdout.write(
                f"{change.at:%Y-%m-%d %H:%M:%S} {change.act} {change.of} {change.key} by {who}"
                f"{f' ({change.way})' if change.way else ''}: {fields or '-'}{reason}"
            )


def _value(change: history.Change) -> dict[str, Any]:
    return {
        "at": change.at,
        "of": change.of,
        "key": change.key,
        "act": change.act,
        "by": change.by,
        "way": change.way,
        "reason": change.reason,
        "fields": {
            name: {"before": _plain(before), "after": _plain(after)}
            for name, (before, after) in change.fields.items()
        },
    }


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes | memoryview) else value
