"""One call, reported over HTTP by an application and by what watches it: it counts once."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from metering.domain.periods import Month
from metering.rollups import USAGE
from metering.verification.event_verification import check_month
from tests.metering.api.keys import post, rows, secret, sent
from tests.metering.formats.otlp.requests import a_span, as_protobuf, export

pytestmark = pytest.mark.usefixtures("db")

AT = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
MONTH = Month(AT.year, AT.month)
TRACE = "0af7651916cd43dd8448eb211c80319c"

CALL: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 200,
    "gen_ai.usage.cache_read.input_tokens": 300,
}
COUNTED = (
    f"SELECT sum(events), sum(input_tokens), sum(cached_input_tokens), max(tenant),"
    f" max(endpoint_tag) FROM {USAGE.relation()} cells"
)


def span(attributes: dict[str, Any], **more: Any) -> bytes:
    nanoseconds = int(AT.timestamp()) * 1_000_000_000
    times = {"startTimeUnixNano": str(nanoseconds), "endTimeUnixNano": str(nanoseconds + 10**9)}
    return as_protobuf(export(a_span(attributes, **{**times, "traceId": TRACE, **more})))


def by_otlp(key: str) -> dict[str, Any]:
    response = post(key, span(CALL), path="/v1/traces", content_type="application/x-protobuf")
    assert (response.status_code, response.content) == (200, b"")
    return {}


def by_application(key: str) -> dict[str, Any]:
    event = sent(
        "req-1",
        occurredAt=AT.isoformat(),
        providerRequestId="chatcmpl-1",
        endpointTag="checkout.ai_summary",
        inputTokens=990,
    )
    response = post(key, event)
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


def by_langfuse(key: str) -> dict[str, Any]:
    stamp = {"timestamp": AT.isoformat()}
    call = {
        "id": "gen-1",
        "traceId": "0af76519-16cd-43dd-8448-eb211c80319c",
        "startTime": AT.isoformat(),
        "endTime": (AT + timedelta(seconds=1)).isoformat(),
        "model": "gpt-4o-mini",
    }
    usage = {"input": 700, "input_cached_tokens": 300, "output": 200, "total": 1200}
    created = {"id": "a", "type": "generation-create", "body": call, **stamp}
    updated = {
        "id": "b",
        "type": "generation-update",
        "body": {"id": "gen-1", "traceId": call["traceId"], "usageDetails": usage},
        "timestamp": (AT + timedelta(seconds=1)).isoformat(),
    }
    basic = "Basic " + b64encode(f"pk:{key}".encode()).decode()
    for batch in ([updated], [created]):
        response = post(
            None, {"batch": batch}, path="/langfuse/api/public/ingestion", Authorization=basic
        )
        assert response.json()["errors"] == []
    return {}


ROUTES = {"application": by_application, "otlp": by_otlp, "langfuse": by_langfuse}


@pytest.mark.parametrize("sources", ["each its own", "one for all"])
@pytest.mark.parametrize("order", list(permutations(["application", "otlp"])), ids=" ".join)
def test_an_application_and_a_tracer_report_one_call(order: tuple[str, ...], sources: str) -> None:
    for route in order:
        ROUTES[route](secret(source=route if sources == "each its own" else "api"))
    assert rows(COUNTED) == [(1, 1000, 300, "acme", "checkout.ai_summary")]
    assert list(check_month(MONTH)) == []


def test_the_application_is_told_that_its_report_was_merged() -> None:
    by_otlp(secret(source="otlp"))
    answer = by_application(secret(source="app"))
    assert (answer["accepted"], answer["amended"]) == (0, 1)
    ((counts,),) = rows("SELECT DISTINCT superseded_by::text FROM event_disposition")
    (outcome,) = answer["outcomes"]
    assert (outcome["outcome"], outcome["reason"]) == ("amended", "merged")
    assert f"event {counts} counts for both" in outcome["message"]


@pytest.mark.parametrize("order", list(permutations(ROUTES)), ids=" ".join)
def test_three_routes_by_request_and_by_trace(order: tuple[str, ...]) -> None:
    for route in order:
        ROUTES[route](secret(source=route))
    for route in order:
        ROUTES[route](secret(source=route))
    assert rows(COUNTED) == [(1, 1000, 300, "acme", "checkout.ai_summary")]
    assert list(check_month(MONTH)) == []
