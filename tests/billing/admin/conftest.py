"""A small October with everything in it: bills, a run, a close, plans, invoices, keys, mappings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from allocation import period_close
from billing import invoice_run
from metering import api_keys
from metering.models import (
    OwnerMapping,
    Provider,
    ServiceAccount,
    Source,
    Tenant,
    TenantMapping,
    UserIdentity,
)
from tests.allocation import october
from tests.allocation.october import ANALYST, CONTROLLER, NOW, OCTOBER
from tests.billing.billed import on_pro, plans
from tests.prebuilt import Prebuilt

PSEUDONYM = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture
def month(db: None, prebuilt: Prebuilt) -> Iterator[None]:
    """Closed, with drafts of its invoices, and a row of every kind that a person can enter."""
    with prebuilt.at(_everything):
        yield


def _everything(folder: Path) -> None:
    october.ready(folder)
    period_close.close(OCTOBER, by=CONTROLLER, now=NOW)
    plans(on_pro("acme"), on_pro("globex"))
    invoice_run.run(OCTOBER, author=ANALYST, now=NOW)
    api_keys.create("gateway", "ingest", now=NOW)
    source, _ = Source.objects.get_or_create(key="test")
    Provider.objects.get_or_create(key="vllm")
    ServiceAccount.objects.create(pseudonym=PSEUDONYM, name="nightly job")
    UserIdentity.objects.create(lookup_hash=b"\x01" * 32, pseudonym=PSEUDONYM)
    TenantMapping.objects.create(
        kind="source", key=source.key, tenant=Tenant.objects.get(key="acme")
    )
    OwnerMapping.objects.create(
        kind="endpoint_tag",
        key="search",
        cost_centre_id="cc-growth",
        valid_from=datetime(2026, 10, 1, tzinfo=UTC),
    )
