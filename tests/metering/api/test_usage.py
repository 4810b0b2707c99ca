"""`POST /api/v1/usage`: every event has an outcome, every refusal a reason, nothing half done."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client

from metering import api_keys, ingestion
from metering.api import bodies
from metering.models import Tenant
from tests.metering.api.keys import post, secret, sent

pytestmark = pytest.mark.usefixtures("db")


def rows(query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def stored() -> int:
    return int(rows("SELECT count(*) FROM usage_event")[0][0])


def counts(answer: dict[str, Any]) -> dict[str, int]:
    return {name: value for name, value in answer.items() if name != "outcomes" and value}


def refused(response: Any, status: int, kind: str) -> dict[str, Any]:
    """The problem, which must be of that status and type; nothing may have been stored."""
    assert response["Content-Type"] == "application/problem+json"
    answer: dict[str, Any] = response.json()
    assert (response.status_code, answer["status"]) == (status, status)
    assert answer["type"] == f"urn:apportion:problem:{kind}"
    assert answer["title"]
    assert answer["detail"]
    assert stored() == 0
    return answer


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
        sent("b", inputTokens=-1),
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


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({}, "no-key"),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, "no-key"),
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


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize(
    ("body", "line", "byte"),
    [
        (b'[{"a":1},\n {"b":nope}]', 2, 16),
        (b'[{"a":1} {"b":2}]', 1, 9),
        (b'[{"a":1},\n{"b":2}', 2, 17),
        (b'{"a":1', 1, 6),
        (b'{"a":NaN}', 1, 5),
        (b'[{"a":Infinity}]', 1, 6),
        (b"hello", 1, 0),
        (b'"text"', 1, 0),
        (b"[1]x", 1, 3),
        (b"[" * 200_000, None, None),
        (b'{"a":' * 200_000, None, None),
        (b"", None, None),
        (b" \n ", None, None),
        (b"[" + b"1," * 1_000_000 + b"1]", None, None),
    ],
)
def test_what_is_no_json_is_named_by_line_and_byte(
    body: bytes, line: int | None, byte: int | None
) -> None:
    answer = refused(post(secret(), body), 400, "malformed-json")
    assert answer.get("line") == line
    if byte is not None:
        assert abs(answer["byte"] - byte) <= 2, answer


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ('"inputTokens": 1e400', "wrong_type"),
        ('"inputTokens": ' + "9" * 5000, "out_of_range"),
        ('"inputTokens": 1.5', "wrong_type"),
        ('"inputTokens": true', "wrong_type"),
        ('"units": {"x": 1e999999999}', "unit_quantity"),
        ('"units": {"x": ' + "1" * 400 + "}", "unit_quantity"),
        ('"tags": {"a": "\\u0000"}', "control_character"),
        ('"tenantId": "a\\tb"', "control_character"),
        ('"tags": ' + '{"a":' * 50_000 + "1" + "}" * 50_000, "too_deep"),
        ('"occurredAt": "2026-10-03T12:00:00"', "time_without_zone"),
        ('"occurredAt": "9999-12-31T23:59:59Z"', "future_time"),
        ('"shares": [{"tenantId": "x", "inputTokens": 5000}]', "shares_exceed_input"),
    ],
)
def test_hostile_values_cost_their_event_only(field: str, reason: str) -> None:
    good = json.dumps(sent("good"))
    bad = json.dumps(sent("bad"))[:-1] + ", " + field + "}"
    response = post(secret(), f"{good}\n{bad}".encode(), content_type="application/x-ndjson")
    assert counts(response.json()) == {"accepted": 1, "rejected": 1}
    assert response.json()["outcomes"][0]["reason"] == reason


def test_text_that_is_not_utf8_is_refused_by_the_event() -> None:
    body = json.dumps([sent("a", model="gpt-4o-mini"), sent("b")]).encode()
    answer = post(secret(), body.replace(b"acme", b"ac\xff\xfe", 1)).json()
    assert counts(answer) == {"accepted": 1, "rejected": 1}
    assert answer["outcomes"][0]["reason"] == "invalid_utf8"


def test_ten_thousand_events_are_the_limit() -> None:
    key = secret()
    many = b"\n".join([b"{}"] * 10_001)
    refused(post(key, many), 413, "too-many-events")
    refused(post(key, b"[" + b",".join([b"{}"] * 10_001) + b"]"), 413, "too-many-events")
    refused(post(key, b"{}\n" + b"\n" * 30_000 + b"{}"), 413, "too-many-events")
    assert counts(post(key, many[3:]).json()) == {"rejected": 10_000}


def test_ten_megabytes_are_the_limit_packed_or_not() -> None:
    key = secret()
    refused(post(key, b" " * (bodies.MAX_BODY + 1)), 413, "body-too-large")
    bomb = gzip.compress(b" " * (bodies.MAX_BODY + 1))
    assert len(bomb) < 20_000
    refused(post(key, bomb, Content_Encoding="gzip"), 413, "body-too-large")
    fits = json.dumps(sent()).encode()
    fits += b" " * (bodies.MAX_BODY - len(fits))
    assert counts(post(key, gzip.compress(fits), Content_Encoding="gzip").json()) == {"accepted": 1}


def test_a_bomb_is_not_unpacked_beyond_the_limit() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(200)) + bomb.flush()
    tracemalloc.start()
    try:
        with pytest.raises(bodies.BodyRefused) as refusal:
            bodies.unpack(packed, 1_000)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refusal.value.status == 413
    assert most < 1_000_000
    with pytest.raises(bodies.BodyRefused, match="members"):
        bodies.unpack(gzip.compress(b"") * 5_000, 1_000)


def test_gzip_may_come_in_several_members() -> None:
    first, second = json.dumps(sent("a")).encode() + b"\n", json.dumps(sent("b")).encode()
    packed = gzip.compress(first) + gzip.compress(second)
    assert counts(post(secret(), packed, Content_Encoding="x-gzip").json()) == {"accepted": 2}


@pytest.mark.parametrize("cut", [0, 1, 10, 40, -1, -4, -8])
def test_gzip_that_was_cut_off_is_refused_as_a_whole(cut: int) -> None:
    packed = gzip.compress(json.dumps([sent()]).encode())[:cut]
    refused(post(secret(), packed, Content_Encoding="gzip"), 400, "malformed-gzip")


@pytest.mark.parametrize("junk", [b"trailing", b"\0"])
def test_gzip_with_something_behind_it_is_refused(junk: bytes) -> None:
    packed = gzip.compress(json.dumps([sent()]).encode()) + junk
    refused(post(secret(), packed, Content_Encoding="gzip"), 400, "malformed-gzip")
    assert post(secret(), b"{}", Content_Encoding="gzip").status_code == 400


def test_a_broken_checksum_is_refused() -> None:
    packed = bytearray(gzip.compress(json.dumps([sent()]).encode()))
    packed[-5] ^= 1
    refused(post(secret(), bytes(packed), Content_Encoding="gzip"), 400, "malformed-gzip")


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "deflate", "gzip;q=1", "zstd"])
def test_other_encodings_are_refused(encoding: str) -> None:
    packed = gzip.compress(gzip.compress(json.dumps([sent()]).encode()))
    refused(post(secret(), packed, Content_Encoding=encoding), 415, "unsupported-encoding")


def test_identity_is_no_encoding() -> None:
    assert post(secret(), sent(), Content_Encoding="identity, ").status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/json; charset=utf-16",
        "application/x-protobuf",
    ],
)
def test_other_content_types_are_refused(content_type: str) -> None:
    response = post(secret(), json.dumps(sent()).encode(), content_type=content_type)
    refused(response, 415, "unsupported-media-type")


def test_a_content_type_may_say_utf8() -> None:
    body = json.dumps(sent()).encode()
    response = post(secret(), body, content_type="Application/JSON; charset=UTF-8")
    assert response.status_code == 200


class Failing:
    """A database that is not there any more."""

    def __call__(self, *_: object, **__: object) -> Any:
        raise psycopg.OperationalError("the connection is lost")


def test_a_lost_database_is_said_to_be_temporary(monkeypatch: pytest.MonkeyPatch) -> None:
    key = secret()
    monkeypatch.setattr(ingestion, "_claim", Failing())
    response = post(key, sent())
    assert response["Retry-After"] == "1"
    refused(response, 503, "unavailable")


def test_what_is_charged_is_what_was_sent() -> None:
    """The whole way: 1,000 + 200 tokens of gpt-4o-mini at 0.15 and 0.60 a million."""
    post(secret(), sent())
    assert rows("SELECT cost FROM usage_event") == [(Decimal("0.00027"),)]
