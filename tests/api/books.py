"""Two customers' October and the company's books over it, and keys to look at them with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.test import Client

from allocation import period_close
from billing.approvals import approve_run
from billing.invoice_run import run as run_invoices
from metering import api_keys
from metering.domain.usage import Share
from metering.ingestion import ingest
from tests.allocation import october
from tests.allocation.october import CONTROLLER, NOW, OCTOBER
from tests.billing.billed import call, on_pro, plans

SCOPES = ("ingest", "gateway", "finance", "portal")


@dataclass(frozen=True)
class Keys:
    """Secrets by what they may do; `portal` is acme's, `other` globex's."""

    ingest: str
    gateway: str
    finance: str
    portal: str
    other: str
    revoked: str
    expired: str


def keys() -> Keys:
    def secret(scope: str, tenant: str | None = None, **more: Any) -> str:
        return api_keys.create(f"{scope} {tenant or ''}", scope, tenant, now=NOW, **more)[1]

    revoked = secret("portal", "acme")
    api_keys.revoke(revoked.split("_")[1], now=NOW)
    return Keys(
        ingest=secret("ingest"),
        gateway=secret("gateway"),
        finance=secret("finance"),
        portal=secret("portal", "acme"),
        other=secret("portal", "globex"),
        revoked=revoked,
        expired=api_keys.create(
            "old", "portal", "acme", now=NOW - timedelta(days=9),
            expires_at=NOW - timedelta(days=1),
        )[1],
    )  # fmt: skip


def october_in_the_books(folder: Path) -> None:
    """Usage, a bill, a run that is closed, invoices that are approved; a draft for initech."""
    october.company(folder)
    ingest(
        [
            call("2026-10-10T12:00", external_request_id="acme secret 1", user_id="ann"),
            call("2026-10-10T19:00", external_request_id="acme secret 2", model="gpt-4o"),
            call("2026-10-11T02:00", endpoint_tag="search", units={"web_search": Decimal(3)}),
            call("2026-10-12T12:00", status="error"),
            call("2026-10-12T13:00", data_mode="test"),
            call("2026-10-20T12:00", "globex", external_request_id="globex secret", user_id="bob"),
            call("2026-10-21T12:00", "globex", input_tokens=1000, output_tokens=301,
                 external_request_id="globex shared secret", user_id="bob",
                 shares=(Share(tenant_id="acme", input_tokens=333, output_tokens=100),)),
            call("2026-10-22T12:00", "initech"),
        ],
        now=NOW,
    )  # fmt: skip
    october.usage_and_bill()
    october.reconcile()
    october.run()
    period_close.close(OCTOBER, by=CONTROLLER, now=NOW, accept_unexplained="small")
    plans(on_pro("acme", 'zone = "Asia/Kolkata"\n'), on_pro("globex"), on_pro("initech"))
    for tenant in ("acme", "globex"):
        made = run_invoices(OCTOBER, author="run_invoices", now=NOW, tenants=[tenant])
        approve_run(made, by=CONTROLLER, now=NOW)
    run_invoices(OCTOBER, author="run_invoices", now=NOW)


class Asking:
    """Requests with one key; answers as JSON."""

    def __init__(self, secret: str | None) -> None:
        headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        self._client = Client(headers=headers)

    def get(self, path: str, **query: Any) -> tuple[int, Any]:
        response = self._client.get(path, query)
        return response.status_code, json.loads(response.content)

    def status(self, path: str) -> int:
        return self._client.get(path).status_code

    def ok(self, path: str, **query: Any) -> Any:
        status, value = self.get(path, **query)
        assert status == 200, value
        return value

    def pages(self, path: str, **query: Any) -> Iterator[Any]:
        """Every item of every page."""
        cursor: dict[str, str] = {}
        while True:
            page = self.ok(path, **query, **cursor)
            yield from page["items"]
            if page["next"] is None:
                return
            cursor = {"cursor": page["next"]}
