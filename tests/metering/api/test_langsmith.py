"""`/langsmith`: runs as LangSmith's SDKs post, patch and batch them."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import zstandard
from django.test import Client

from metering.calls.call_upkeep import open_calls
from metering.domain.periods import Month
from metering.verification.event_verification import check_month
from tests.metering.api.keys import post, rows, secret, stored

pytestmark = pytest.mark.usefixtures("db")

START = datetime.now(UTC) - timedelta(hours=1)
END = START + timedelta(seconds=1)
COUNTED = (
    "SELECT tenant, endpoint_tag, input_tokens, output_tokens, latency_ms, pricing, usage_quality"
    " FROM usage_event e WHERE NOT EXISTS"
    " (SELECT FROM event_disposition d WHERE d.event_key = e.event_key)"
)
USED = {"input_tokens": 13, "output_tokens": 4, "total_tokens": 17}


def order(*ids: str) -> str:
    return ".".join(f"{START:%Y%m%dT%H%M%S%f}Z{id}" for id in ids)


def run(id: str, *above: str, **different: Any) -> dict[str, Any]:
    return {
        "id": id,
        "trace_id": above[0] if above else id,
        "parent_run_id": above[-1] if above else None,
        "dotted_order": order(*above, id),
        "name": "ChatOpenAI",
        "run_type": "llm",
        "session_name": "default",
        "start_time": START.isoformat(),
        "inputs": {"messages": [{"role": "user", "content": "the secret question"}]},
        "extra": {"metadata": {"ls_provider": "openai", "ls_model_name": "gpt-4o-mini"}},
        **different,
    }


def patch(id: str, **different: Any) -> dict[str, Any]:
    return {
        "id": id,
        "end_time": END.isoformat(),
        "outputs": {"content": "the secret answer", "usage_metadata": USED},
        **different,
    }


def send(key: str, path: str, body: object, **headers: Any) -> Any:
    return post(None, body, path=f"/langsmith/{path}", X_API_Key=key, **headers)


def test_a_run_is_posted_and_patched() -> None:
    key, id = secret(), str(uuid4())
    posted = send(key, "runs", run(id, tags=["tenant:acme"]))
    assert (posted.status_code, posted.json()) == (202, {"message": "Run created"})
    assert stored() == 0
    body = patch(id, trace_id=id, dotted_order=order(id))
    for _ in range(2):
        patched = Client().patch(
            f"/langsmith/runs/{id}",
            json.dumps(body),
            content_type="application/json",
            headers={"X-API-Key": key},
        )
        assert (patched.status_code, patched.json()) == (202, {"message": "Run updated"})
    assert rows(COUNTED) == [("acme", "ChatOpenAI", 13, 4, 1000, "priced", "provider_reported")]


def test_a_batch_counts_its_leaf_calls() -> None:
    root, call = str(uuid4()), str(uuid4())
    sums = {"usage_metadata": {"input_tokens": 999, "output_tokens": 999}}
    top = run(root, run_type="chain", name="agent", outputs=sums, end_time=END.isoformat())
    top["extra"] = {"metadata": {"tenant_id": "acme", "feature": "search", "user_id": "u_1"}}
    leaf = run(call, root)
    update = patch(call, trace_id=root, dotted_order=order(root, call))
    key = secret()
    for post_, patch_ in (([top], []), ([], [update]), ([leaf], []), ([top, leaf], [update])):
        response = send(key, "runs/batch", {"post": post_, "patch": patch_})
        assert response.status_code == 202, response.content
    assert rows(COUNTED) == [("acme", "search", 13, 4, 1000, "priced", "provider_reported")]
    month = Month.of(START)
    assert [*check_month(month), *check_month(month.previous())] == []


def test_a_run_that_is_over_and_names_no_model_is_said_to_wait() -> None:
    key, first, second = secret(), str(uuid4()), str(uuid4())
    nameless: dict[str, Any] = {"extra": {"metadata": {}}, "outputs": {"usage_metadata": USED}}
    begun = send(key, "runs/batch", {"post": [run(first, **nameless)]})
    assert begun.json() == {"message": "Runs batch ingested"}, "its model may come with its end"
    over = {"end_time": END.isoformat()}
    ended = send(
        key,
        "runs/batch",
        {
            "patch": [patch(first, trace_id=first, dotted_order=order(first))],
            "post": [run(second, **nameless, **over)],
        },
    )
    assert (ended.status_code, stored()) == (202, 0)
    assert re.fullmatch(
        rf"Runs batch ingested; trace ({first}|{second}), span \1 \(and 1 more\): kept; it counts"
        " when a report names its provider and model",
        ended.json()["message"],
    )
    waiting = {(each.span_id, each.reason) for each in open_calls(most=9)}
    assert waiting == {(first, "waiting_for_model"), (second, "waiting_for_model")}


BOUNDARY = "f1c7"


def form(*parts: tuple[str, object]) -> bytes:
    pieces = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n'
        f"Content-Type: application/json\r\n\r\n{json.dumps(content)}\r\n"
        for name, content in parts
    ]
    return "".join([*pieces, f"--{BOUNDARY}--\r\n"]).encode()


def whole(id: str, **different: Any) -> bytes:
    sent = run(id, end_time=END.isoformat(), **different)
    inputs, extra = sent.pop("inputs"), sent.pop("extra")
    return form(
        (f"post.{id}", sent),
        (f"post.{id}.inputs", inputs),
        (f"post.{id}.outputs", {"usage_metadata": USED}),
        (f"post.{id}.extra", extra),
        (f"feedback.{uuid4()}", {"score": 1}),
    )


FORM = f"multipart/form-data; boundary={BOUNDARY}"


@pytest.mark.parametrize("packing", ["", "gzip", "zstd"])
def test_a_form_is_taken_plain_and_packed(packing: str) -> None:
    packers: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        "gzip": gzip.compress,
        "zstd": zstandard.compress,
    }
    pack = packers[packing]
    headers = {"Content_Encoding": packing} if packing else {}
    body = pack(whole(str(uuid4())))
    response = send(secret(), "runs/multipart", body, content_type=FORM, **headers)
    assert (response.status_code, response.json()) == (202, {"message": "Runs batch ingested"})
    assert rows(COUNTED) == [("", "ChatOpenAI", 13, 4, 1000, "priced", "provider_reported")]


def test_what_was_not_taken_is_named_and_the_rest_is_stored() -> None:
    good, bad, unknown = (str(uuid4()) for _ in range(3))
    body = {
        "post": [
            run(good, end_time=END.isoformat(), outputs={"usage_metadata": USED}),
            run(bad, outputs={"usage_metadata": {"input_tokens": -1}}),
            run(
                unknown,
                outputs={"usage_metadata": USED},
                extra={"metadata": {"ls_provider": "nobody-knows", "ls_model_name": "m"}},
            ),
        ]
    }
    response = send(secret(), "runs/batch", body)
    assert response.status_code == 422
    told = [(each["loc"][0], each["type"]) for each in response.json()["detail"]]
    assert told[0] == ("post 1", "unreadable_usage")
    assert told[1][1] == "unknown_provider"
    assert stored() == 1


@pytest.mark.parametrize(
    ("path", "body", "content_type", "status"),
    [
        ("runs", b"", "application/json", 422),
        ("runs", b"{", "application/json", 422),
        ("runs", b"[]", "application/json", 422),
        ("runs", b'{"id": NaN}', "application/json", 422),
        ("runs", b"{" + b'"a":{' * 100_000, "application/json", 422),
        ("runs", b'{"id": "\xff"}', "application/json", 422),
        ("runs", b"{}", "application/x-protobuf", 415),
        ("runs/batch", b'{"post": {}}', "application/json", 400),
        ("runs/batch", b"{}", "application/json", 400),
        ("runs/batch", b'{"post": null}', "application/json", 400),
        ("runs/batch", b'{"id": "a", "run_type": "llm"}', "application/json", 400),
        ("runs/batch", b"\xff\xfe", "application/json", 400),
        ("runs/batch", b"{}", "text/csv", 415),
        ("runs/multipart", b" ", FORM, 400),
        ("runs/multipart", b"no form", FORM, 400),
        ("runs/multipart", whole("a")[:-20], FORM, 400),
        ("runs/multipart", b"{}", "application/json", 415),
        ("runs/multipart", b"{}", "multipart/form-data", 415),
        ("runs/multipart", b" " * 25_000_001, FORM, 413),
    ],
)
def test_bad_bodies_are_refused(path: str, body: bytes, content_type: str, status: int) -> None:
    response = send(secret(), path, body, content_type=content_type)
    assert response.status_code == status, response.content
    assert response.json()["detail"]
    assert stored() == 0


def test_truncated_packing_is_refused() -> None:
    for name, pack in (("gzip", gzip.compress), ("zstd", zstandard.compress)):
        body = pack(whole(str(uuid4())))[:-12]
        response = send(secret(), "runs/multipart", body, content_type=FORM, Content_Encoding=name)
        assert (response.status_code, response.json()["error"]) == (400, f"malformed_{name}")


def test_keys_are_asked_for_in_its_words() -> None:
    for key, status in ((None, 401), ("nonsense", 401), (secret("finance"), 403)):
        headers = {} if key is None else {"X_API_Key": key}
        response = post(None, {"post": []}, path="/langsmith/runs/batch", **headers)
        assert response.status_code == status
        assert response.json()["detail"]
    assert Client().get("/langsmith/runs/batch").status_code == 405


def test_sdks_are_told_what_is_taken() -> None:
    info = Client().get("/langsmith/info").json()
    assert info["batch_ingest_config"]["use_multipart_endpoint"] is True
    assert info["instance_flags"]["zstd_compression_enabled"] is True


def test_no_text_reaches_a_table() -> None:
    key, id = secret(), str(uuid4())
    send(key, "runs", run(id))
    error = patch(id, error="RateLimitError('the secret prompt')", outputs={"content": "secret x"})
    send(key, "runs/batch", {"patch": [{**error, "dotted_order": order(id)}]})
    assert rows("SELECT status, error_code FROM usage_event") == [("error", "RateLimitError")]
    tables = rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        " AND table_type = 'BASE TABLE'"
    )
    for (table,) in tables:
        (count,) = rows(f"SELECT count(*) FROM \"{table}\" t WHERE t::text LIKE '%secret %'")[0]
        assert count == 0, table
