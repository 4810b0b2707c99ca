"""Budgets over REST: those there are, where each stands, and new ones."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from metering import people
from metering.ingestion import ingest
from metering.models import BudgetRow, CostCentre
from tests.metering.api.keys import secret
from tests.metering.events import NOW, call

pytestmark = pytest.mark.django_db
PATH = "/api/v1/finance/budgets"
PLAN = {
    "owner": "cost_centre",
    "key": "cc-growth",
    "month": "2026-10",
    "amount": "2500.00",
    "currency": "USD",
    "reason": "plan",
}


@pytest.fixture(autouse=True)
def _growth() -> None:
    CostCentre.objects.create(code="cc-growth", name="Growth", responsible="head of growth")


@pytest.fixture
def finance() -> Client:
    return Client(headers={"X-API-Key": secret("finance")})


def created(client: Client, status: int = 201, **different: Any) -> dict[str, Any]:
    answer = client.post(PATH, {**PLAN, **different}, content_type="application/json")
    assert answer.status_code == status, answer.content
    body: dict[str, Any] = answer.json()
    return body


def test_a_new_budget_ends_the_one_before_it(finance: Client) -> None:
    first = created(finance)
    assert first.items() >= {**PLAN, "amount": "2500", "warn_share": "0.8", "until": None}.items()
    assert created(finance, 200) == first
    second = created(finance, month="2027-01", amount="3000", warn_share="0.9")
    page = finance.get(PATH).json()
    latest, ended = page["items"]
    assert (latest, page["next"]) == (second, None)
    assert ended == {**first, "until": "2026-12"}


def test_where_a_budget_stands_in_a_month(finance: Client) -> None:
    ingest([call("r", cost_center="cc-growth")], now=NOW)
    budget = created(finance, amount="0.001")["id"]
    of_october = finance.get(f"{PATH}/{budget}?month=2026-10").json()
    with connection.cursor() as cursor:
        cursor.execute("SELECT trim_scale(cost)::text FROM usage_event")
        ((cost,),) = cursor.fetchall()
    assert (of_october["asked_month"], of_october["holds"], of_october["spent"]) == (
        *("2026-10", True),
        cost,
    )
    assert (of_october["is_warning"], of_october["is_exceeded"]) == (False, False)
    before = finance.get(f"{PATH}/{budget}?month=2026-09").json()
    assert (before["holds"], before["spent"], before["left"]) == (False, "0", "0.001")
    assert finance.get(f"{PATH}/999").status_code == 404


@pytest.mark.parametrize(
    "different",
    [
        {"owner": "team"},
        {"key": "cc-nobody"},
        {"key": ""},
        {"month": "October"},
        {"amount": "-1"},
        {"amount": "a lot"},
        {"amount": "1e400"},
        {"amount": "NaN"},
        {"currency": "XXQ"},
        {"warn_share": "2"},
        {"until": "2026-09"},
        {"book": "charge"},
        {"spent": "1"},
        {"key": "cc-\u0000"},
        {"amount": None},
        {"amount": [1]},
    ],
)
def test_what_can_be_no_budget_is_refused_by_name(
    finance: Client, different: dict[str, Any]
) -> None:
    refusal = created(finance, 400, **different)
    assert refusal["type"] == "urn:apportion:problem:invalid"
    assert refusal["errors"]
    assert not BudgetRow.objects.exists()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"\xff", b"[" * 100_000])
def test_so_is_a_body_that_is_none(finance: Client, body: bytes) -> None:
    answer = finance.post(PATH, body, content_type="application/json")
    assert answer.status_code == 400, answer.content
    assert answer["Content-Type"] == "application/problem+json"


def test_who_made_it_stands_in_the_history(finance: Client) -> None:
    created(finance)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pgh_context->>'api_key' FROM budget_history")
        assert cursor.fetchall() == [("test",)]


def test_a_person_needs_the_right_to_add_one() -> None:
    people.add("viewer", ["viewer"])
    client = Client()
    client.force_login(User.objects.get(username="viewer"))
    assert "lacks the right" in created(client, 403)["detail"]
    assert client.get(PATH).status_code == 200
    assert created(Client(headers={"X-API-Key": secret("ingest")}), 403)
    root = Client()
    root.force_login(User.objects.create_superuser("root"))
    assert created(root)["owner"] == "cost_centre"
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="root"))
    assert strict.post(PATH, PLAN, content_type="application/json").status_code == 403
