"""`POST /api/v1/outcomes`: each outcome once, and what became of each."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from tests.metering.api.keys import counts, post, refused, rows, secret
from tests.metering.formats.test_business_outcomes import CLOUD, TOLD

pytestmark = pytest.mark.usefixtures("db")

PATH = "/api/v1/outcomes"


def told(number: int = 1, **different: Any) -> dict[str, Any]:
    return {**TOLD, "outcomeId": f"ticket-{number}", **different}


def tell(key: str | None, body: object, **options: Any) -> Any:
    return post(key, body, path=options.pop("path", PATH), **options)


def test_outcomes_are_stored_once() -> None:
    key = secret(source="helpdesk")
    assert counts(tell(key, [told(1), told(2), told(1)]).json()) == {"accepted": 2, "duplicates": 1}
    answer = tell(key, [told(2), told(2, quantity=3), told(3), told(4, quantity=0)]).json()
    assert counts(answer) == {"accepted": 1, "duplicates": 1, "conflicts": 1, "rejected": 1}
    assert [(o["index"], o["outcome"]) for o in answer["outcomes"]] == [
        (0, "duplicate"),
        (1, "conflict"),
        (3, "rejected"),
    ]
    assert rows(
        "SELECT source, outcome_id, kind, quantity::int, tenant, endpoint_tag, tags ->> 'channel'"
        " FROM business_outcome ORDER BY 2"
    ) == [
        ("helpdesk", f"ticket-{n}", "ticket_resolved", 1, "acme", "support.answer", "mail")
        for n in (1, 2, 3)
    ]
    assert rows("SELECT key FROM tenant") == [("acme",)]
    assert rows("SELECT count(*) FROM usage_event") == [(0,)]


def test_sources_have_ids_of_their_own() -> None:
    for source in ("one", "two"):
        assert counts(tell(secret(source=source), told()).json()) == {"accepted": 1}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/cloudevents+json", CLOUD),
        ("application/cloudevents+json; charset=utf-8", CLOUD),
        ("application/cloudevents-batch+json", [CLOUD, {**CLOUD, "id": "7"}]),
        ("application/json", CLOUD),
        ("application/x-ndjson", TOLD),
    ],
)
def test_content_types(kind: str, body: object) -> None:
    answer = tell(secret(), body, content_type=kind, path=PATH + "?outcomes=all").json()
    assert answer["accepted"] == 1
    assert answer["outcomes"][0]["outcome"] == "accepted"


def test_a_tenants_key_tells_of_that_tenant_only() -> None:
    key = secret(tenant="acme")
    answer = tell(key, [told(1), told(2, tenantId=None), told(3, tenantId="globex")]).json()
    assert counts(answer) == {"accepted": 2, "rejected": 1}
    assert answer["outcomes"][0]["reason"] == "foreign_tenant"
    assert rows("SELECT DISTINCT tenant FROM business_outcome") == [("acme",)]


def test_what_is_refused_as_a_whole() -> None:
    refused(tell(None, told()), 401, "no-key")
    refused(tell(secret("finance"), told()), 403, "wrong-scope")
    refused(tell(secret(), b"{"), 400, "malformed-json")
    refused(tell(secret(), told(), content_type="text/xml"), 415, "unsupported-media-type")
    assert rows("SELECT count(*) FROM business_outcome") == [(0,)]


@pytest.mark.parametrize(
    "attack", ["UPDATE business_outcome SET quantity = 2", "DELETE FROM business_outcome"]
)
def test_they_are_not_changed(attack: str) -> None:
    tell(secret(), told())
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(attack)
