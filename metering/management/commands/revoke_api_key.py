"""`revoke_api_key KEY`: ends a key, named by its id or its name, at once and for ever."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError

from config.roles import CREATE_API_KEY
from metering import api_keys, people
from metering.management.answering import AnsweringCommand


class Command(AnsweringCommand):
    help = "Revoke an API key, named by its id or its name. It opens nothing from then on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("key", metavar="KEY", help="the key's id, or its name if it is the one")
        parser.add_argument("--as", dest="author", default="", metavar="USER")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            row, changed = api_keys.revoke(
                options["key"],
                now=datetime.now(UTC),
                revoked_by=people.author(options["author"], CREATE_API_KEY),
            )
        except (api_keys.KeyRequestError, people.NotAllowed) as error:
            raise CommandError(str(error)) from error
        assert row.revoked_at is not None, "a revoked key has its time"
        at = row.revoked_at.isoformat(timespec="seconds")
        if options["json"]:
            self.stdout.write(
                json.dumps({"id": row.id, "name": row.name, "revokedAt": at, "changed": changed})
            )
        else:
            self.stdout.write(
                f"{row.name} ({row.id}) {'is revoked' if changed else 'was revoked already'}: {at}"
            )
