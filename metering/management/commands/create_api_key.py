"""`create_api_key NAME --scope ingest|gateway|finance|portal`: a key, its secret shown once."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError

from config.roles import CREATE_API_KEY
from metering import api_keys, people
from metering.management.answering import AnsweringCommand
from metering.models import ApiKey


class Command(AnsweringCommand):
    help = (
        "Make an API key and print its secret, once. A sending key (ingest, gateway) books its"
        " events under its source and, with --tenant, sends for that tenant only. A portal key"
        " shows one tenant's usage, a finance key everybody's."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="by which people will know it")
        parser.add_argument("--scope", required=True, choices=api_keys.SCOPES)
        parser.add_argument("--tenant", help="the only tenant that it sends or reads for")
        parser.add_argument(
            "--source",
            help="what its events are booked under, default"
            f" {api_keys.DEFAULT_SOURCE}; an event counts once in its source, whichever key"
            " brings it",
        )
        parser.add_argument(
            "--expires", type=_instant, metavar="WHEN", help="2027-01-01 or 2027-01-01T00:00:00Z"
        )
        parser.add_argument("--as", dest="author", default="", metavar="USER")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            key, secret = api_keys.create(
                options["name"],
                options["scope"],
                options["tenant"],
                options["source"],
                options["expires"],
                now=datetime.now(UTC),
                created_by=people.author(options["author"], CREATE_API_KEY),
            )
        except (api_keys.KeyRequestError, people.NotAllowed) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps({**_facts(key), "secret": secret}, ensure_ascii=False))
            return
        said = [f"{name} {value}" for name, value in _facts(key).items() if value and name != "id"]
        self.stdout.write(f"{secret}\n\n{', '.join(said)}")
        self.stdout.write(
            "Keep it now: it is not shown again. It is sent as Authorization: Bearer <key> or"
            f" X-API-Key: <key>. To end it: manage.py revoke_api_key {key.id}"
        )


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _facts(key: ApiKey) -> dict[str, str | None]:
    return {
        "id": key.id,
        "name": key.name,
        "scope": key.scope,
        "tenant": key.tenant_id,
        "source": key.source_id,
        "expiresAt": key.expires_at.isoformat() if key.expires_at else None,
    }
