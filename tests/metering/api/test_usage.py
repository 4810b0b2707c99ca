"""`POST /api/v1/usage`: every event has an outcome, every refusal a reason, nothing half done."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.test import Client

from metering import api_keys, event_ledger
from metering.models import Tenant
from tests.metering.api.keys import counts, post, refused, rows, secret, sent, stored

pytestmark = pytest.mark.usefixtures("db")


# ---------------------------------------------------------------- what comes in


def test_one_event_an_array_and_lines_are_the_same_to_us() -> None:
    key = secret()
    three = [sent(f"req-{n}") for n in range(3)]
    lines = "\n".join(json.dumps(event) for event in three).encode()
    for body in (three, lines, lines + b"\n\n", b"\xef\xbb\xbf" + lines, b"\r\n " + lines):
        answer = post(key, body).json()
        assert answer["accepted"] + answer["duplicates"] == 3
    answers = [
        post(key, sent("req-0")).json(),
        post(key, lines, content_type="application/x-ndjson").json(),
        post(key, json.dumps(three, indent=2).encode()).json(),
        post(key, json.dumps(sent("req-0"), indent=2).encode()).json(),
    ]
    assert [counts(answer) for answer in answers] == [
        {"duplicates": 1},
        {"duplicates": 3},
        {"duplicates": 3},
        {"duplicates": 1},
    ]
    assert stored() == 3


def test_every_event_has_its_outcome_in_the_order_of_sending() -> None:
    key = secret()
    body = [
        sent("a", eventId="e1"),
        sent("b", latencyMs=-1),
        sent("a", eventId="e1"),
        sent("a", eventId="e1", inputTokens=7),
        5,
        sent("c"),
    ]
    response = post(key, body, path="/api/v1/usage?outcomes=all")
    answer = response.json()
    assert response.status_code == 200
    assert list(answer) == [
        "accepted",
        "duplicates",
        "conflicts",
        "amended",
        "rejected",
        "outcomes",
    ]
    assert counts(answer) == {"accepted": 2, "duplicates": 1, "conflicts": 1, "rejected": 2}
    assert [o["index"] for o in answer["outcomes"]] == list(range(6))
    assert [o["outcome"] for o in answer["outcomes"]] == [
        "accepted",
        "rejected",
        "duplicate",
        "conflict",
        "rejected",
        "accepted",
    ]
    first, bad, again, other, number, _ = answer["outcomes"]
    assert first["key"] == again["key"] == other["key"]
    assert (bad["key"], bad["reason"], bad["place"]) == ("b", "out_of_range", "index 1")
    assert other["reason"] == "same_key_other_content"
    assert (number["key"], number["reason"]) == (None, "not_an_object")
    short = post(key, body).json()
    assert counts(short) == {"duplicates": 3, "conflicts": 1, "rejected": 2}
    assert [o["index"] for o in short["outcomes"]] == list(range(6)), "all but accepted, always"


def test_accepted_events_are_not_listed_unless_asked_for() -> None:
    answer = post(secret(), [sent("a"), sent("b", model="")]).json()
    assert [o["index"] for o in answer["outcomes"]] == [1]


def test_the_answer_is_200_even_if_all_were_rejected() -> None:
    response = post(secret(), [sent("a", provider="nobody")])
    assert response.status_code == 200
    assert counts(response.json()) == {"rejected": 1}
    assert counts(post(secret(), []).json()) == {}


def test_a_bad_line_costs_itself_only() -> None:
    good = json.dumps(sent()).encode()
    body = good + b'\n\n{"externalRequestId":\n\xff\xfe\n' + good.replace(b"req-1", b"req-2")
    answer = post(secret(), body, content_type="application/x-ndjson").json()
    assert counts(answer) == {"accepted": 2, "rejected": 2}
    assert [(o["index"], o["place"]) for o in answer["outcomes"]] == [(1, "line 3"), (2, "line 4")]


def test_events_are_booked_under_the_keys_source() -> None:
    keys = [secret(source="one"), secret(source="two"), secret(source="one")]
    answers = [post(key, sent()).json() for key in keys]
    assert [counts(a) for a in answers] == [{"accepted": 1}, {"accepted": 1}, {"duplicates": 1}]
    assert rows("SELECT source FROM usage_event ORDER BY 1") == [("one",), ("two",)]
    assert post(keys[0], sent(source="forged")).json()["outcomes"][0]["reason"] == "unknown_field"


def test_numbers_are_exact() -> None:
    body = json.dumps(sent(inputTokens=0)).replace(
        '"latencyMs"', '"units": {"web_search": 0.100000000000000001}, "latencyMs"'
    )
    assert counts(post(secret(), body.encode()).json()) == {"accepted": 1}
    assert rows("SELECT units ->> 'web_search' FROM usage_event") == [("0.100000000000000001",)]


def test_an_event_without_a_time_gets_that_of_its_receipt() -> None:
    before = datetime.now(UTC)
    post(secret(), {n: v for n, v in sent().items() if n != "occurredAt"})
    ((at, reported),) = rows("SELECT occurred_at, time_reported FROM usage_event")
    assert not reported
    assert before <= at <= datetime.now(UTC)


def test_data_mode_and_environment_stay_as_they_are() -> None:
    post(secret(), sent(dataMode="test", environment="dev"))
    assert rows("SELECT data_mode, environment FROM usage_event") == [("test", "dev")]


# ---------------------------------------------------------------- whose it is


def test_a_tenants_key_sends_for_that_tenant_only() -> None:
    key = secret(tenant="acme")
    events = [
        {n: v for n, v in sent("none").items() if n != "tenantId"},
        sent("own"),
        sent("foreign", tenantId="globex"),
        sent("shared", shares=[{"tenantId": "globex", "inputTokens": 1}]),
        sent("shared-own", shares=[{"tenantId": "acme", "inputTokens": 1}]),
    ]
    answer = post(key, events).json()
    assert counts(answer) == {"accepted": 3, "rejected": 2}
    assert [(o["index"], o["reason"]) for o in answer["outcomes"]] == [
        (2, "foreign_tenant"),
        (3, "foreign_tenant"),
    ]
    assert set(rows("SELECT tenant FROM usage_event")) == {("acme",)}
    assert not Tenant.objects.filter(key="globex").exists()


def test_a_key_may_come_in_either_header_but_not_as_two() -> None:
    key, other = secret(), secret()
    assert post(None, sent(), X_API_Key=key).status_code == 200
    assert post(key, sent(), X_API_Key=key).status_code == 200
    assert post(None, sent(), Authorization=f"bearer  {key} ").status_code == 200
    assert post(key, sent("x"), X_API_Key=other).status_code == 401
    basic = b64encode(f"pk-lf-public:{key}".encode()).decode()
    assert post(None, sent(), Authorization=f"Basic {basic}").status_code == 200


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({}, "no-key"),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, "invalid-key"),
        ({"Authorization": "Basic dXNlcjo="}, "no-key"),
        ({"Authorization": "Basic ~~"}, "no-key"),
        ({"Authorization": "Basic /////w=="}, "no-key"),
        ({"Authorization": "Digest SECRET"}, "no-key"),
        ({"Authorization": "Bearer"}, "no-key"),
        ({"Authorization": "Bearer nonsense"}, "invalid-key"),
        ({"X_API_Key": "apk_a_b"}, "invalid-key"),
        ({"X_API_Key": "é" * 50}, "invalid-key"),
        ({"api_key": "SECRET"}, "no-key"),
        ({"Cookie": "Authorization=SECRET"}, "no-key"),
    ],
)
def test_without_a_good_key_nothing_is_taken(headers: dict[str, str], kind: str) -> None:
    key = secret()
    response = post(None, sent(), **{n: v.replace("SECRET", key) for n, v in headers.items()})
    assert response["WWW-Authenticate"].startswith("Bearer")
    refused(response, 401, kind)


def test_a_key_in_the_address_is_no_key() -> None:
    refused(post(None, sent(), path=f"/api/v1/usage?api_key={secret()}"), 401, "no-key")


def test_expired_revoked_and_foreign_keys_are_told_apart() -> None:
    Tenant.objects.create(key="acme")
    now = datetime.now(UTC)
    _, expired = api_keys.create(
        "old", "ingest", expires_at=now - timedelta(hours=1), now=now - timedelta(days=2)
    )
    row, revoked = api_keys.create("gone", "ingest", now=now)
    api_keys.revoke(row.id, now=now)
    refused(post(expired, sent()), 401, "expired-key")
    refused(post(revoked, sent()), 401, "revoked-key")
    for scope in ("portal", "finance", "gateway"):
        other = secret(scope, tenant="acme" if scope == "portal" else None)
        refused(post(other, sent()), 403, "wrong-scope")


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "head", "options"])
def test_only_post_is_understood(method: str) -> None:
    response = getattr(Client(), method)("/api/v1/usage")
    assert (response.status_code, response["Allow"]) == (405, "POST")


class Failing:
    """A database that is not there any more."""

    def __call__(self, *_: object, **__: object) -> Any:
        raise psycopg.OperationalError("the connection is lost")


def test_a_lost_database_is_said_to_be_temporary(monkeypatch: pytest.MonkeyPatch) -> None:
    key = secret()
    monkeypatch.setattr(event_ledger, "claim", Failing())
    response = post(key, sent())
    assert response["Retry-After"] == "1"
    refused(response, 503, "unavailable")


def test_what_is_charged_is_what_was_sent() -> None:
    """The whole way: 1,000 + 200 tokens of gpt-4o-mini at 0.15 and 0.60 a million."""
    post(secret(), sent())
    assert rows("SELECT cost FROM usage_event") == [(Decimal("0.00027"),)]
