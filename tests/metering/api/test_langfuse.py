"""`POST /langfuse/api/public/ingestion`, as Langfuse's SDKs before version 3 send it."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from metering.domain.periods import Month
from metering.models import AttributeName, Tenant
from metering.verification.event_verification import check_month
from tests.metering.api.keys import post, rows, secret, stored

pytestmark = pytest.mark.usefixtures("db")

PATH = "/langfuse/api/public/ingestion"
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


def at(seconds: int) -> str:
    return (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def event(kind: str, body: dict[str, Any], *, id: str, after: int = 0) -> dict[str, Any]:
    return {"id": id, "timestamp": at(after), "type": kind, "body": body}


def call(**different: Any) -> dict[str, Any]:
    return {
        "id": "gen-1",
        "traceId": "tr-1",
        "startTime": at(0),
        "endTime": at(1),
        "model": "gpt-4o-mini",
        "usageDetails": {"input": 700, "input_cached_tokens": 300, "output": 200, "total": 1200},
        **different,
    }


def basic(key: str) -> str:
    return "Basic " + b64encode(f"pk-lf-1:{key}".encode()).decode()


def send(key: str, *events: dict[str, Any], **headers: str) -> Any:
    body = {"batch": events, "metadata": {"sdk_name": "python", "sdk_version": "2.60.3"}}
    return post(None, body, path=PATH, Authorization=basic(key), **headers)


COUNTED = (
    "SELECT tenant, endpoint_tag, environment, input_tokens, cached_input_tokens, output_tokens,"
    " pricing, usage_quality FROM usage_event e WHERE NOT EXISTS"
    " (SELECT FROM event_disposition d WHERE d.event_key = e.event_key)"
)


def test_a_batch_is_answered_event_by_event() -> None:
    response = send(
        secret(),
        event("trace-create", {"id": "tr-1", "userId": "u_1", "tags": ["tenant:acme"]}, id="a"),
        event("generation-create", call(environment="staging"), id="b"),
        event("score-create", {"traceId": "tr-1", "name": "ok", "value": 1}, id="c"),
        event("generation-create", call(id="gen-2", model=7), id="d"),
        event("span-create", {"id": "s", "traceId": "tr-1"}, id="e"),
    )
    assert response.status_code == 207
    answer = response.json()
    assert answer["successes"] == [{"id": id, "status": 201} for id in "abce"]
    (error,) = answer["errors"]
    assert (error["id"], error["status"], error["message"]) == ("d", 400, "Invalid request data")
    assert "$.model" in error["error"]
    assert rows(COUNTED) == [
        ("acme", None, "staging", 1000, 300, 200, "priced", "provider_reported")
    ]


def test_a_trace_that_comes_later_and_apart_is_said_of_its_calls() -> None:
    key = secret()
    assert send(key, event("generation-create", call(), id="a")).status_code == 207
    trace = {"id": "tr-1", "name": "chat", "userId": "u_1", "metadata": {"tenant_id": "acme"}}
    assert send(key, event("trace-create", trace, id="b")).json()["errors"] == []
    assert rows("SELECT tenant, endpoint_tag, user_pseudonym IS NOT NULL FROM usage_event e"
                " WHERE NOT EXISTS (SELECT FROM event_disposition d"
                " WHERE d.event_key = e.event_key)") == [("acme", "chat", True)]  # fmt: skip
    month = Month.of(START)
    assert [*check_month(month), *check_month(month.previous())] == []


def test_a_batch_that_is_sent_again_counts_once() -> None:
    key = secret()
    first = event("generation-create", call(usageDetails=None, endTime=None), id="a")
    second = event("generation-update", call(), id="b", after=1)
    for batch in ([first], [second], [first, second], [second]):
        assert send(key, *batch).json()["errors"] == []
    assert len(rows(COUNTED)) == 1
    assert stored() == 1


def test_what_becomes_of_an_unknown_provider_is_said() -> None:
    bad = call(model="my-model", metadata={"provider": "nobody-knows"})
    (error,) = send(secret(), event("generation-create", bad, id="a")).json()["errors"]
    assert error["error"].startswith("unknown_provider: ")
    assert stored() == 0


def test_a_tenants_key_sends_for_that_tenant_only() -> None:
    Tenant.objects.create(key="acme")
    key = secret(tenant="acme")
    foreign = call(id="x", metadata={"tenant_id": "globex"})
    answer = send(
        key,
        event("generation-create", call(), id="a"),
        event("generation-create", foreign, id="b"),
    ).json()
    assert [error["id"] for error in answer["errors"]] == ["b"]
    assert answer["errors"][0]["error"].startswith("foreign_tenant: ")
    assert rows("SELECT tenant FROM usage_event") == [("acme",)]


def test_a_source_may_name_attributes_of_its_own() -> None:
    AttributeName.objects.create(source="test", field="tenantId", attribute="kunde")
    send(secret(), event("generation-create", call(metadata={"kunde": "k1"}), id="a"))
    assert rows("SELECT tenant FROM usage_event") == [("k1",)]


@pytest.mark.parametrize(
    ("authorization", "status"),
    [(None, 401), ("Basic ~", 401), (basic("apk_a_b"), 401), ("Bearer nonsense", 401)],
)
def test_without_a_good_key_nothing_is_taken(authorization: str | None, status: int) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    response = post(None, {"batch": []}, path=PATH, **headers)
    assert response.status_code == status
    assert response.json()["error"] == "UnauthorizedError"
    assert response.json()["message"]


def test_a_key_of_another_scope_is_forbidden() -> None:
    response = post(None, {"batch": []}, path=PATH, Authorization=basic(secret("finance")))
    assert (response.status_code, response.json()["error"]) == (403, "ForbiddenError")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b'{"batch": 1}', b'{"batch": [NaN]}', b"\xff\xfe", b"[" * 100_000),
        b'{"batch": [' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"]}",
    ],
)
def test_a_body_that_is_no_batch_is_refused_as_a_whole(body: bytes) -> None:
    response = post(None, body, path=PATH, Authorization=basic(secret()))
    assert response.status_code == 400
    assert response.json()["message"] == "Invalid request data"
    assert response.json()["errors"]


@pytest.mark.parametrize(
    "usage", ['{"input": 1e400}', '{"input": ' + "9" * 400 + "}", '{"input": -5}']
)
def test_a_count_that_is_none_costs_its_event_only(usage: str) -> None:
    batch = json.dumps(
        {
            "batch": [
                event("generation-create", call(), id="a"),
                event("generation-create", call(id="gen-2", usageDetails="~"), id="b"),
            ]
        }
    ).replace('"~"', usage)
    answer = post(None, batch.encode(), path=PATH, Authorization=basic(secret())).json()
    assert [each["id"] for each in answer["successes"]] == ["a"]
    assert [each["id"] for each in answer["errors"]] == ["b"]
    assert stored() == 1


def test_a_packed_batch_is_unpacked_and_a_truncated_one_refused() -> None:
    key = secret()
    packed = gzip.compress(
        json.dumps({"batch": [event("generation-create", call(), id="a")]}).encode()
    )
    headers = {"Authorization": basic(key), "Content_Encoding": "gzip"}
    assert post(None, packed, path=PATH, **headers).status_code == 207
    cut = post(None, packed[:-10], path=PATH, **headers)
    assert (cut.status_code, cut.json()["message"]) == (400, "Invalid request data")


def test_other_methods_types_and_sizes_are_refused_in_its_words() -> None:
    key = secret()
    got = Client().get(PATH, headers={"Authorization": basic(key)})
    assert (got.status_code, got.json()["error"]) == (405, "MethodNotAllowedError")
    form = post(None, b"a=b", path=PATH, Authorization=basic(key), content_type="text/csv")
    assert form.status_code == 400
    large = post(None, b" " * 25_000_001, path=PATH, Authorization=basic(key))
    assert (large.status_code, large.json()["error"]) == (413, "PayloadTooLargeError")


def test_no_text_reaches_a_table() -> None:
    body = call(
        usageDetails=None,
        input=[{"role": "user", "content": "the secret question"}],
        output={"content": "the secret answer"},
        level="ERROR",
        statusMessage="the secret reason",
        metadata={"note": "the secret note"},
    )
    key = secret()
    send(key, event("generation-create", body, id="a"))
    send(key, event("generation-update", {**body, "level": "DEFAULT"}, id="b", after=9))
    tables = rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        " AND table_type = 'BASE TABLE'"
    )
    for (table,) in tables:
        (count,) = rows(f"SELECT count(*) FROM \"{table}\" t WHERE t::text LIKE '%secret %'")[0]
        assert count == 0, table


def test_sdks_may_check_their_key() -> None:
    path = "/langfuse/api/public/projects"
    found = Client().get(path, headers={"Authorization": basic(secret())}).json()["data"]
    assert [(project["id"], project["name"]) for project in found] == [("test", "test")]
    assert Client().get(path).status_code == 401
    assert Client().get("/langfuse/api/public/health").json()["status"] == "OK"
