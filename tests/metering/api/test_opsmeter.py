"""Opsmeter's endpoints: its payloads in, its dialect out, refusals included."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from metering.domain.periods import Month
from metering.models import BudgetRow, Tenant
from metering.verification.event_verification import check_month
from tests.metering.api.keys import TODAY, post, secret

pytestmark = pytest.mark.usefixtures("db")

INGEST = "/v1/ingest/llm-request"
STATUS = "/v1/diagnostics/workspace-status"
CLIENTS_READ = {
    "ok",
    "planTier",
    "warnings",
    "reason",
    "telemetryPaused",
    "providerCallsContinue",
    "isPlanLimitReached",
    "budgetWarning",
    "budgetExceeded",
    "planLimitRequests",
    "freeLimitRemainingRequests",
}


def reported(request_id: str = "ext_1", **different: Any) -> dict[str, Any]:
    plain = {
        "externalRequestId": request_id,
        "provider": "openai",
        "model": "gpt-4o-mini",
        "promptVersion": "summary_v3",
        "endpointTag": "checkout.ai_summary",
        "inputTokens": 1000,
        "outputTokens": 200,
        "totalTokens": 1200,
        "latencyMs": 820,
        "status": "success",
        "errorCode": None,
        "userId": None,
        "dataMode": "real",
        "environment": "prod",
    }
    return {**plain, **different}


def tell(key: str, body: object, path: str = INGEST, **different: str) -> Any:
    return post(None, body, path=path, X_API_Key=key, **different)


def ask(key: str, method: str, path: str) -> Any:
    return getattr(Client(), method)(path, headers={"X-API-Key": key})


def rows(query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def test_a_call_is_taken_and_answered_as_clients_read_it() -> None:
    response = tell(secret(), reported(tenantId="acme"))
    answer = response.json()
    assert (response.status_code, answer["ok"], answer["reason"]) == (200, True, None)
    assert set(answer) == CLIENTS_READ
    assert answer["providerCallsContinue"] is True
    assert not answer["planLimitRequests"] > 0
    assert rows("SELECT tenant, endpoint_tag, time_reported, cost FROM usage_event") == [
        ("acme", "checkout.ai_summary", False, Decimal("0.00027"))
    ]


def test_a_resend_makes_no_second_row() -> None:
    key = secret()
    first, again = (tell(key, reported()).json() for _ in range(2))
    assert first["ok"] is again["ok"] is True
    assert first["warnings"] == []
    assert again["warnings"] == [
        "duplicate: this call was reported before and is not counted again"
    ]
    assert len(rows("SELECT 1 FROM usage_event")) == 1


def test_a_total_that_does_not_add_up_is_kept_with_a_warning() -> None:
    assert tell(secret(), reported(totalTokens=5)).json()["warnings"] == [
        "totalTokens is not inputTokens + outputTokens"
    ]


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"{", 400, "malformed_json"),
        (b"", 400, "malformed_json"),
        (b"[]", 400, "not_an_object"),
        (reported(inputTokens=-1), 400, "out_of_range"),
        (reported(provider="nobody"), 400, "unknown_provider"),
        (reported(status="maybe"), 400, "invalid_value"),
        (b" " * 1_000_001, 413, "body_too_large"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_the_dialect(
    body: object, status: int, reason: str
) -> None:
    response = tell(secret(), body)
    answer = response.json()
    assert (response.status_code, answer["ok"], answer["reason"]) == (status, False, reason)
    assert set(answer) == CLIENTS_READ | {"message"}
    assert response["Content-Type"] == "application/json"
    assert not rows("SELECT 1 FROM usage_event")


def test_a_body_that_says_to_be_no_json_is_refused() -> None:
    key = secret()
    for kind in ("", "text/plain", "application/json; charset=utf-8", "application/vnd.api+json"):
        assert tell(key, reported(), content_type=kind).status_code == 200
    for kind in ("application/x-www-form-urlencoded", "image/png"):
        response = tell(key, reported("other"), content_type=kind)
        assert (response.status_code, response.json()["reason"]) == (415, "unsupported_media_type")


def test_other_content_under_the_same_key_is_a_conflict() -> None:
    key = secret()
    tell(key, reported())
    response = tell(key, reported(endpointTag="other"))
    assert (response.status_code, response.json()["reason"]) == (409, "same_key_other_content")


def test_a_tenants_key_reports_for_that_tenant_only() -> None:
    key = secret(tenant="acme")
    assert tell(key, reported("a")).status_code == 200
    foreign = tell(key, reported("b", metadata={"tenantId": "globex"}))
    assert (foreign.status_code, foreign.json()["reason"]) == (400, "foreign_tenant")
    assert rows("SELECT tenant FROM usage_event") == [("acme",)]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", INGEST),
        ("post", "/v1/ingest/demo"),
        ("delete", "/v1/ingest/demo-data"),
        ("delete", "/v1/ingest/test-data"),
        ("get", STATUS),
    ],
)
def test_every_endpoint_asks_for_a_key_and_its_method(method: str, path: str) -> None:
    client = getattr(Client(), method)
    assert (client(path).status_code, client(path).json()["reason"]) == (401, "no_key")
    wrong = client(path, headers={"X-API-Key": secret("finance")})
    assert (wrong.status_code, wrong.json()["reason"]) == (403, "wrong_scope")
    other = Client().patch(path)
    assert (other.status_code, other["Allow"]) == (405, method.upper())


def test_the_workspace_status_counts_real_usage_of_the_source() -> None:
    key = secret()
    tell(key, reported("a"))
    tell(key, reported("b", dataMode="test"))
    tell(secret(source="another"), reported("c"))
    response = ask(key, "get", STATUS)
    status = json.loads(response.content, parse_float=Decimal)
    assert status["workspaceId"] == "test"
    assert status["plan"]["currentRequestCount"] == 1
    for span in ("daily", "monthly"):
        assert status["budget"][span]["currentSpendUsd"] == Decimal("0.00027")
        assert status["budget"][span]["isExceeded"] is False
    assert status["providerCallsContinue"] is True
    assert status["telemetryPaused"] is False


def test_a_tenants_key_sees_that_tenants_part_of_the_workspace() -> None:
    tell(secret(), reported("a", tenantId="globex"))
    response = ask(secret(tenant="acme"), "get", "/v1/diagnostics/workspace-status")
    assert response.json()["plan"]["currentRequestCount"] == 0


BUDGET = {
    "limitUsd",
    "currentSpendUsd",
    "utilizationRatio",
    "isWarning",
    "isExceeded",
    "period",
    "periodStart",
    "periodEnd",
}


def budgeted(amount: str, currency: str = "USD", **owner: str) -> None:
    if "tenant_id" in owner:
        Tenant.objects.get_or_create(key=owner["tenant_id"])
    first = TODAY.date().replace(day=1)
    BudgetRow.objects.create(amount=Decimal(amount), currency=currency, valid_from=first, **owner)


def status_of(key: str) -> Any:
    return json.loads(ask(key, "get", STATUS).content, parse_float=Decimal)


def test_without_a_budget_the_limits_are_none() -> None:
    status = status_of(secret())
    assert set(status) == {
        *("workspaceId", "isPlanLimitReached", "telemetryPaused", "providerCallsContinue"),
        *("isBudgetWarning", "isBudgetExceeded", "severity", "plan", "budget", "warnings"),
    }
    assert set(status["plan"]) == {
        *("planTier", "planName", "currentRequestCount", "planRequestLimit", "telemetryPaused"),
        *("remainingRequestCount", "isPlanLimitReached", "periodStart", "periodEnd"),
    }
    assert set(status["budget"]) == {"warningThresholdRatio", "daily", "monthly"}
    for span in ("daily", "monthly"):
        assert set(status["budget"][span]) == BUDGET
        assert not status["budget"][span]["limitUsd"] > 0
    assert (status["severity"], status["isBudgetWarning"], status["warnings"]) == ("ok", False, [])


@pytest.mark.parametrize(
    ("amount", "severity", "flags", "ratio"),
    [
        ("0.01", "ok", (False, False), "0.027"),
        ("0.0003", "warning", (True, False), "0.9"),
        ("0.00027", "warning", (True, False), "1"),
        ("0.0002", "critical", (True, True), "1.35"),
    ],
)
def test_the_workspace_status_answers_from_the_budget(
    amount: str, severity: str, flags: tuple[bool, bool], ratio: str
) -> None:
    key = secret()
    budgeted(amount, source="test")
    tell(key, reported())
    status = status_of(key)
    assert status["severity"] == severity
    assert (status["isBudgetWarning"], status["isBudgetExceeded"]) == flags
    monthly = status["budget"]["monthly"]
    assert (monthly["limitUsd"], monthly["currentSpendUsd"]) == (
        Decimal(amount),
        Decimal("0.00027"),
    )
    assert monthly["utilizationRatio"] == Decimal(ratio)
    assert (monthly["isWarning"], monthly["isExceeded"]) == flags
    assert status["budget"]["warningThresholdRatio"] == Decimal("0.8")
    assert status["budget"]["daily"]["limitUsd"] == 0
    assert status["providerCallsContinue"] is True


def test_a_budget_of_everything_is_held_against_what_everybody_spent() -> None:
    budgeted("1")
    tell(secret(source="another"), reported())
    monthly = status_of(secret())["budget"]["monthly"]
    assert monthly["currentSpendUsd"] == Decimal("0.00027")
    assert status_of(secret(tenant="acme"))["budget"]["monthly"]["limitUsd"] == 0


def test_a_tenants_budget_is_told_to_its_own_key() -> None:
    budgeted("1", tenant_id="acme")
    tell(secret(source="another"), reported(tenantId="acme"))
    assert status_of(secret(tenant="acme"))["budget"]["monthly"]["currentSpendUsd"] == Decimal(
        "0.00027"
    )
    assert status_of(secret(tenant="globex"))["budget"]["monthly"]["limitUsd"] == 0


def test_spend_without_a_price_is_told_beside_the_spend() -> None:
    key = secret()
    budgeted("1", source="test")
    tell(key, reported(model="nobody-prices-this"))
    (warning,) = status_of(key)["warnings"]
    assert "1 calls with 1200 tokens have no price" in warning


def test_a_budget_in_another_currency_is_not_told_as_dollars() -> None:
    key = secret()
    budgeted("1", "EUR", source="test")
    tell(key, reported())
    status = status_of(key)
    assert status["budget"]["monthly"]["limitUsd"] == 0
    assert status["budget"]["monthly"]["currentSpendUsd"] == Decimal("0.00027")
    assert [warning.partition(":")[0] for warning in status["warnings"]] == ["currency"] * 2


def test_demo_data_comes_and_goes() -> None:
    key = secret()
    tell(key, reported("real"))
    tell(key, reported("test", dataMode="test"))
    made = tell(key, {}, "/v1/ingest/demo").json()
    assert (made["ok"], made["inserted"], made["dataMode"]) == (True, 48, "demo")
    assert not rows("SELECT 1 FROM usage_event WHERE pricing = 'unpriced'")
    gone = ask(key, "delete", "/v1/ingest/demo-data?scope=workspace").json()
    assert (gone["ok"], gone["deleted"], gone["retained"]) == (True, 48, [])
    assert ask(key, "delete", "/v1/ingest/demo-data").json()["deleted"] == 0
    assert ask(key, "delete", "/v1/ingest/test-data?scope=mine").json()["deleted"] == 1
    assert len(rows("SELECT 1 FROM usage_event")) == 50, "rows stay"
    resent = tell(key, reported("test", dataMode="test")).json()
    assert "deleted" in resent["warnings"][1], "it is told that it does not count any more"
    status = ask(key, "get", STATUS).json()
    assert status["plan"]["currentRequestCount"] == 1
    month = Month.of(TODAY)
    assert [*check_month(month), *check_month(month.previous())] == []


def test_a_key_deletes_nothing_of_another_source_or_tenant() -> None:
    tell(secret(), reported(dataMode="test", tenantId="globex"))
    for key in (secret(source="another"), secret(tenant="acme")):
        assert ask(key, "delete", "/v1/ingest/test-data").json()["deleted"] == 0


def test_an_unknown_scope_deletes_nothing() -> None:
    key = secret()
    tell(key, reported(dataMode="test"))
    response = ask(key, "delete", "/v1/ingest/test-data?scope=everything")
    assert (response.status_code, response.json()["reason"]) == (400, "invalid_scope")
    assert not rows("SELECT 1 FROM event_disposition")
