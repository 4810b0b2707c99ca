"""`POST /v1/traces` and Langfuse's address for it: what is taken, and how refusals are told."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.test import Client
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from metering.api import otlp
from metering.rollups import USAGE
from tests.metering.api.keys import post, rows, secret, stored
from tests.metering.formats.otlp.requests import a_span, as_json, as_protobuf, export

pytestmark = pytest.mark.usefixtures("db")

PATH = "/v1/traces"
LANGFUSE = "/langfuse/api/public/otel/v1/traces"
PROTOBUF = "application/x-protobuf"
JSON = "application/json"

CALL: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 200,
    "tenant.id": "acme",
}


def span(attributes: Mapping[str, object] = CALL, **more: Any) -> dict[str, Any]:
    """A span that ended a minute ago."""
    ended = datetime.now(UTC) - timedelta(minutes=1)
    nanoseconds = int(ended.timestamp()) * 1_000_000_000
    times = {
        "startTimeUnixNano": str(nanoseconds - 800_000_000),
        "endTimeUnixNano": str(nanoseconds),
    }
    return a_span(attributes, **{**times, **more})


def send(
    body: object, kind: str = JSON, *, path: str = PATH, key: str | None = "", **headers: str
) -> Any:
    if isinstance(body, dict):
        body = as_json(body) if kind == JSON else as_protobuf(body)
    sender = secret() if key == "" else key
    return post(sender, body, path=path, content_type=kind, **headers)


def test_json_and_protobuf_plain_and_packed_are_answered_by_nothing_at_all() -> None:
    key = secret()
    for kind, answer in ((JSON, b"{}"), (PROTOBUF, b"")):
        for pack in (False, True):
            request = export(span())
            body = as_json(request) if kind == JSON else as_protobuf(request)
            headers = {"Content_Encoding": "gzip"} if pack else {}
            response = send(gzip.compress(body) if pack else body, kind, key=key, **headers)
            assert (response.status_code, response.content) == (200, answer)
            assert response["Content-Type"] == kind
    assert rows("SELECT count(*), sum(cost) > 0, min(tenant) FROM usage_event") == [
        (4, True, "acme")
    ]


def test_the_same_export_again_counts_once() -> None:
    key, request = secret(), export(span(), span())
    for kind in (JSON, PROTOBUF, JSON):
        assert send(request, kind, key=key).status_code == 200
    assert stored() == 2


def test_an_agent_above_its_calls_counts_nowhere_whichever_comes_first() -> None:
    key = secret()
    agent = span(
        {**CALL, "gen_ai.operation.name": "invoke_agent", "feature": "research"},
        id="00000000000000f0",
    )
    del agent["attributes"][-2]  # the tenant is the call's own
    inner = {**CALL, "gen_ai.response.id": "chatcmpl-1"}
    send(export(agent), key=key)
    send(export(span(inner, parent="00000000000000f0")), key=key)
    assert rows("SELECT tenant, endpoint_tag, input_tokens FROM usage_event") == [
        ("acme", "research", 1000)
    ]


def test_an_outer_call_gives_way_to_the_inner_one() -> None:
    key = secret()
    send(export(span(id="00000000000000f1")), key=key)
    send(export(span(id="00000000000000f2", parent="00000000000000f1")), PROTOBUF, key=key)
    counted = f"SELECT sum(events), sum(input_tokens) FROM {USAGE.relation()} cells"
    assert rows(counted) == [(1, 1000)]


def test_spans_of_other_kinds_are_taken_and_mean_nothing() -> None:
    assert send(export(span({"http.request.method": "GET"}))).content == b"{}"
    assert stored() == 0


def test_what_could_not_be_taken_is_a_partial_success() -> None:
    unknown = span({**CALL, "gen_ai.provider.name": "nobody-s", "gen_ai.request.model": "x"})
    request = export(span(), unknown, span() | {"traceId": "0" * 32})
    response = send(request, JSON)
    assert response.status_code == 200
    partial = response.json()["partialSuccess"]
    assert partial["rejectedSpans"] == "2"
    assert "unknown_provider" in partial["errorMessage"]
    assert "spans[2]: invalid_id" in partial["errorMessage"]
    answer = ExportTraceServiceResponse.FromString(send(request, PROTOBUF).content)
    assert answer.partial_success.rejected_spans == 2
    assert stored() == 1


def test_calls_that_will_never_count_are_warned_of() -> None:
    nameless = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 5}
    partial = send(export(span(nameless))).json()["partialSuccess"]
    assert partial["rejectedSpans"] == "0"
    assert "names its provider and model" in partial["errorMessage"]


@pytest.mark.parametrize("count", ["99999999999999999999", "1e400", "-5", "many"])
def test_a_count_that_is_none_is_warned_of(count: str) -> None:
    """The call was made: it is kept, without usage and without a price."""
    told = {**CALL, "gen_ai.usage.input_tokens": count, "gen_ai.usage.output_tokens": count}
    partial = send(export(span(told), span())).json()["partialSuccess"]
    assert partial["rejectedSpans"] == "0"
    assert "unreadable_usage: kept without usage" in partial["errorMessage"]
    assert rows("SELECT usage_quality, pricing FROM usage_event ORDER BY 1, 2") == [
        ("missing", "unpriced"),
        ("reported", "priced"),
    ]


def test_a_long_list_of_reasons_is_cut() -> None:
    many = [span() | {"spanId": ""} for _ in range(10)]
    message = send(export(*many)).json()["partialSuccess"]["errorMessage"]
    assert message.endswith("and 7 more")


def said(response: Any, status: int) -> dict[str, Any]:
    """The `google.rpc.Status` of a refusal; nothing may have been stored."""
    assert response.status_code == status
    assert stored() == 0
    if response["Content-Type"] == JSON:
        answer: dict[str, Any] = response.json()
        assert set(answer) == {"code", "message"}
        return answer
    assert response["Content-Type"] == PROTOBUF
    body: bytes = response.content
    assert body[0] == 0x08
    return {"code": body[1], "message": body[body.index(0x12) + 2 :].decode(errors="replace")}


def test_what_is_no_export_is_refused_as_a_whole() -> None:
    assert said(send(b"{", JSON), 400)["code"] == 3
    assert "protobuf" in said(send(b"\x0a\xff\xff\xff", PROTOBUF), 400)["message"]
    assert "nested" in said(send(b'{"a":' + b"[" * 100_000, JSON), 400)["message"]
    assert said(send(b"\xff\xfe", JSON), 400)["code"] == 3


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/grpc", ""])
def test_other_content_types_are_refused(kind: str) -> None:
    assert "application/x-protobuf" in said(send(b"{}", kind), 415)["message"]


def test_a_key_that_ingests_is_asked_for() -> None:
    response = send(export(span()), PROTOBUF, key=None)
    assert said(response, 401)["code"] == 16
    assert response["WWW-Authenticate"]
    assert said(send(export(span()), JSON, key=secret("finance")), 403)["code"] == 7
    assert said(send(export(span()), JSON, key="apk_wrong"), 401)["code"] == 16
    response = post(None, as_json(export(span())), path=PATH, X_API_Key=secret())
    assert (response.status_code, stored()) == (200, 1)


def test_packed_bodies_that_are_broken_or_unpack_to_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed = gzip.compress(as_json(export(span())))
    assert said(send(packed[:-20], JSON, Content_Encoding="gzip"), 400)["code"] == 3
    monkeypatch.setattr(otlp, "MAX_BODY", 100_000)
    bomb = gzip.compress(b" " * 1_000_000)
    assert "limit" in said(send(bomb, JSON, Content_Encoding="gzip"), 413)["message"]
    assert "limit" in said(send(b" " * 100_001, JSON), 413)["message"]
    assert said(send(packed, JSON, Content_Encoding="br"), 415)["code"] == 3


def test_an_export_has_so_many_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "MAX_SPANS", 2)
    assert "more than 2 spans" in said(send(export(span(), span(), span())), 413)["message"]


def test_attributes_by_the_thousand_are_passed_over() -> None:
    noise = {f"custom.attribute.{n}": "x" * 50 for n in range(10_000)}
    request = export(span({**noise, **CALL, "metadata": nested(10)}))
    assert send(request, PROTOBUF).status_code == 200
    assert send(request, JSON).status_code == 200
    assert stored() == 1


def nested(levels: int) -> object:
    deep: object = "a secret"
    for _ in range(levels):
        deep = {"inner": [deep]}
    return deep


def test_values_that_are_nested_without_end_are_refused() -> None:
    request = export(span({**CALL, "metadata": nested(30)}))
    assert said(send(request, PROTOBUF), 400)["code"] == 3
    deeper = as_json(request).replace(b'"a secret"', b"[" * 2000 + b"]" * 2000)
    assert "nested" in said(send(deeper, JSON), 400)["message"]


def test_a_key_for_one_tenant_sends_for_it_alone() -> None:
    key = secret(tenant="globex")
    partial = send(export(span()), key=key).json()["partialSuccess"]
    assert "foreign_tenant" in partial["errorMessage"]
    silent = {name: value for name, value in CALL.items() if name != "tenant.id"}
    assert send(export(span(silent)), key=key).content == b"{}"
    assert rows("SELECT tenant FROM usage_event") == [("globex",)]


def test_nothing_of_a_prompt_and_nobodys_name_is_kept() -> None:
    words = "tell me about ann example"
    told = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.prompt.0.content": words,
        "gen_ai.completion.0.content": words,
        "user.id": "ann@example.org",
        "error.type": "",
    }
    assert send(export(span(told)), PROTOBUF).content == b""
    assert rows("SELECT usage_quality, input_tokens > 0, user_kind FROM usage_event") == [
        ("estimated", True, "user")
    ]
    for table in ("usage_event", "call_span", "call_trace"):
        for (row,) in rows(f"SELECT t::text FROM {table} AS t"):
            assert words not in row
            assert "ann@" not in row


def test_the_database_away_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("the connection is closed")

    monkeypatch.setattr(otlp, "take_reports", away)
    response = send(export(span()), PROTOBUF)
    assert said(response, 503)["code"] == 14
    assert int(response["Retry-After"]) > 0


def test_other_methods_are_told_what_to_send() -> None:
    response = Client().get(PATH)
    assert (response.status_code, response["Allow"]) == (405, "POST")


def test_langfuses_clients_are_answered_in_its_dialect() -> None:
    key = secret()
    request = export(
        span(
            {
                "langfuse.observation.type": "generation",
                "langfuse.observation.model.name": "gpt-4o-mini",
                "langfuse.observation.usage_details": json.dumps({"input": 900, "output": 200}),
            }
        )
    )
    for kind in (PROTOBUF, JSON):
        response = send(request, kind, path=LANGFUSE, key=key)
        assert (response.status_code, response.content) == (200, b"{}")
    assert rows("SELECT provider, input_tokens FROM usage_event") == [("openai", 900)]
    response = send(b"{}", "text/plain", path=LANGFUSE, key=key)
    assert (response.status_code, response["Content-Type"][:10]) == (400, "text/plain")
    bad = send(export(span(), span() | {"traceId": "zz"}), JSON, path=LANGFUSE, key=key)
    assert bad.status_code == 400
    assert b"traceId" in bad.content
    assert stored() == 1
    assert send(b"{", JSON, path=LANGFUSE, key=key).status_code == 400
    assert send(b"{}", JSON, path=LANGFUSE, key=None).status_code == 401


def test_langfuses_public_and_secret_key_come_as_basic_authentication() -> None:
    credentials = b64encode(f"pk-lf-anything:{secret()}".encode()).decode()
    response = send(
        export(span()), PROTOBUF, path=LANGFUSE, key=None, Authorization=f"Basic {credentials}"
    )
    assert (response.status_code, stored()) == (200, 1)
