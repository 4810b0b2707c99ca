"""Re-ratings over REST: the acts, and all that each of them changed."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from metering.ingestion import ingest
from metering.pricing.price_imports import import_file
from tests.metering.api.keys import secret
from tests.metering.events import NOW
from tests.metering.pricing.test_revaluation import ALIAS, LATER, done, several

pytestmark = pytest.mark.django_db


def got(path: str, scope: str = "finance") -> tuple[int, Any]:
    headers = {"X-API-Key": secret(scope, **({"tenant": "acme"} if scope == "portal" else {}))}
    response = Client(headers=headers).get(f"/api/v1/finance/reratings{path}")
    return response.status_code, response.json()


def test_an_act_is_listed_with_what_it_changed() -> None:
    ingest(several(), now=NOW)
    import_file(ALIAS, "own.csv", effective_at=LATER)
    acts = [done().run, done().run]
    status, page = got("?limit=1")
    assert (status, page["items"][0]["id"]) == (200, acts[1])
    _, page = got(f"?limit=1&cursor={page['next']}")
    [item] = page["items"]
    assert page["next"] is None
    assert (item["id"], item["month"], item["model"]) == (acts[0], "2026-10", "")
    assert (item["author"], item["reason"]) == ("finance", "a finetune has a price")
    assert item["looked_at"] == 11
    assert item["usage_digest"] != item["usage_digest_after"]

    _, act = got(f"/{acts[0]}")
    assert item.items() <= act.items()
    _, differences = got(f"/{acts[0]}/differences")
    [difference] = differences["items"]
    assert (difference["pricing_before"], difference["pricing_after"]) == ("unpriced", "priced")
    assert (difference["events"], act["changed"]) == (5, 5)
    [total] = act["totals"]
    assert total == {"currency": "USD", "before": "0", "after": difference["cost_after"]}
    assert got(f"/{acts[1]}/differences") == (200, {"items": []})


def test_who_may_not_read_them_and_what_is_not_there() -> None:
    ingest(several(1), now=NOW)
    assert got("", "portal")[0] == 403
    assert got("", "ingest")[0] == 403
    status, problem = got("/77")
    assert status == 404
    assert "no re-rating 77" in problem["detail"]
