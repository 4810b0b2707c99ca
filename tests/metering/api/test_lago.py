"""Lago's endpoints: its answers and its errors, to the letter."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from tests.metering.api.keys import post, rows, secret, stored
from tests.metering.formats.test_metered_events import LAGO

pytestmark = pytest.mark.usefixtures("db")

ONE = "/lago/api/v1/events"
BATCH = "/lago/api/v1/events/batch"


def metered(number: int = 1, **different: Any) -> dict[str, Any]:
    return {**LAGO, "transaction_id": f"txn-{number}", **different}


def tell(key: str | None, event: object) -> Any:
    return post(key, {"event": event}, path=ONE)


def tell_all(key: str | None, events: object) -> Any:
    return post(key, {"events": events}, path=BATCH)


def invalid(response: Any, details: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = response.json()
    assert response.status_code == 422, answer
    assert {name: value for name, value in answer.items() if name != "message"} == {
        "status": 422,
        "error": "Unprocessable Entity",
        "code": "validation_errors",
        "error_details": details,
    }
    return answer


def test_one_event_is_answered_as_lago_does() -> None:
    sent = metered(1, timestamp="1790942400.25", precise_total_amount_cents="1234.56")
    response = tell(secret(), sent)
    assert response.status_code == 200
    answer = response.json()["event"]
    created_at = answer.pop("created_at")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created_at)
    ((event_key,),) = rows("SELECT event_key::text FROM usage_event")
    assert answer == {
        "lago_id": event_key,
        "transaction_id": "txn-1",
        "lago_customer_id": None,
        "code": "ai_tokens",
        "timestamp": "2026-10-02T12:00:00.250Z",
        "precise_total_amount_cents": "1234.56",
        "properties": LAGO["properties"],
        "lago_subscription_id": None,
        "external_subscription_id": "sub_42",
    }
    assert rows("SELECT tenant, input_tokens, output_tokens, cost > 0 FROM usage_event") == [
        ("sub_42", 540, 180, True)
    ]


def test_a_batch_is_answered_event_by_event() -> None:
    answer = tell_all(secret(), [metered(1), metered(2, precise_total_amount_cents=None)]).json()
    assert [event["transaction_id"] for event in answer["events"]] == ["txn-1", "txn-2"]
    assert stored() == 2


def test_a_transaction_that_exists_is_refused() -> None:
    key = secret()
    assert tell(key, metered(1)).status_code == 200
    for again in (metered(1), metered(1, timestamp=1790942401), metered(1, properties={})):
        if again["properties"]:
            answer = invalid(tell(key, again), {"transaction_id": ["value_already_exist"]})
            assert "message" not in answer
    assert tell(key, metered(1, external_subscription_id="sub_7")).status_code == 200
    assert stored() == 2


def test_a_batch_is_all_or_nothing() -> None:
    key = secret()
    assert tell(key, metered(1)).status_code == 200
    answer = tell_all(key, [metered(2), metered(1), metered(3), metered(3)])
    invalid(
        answer,
        {
            "1": {"transaction_id": ["value_already_exist"]},
            "3": {"transaction_id": ["value_already_exist"]},
        },
    )
    assert stored() == 1
    assert tell_all(key, [metered(2), metered(3)]).status_code == 200
    assert stored() == 3


@pytest.mark.parametrize(
    ("different", "details"),
    [
        ({"transaction_id": None}, {"transaction_id": ["value_is_mandatory"]}),
        ({"code": None}, {"code": ["value_is_mandatory"]}),
        ({"external_subscription_id": ""}, {"external_subscription_id": ["value_is_mandatory"]}),
        ({"timestamp": "2026-10-02"}, {"timestamp": ["invalid_format"]}),
        ({"timestamp": 1790942400000}, {"timestamp": ["future_time"]}),
        ({"properties": {"tokens": 5}}, {"properties": ["token_type"]}),
        ({"properties": {"api_calls": 1}}, {"properties": ["missing_field"]}),
        (
            {"properties": {"model": "x", "provider": "nobody", "input_tokens": 1}},
            {"properties": ["unknown_provider"]},
        ),
    ],
)
def test_errors_stand_under_the_member_and_in_a_batch_under_the_index(
    different: dict[str, Any], details: dict[str, Any]
) -> None:
    key = secret()
    bad = {**metered(2), **different}
    single = invalid(tell(key, bad), details)
    several = invalid(tell_all(key, [metered(1), bad]), {"1": details})
    (codes,) = details.values()
    ours = not {"value_is_mandatory", "invalid_format"} & set(codes)
    assert [("message" in answer) for answer in (single, several)] == [ours, ours]
    assert stored() == 0


def test_the_batchs_own_errors() -> None:
    key = secret()
    invalid(tell_all(key, []), {"events": ["no_events"]})
    invalid(post(key, {}, path=BATCH), {"events": ["no_events"]})
    many = [metered(n) for n in range(101)]
    invalid(tell_all(key, many), {"events": ["too_many_events"]})
    assert tell_all(key, many[:100]).status_code == 200


def test_a_request_without_its_event() -> None:
    key = secret()
    missing = {
        "status": 400,
        "error": "BadRequest: param is missing or the value is empty: event",
    }
    for response in (
        post(key, {}, path=ONE),
        post(key, {"event": None}, path=ONE),
        post(key, {"event": {}}, path=ONE),
        post(key, b" ", path=ONE),
        post(key, b"event[code]=a", path=ONE, content_type="application/x-www-form-urlencoded"),
    ):
        assert (response.status_code, response.json()) == (400, missing)
    broken = post(key, b'{"event":', path=ONE)
    assert broken.status_code == 400
    assert broken.json()["error"].startswith("BadRequest: ")
    deep = post(key, b'{"event":' + b"[" * 9_999, path=ONE)
    assert (deep.status_code, "nested too deeply" in deep.json()["error"]) == (400, True)


def test_keys_and_methods() -> None:
    for tell_one in (tell, tell_all):
        nobody = tell_one(None, metered(1))
        assert (nobody.status_code, nobody.json()) == (
            401,
            {"status": 401, "error": "Unauthorized"},
        )
        reader = tell_one(secret("finance"), metered(1))
        assert (reader.status_code, reader.json()) == (
            403,
            {"status": 403, "error": "Forbidden", "code": "write_action_not_allowed_for_event"},
        )
    assert Client().get(ONE).status_code == 405


def test_a_tenants_key_sends_for_that_tenant_only() -> None:
    response = tell(secret(tenant="acme"), metered(1))
    invalid(response, {"external_subscription_id": ["foreign_tenant"]})
    assert tell(secret(tenant="sub_42"), metered(1)).status_code == 200


def test_of_a_refused_batch_only_what_its_sender_can_mend_is_named() -> None:
    """An event for the late queue is no reason for it: it refuses no batch."""
    key = secret()
    assert tell(key, metered(1)).status_code == 200
    late = metered(2, timestamp=1_000_000_000)
    invalid(tell_all(key, [late, metered(1)]), {"1": {"transaction_id": ["value_already_exist"]}})
    assert tell_all(key, [late, metered(3)]).status_code == 200
